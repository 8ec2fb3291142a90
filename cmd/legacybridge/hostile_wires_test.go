package main_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Noise on a serial line and a Modbus server that answers garbage for ever.
func TestHostileWiresStopNothingAndTakeNoMemory(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	good := &healthy{newLogFile(t), sub}
	master, slave := rawPTY(t)
	garbage, requests := garbageServer(t)
	config := siteFile(t, broker.addr, good.site()+fmt.Sprintf(`
[links.scale]
serial = "%s"
frame = { end = "\r\n", max = 64 }
allow_unstable = true
[devices.scale]
type = "bench-scale"
id = "SCL-1"
link = "scale"
line = '^(?<weight>[\d.]+) kg$'
[devices.scale.points]
weight = { from = "weight", type = "decimal", unit = "kg" }
[devices.scale.events.weighed]

[links.plc]
modbus_tcp = "%s"
timeout = "50ms"
reopen = "100ms"
[devices.plc]
type = "press"
id = "PLC-1"
link = "plc"
every = "50ms"
[devices.plc.points]
counter = { holding = 0, type = "u16" }
`, slave.Name(), garbage))
	b := startBridge(t, config, t.TempDir())
	good.delivered(50)
	idle := b.memory("VmHWM")
	noise := bytes.ReplaceAll(binaryNoise(1<<20), []byte("kg"), []byte("gk"))
	written := 0
	before := requests()
	waitFor(t, 60*time.Second, "noise and garbage to be taken", func() bool {
		if written < len(noise) {
			n, _ := master.Write(noise[written:min(written+4096, len(noise))]) // no more than fits
			written += max(n, 0)
		}
		return written == len(noise) && requests() >= before+3
	})
	good.delivered(500)
	waitFor(t, 60*time.Second, "a weight after the noise", func() bool {
		_, _ = master.WriteString("\r\n12.5 kg\r\n")
		return len(payloads(sub, "SCL-1")) > 0
	})
	good.delivered(50)
	b.bounded(idle)
	t.Logf("%d bytes of noise, %d requests answered with garbage", written, requests())
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, p := range payloads(sub, "SCL-1") {
		if !strings.HasPrefix(p, `{"d":{"weight":12.5}`) {
			t.Errorf("noise became the weight %s", p)
		}
	}
	if got := payloads(sub, "PLC-1"); len(got) > 0 {
		t.Errorf("garbage became the reading %s", got[0])
	}
	clean(t, b.stderr.String())
}

// rawPTY is a line that changes nothing and never makes its writer wait.
func rawPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	tty := int(slave.Fd())
	mode, err := unix.IoctlGetTermios(tty, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	mode.Iflag, mode.Oflag, mode.Lflag = 0, 0, 0
	if err := unix.IoctlSetTermios(tty, unix.TCSETS, mode); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(int(master.Fd()), true); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// garbageServer takes Modbus requests and answers each with noise, as fast as it can until the other side hangs up.
func garbageServer(t *testing.T) (addr string, requests func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	count := make(chan int, 1)
	count <- 0
	noise := binaryNoise(256 << 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				request := make([]byte, 260)
				if _, err := c.Read(request); err != nil {
					return
				}
				n := <-count + 1
				count <- n
				if n%2 == 0 { // a header that is right, and a body that is not
					_, _ = c.Write(append(request[:7:7], noise[:300]...))
				}
				for {
					if _, err := c.Write(noise); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), func() int { n := <-count; count <- n; return n }
}

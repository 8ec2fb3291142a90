package main_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/text/encoding/korean"

	"legacybridge/hardware/sim"
)

// An example is run with its ports, hosts, files and server replaced by simulated ones; nothing else of it changes.
type example struct {
	replace []string // old, new
	env     []string
	feed    func()   // equipment that speaks once, when the bridge is up
	want    []string // type/id/event, each of which must arrive
}

func TestExamplesRun(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, string) example{"plant": plantExample, "hall": hallExample, "lab": labExample} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			e := prepare(t, dir)
			s := newSink(t)
			config := copyExample(t, filepath.Join("..", "..", "examples", name), dir, append(e.replace,
				"mqtts://broker.example.com:8883", "mqtt://"+s.addr(), "mqtts://broker-a.example.com:8883", "mqtt://127.0.0.1:1", // away: the next of the list takes over
				"mqtts://broker-b.example.com:8883", "mqtt://"+s.addr())...)
			b := startBuild(t, program, e.env, config, filepath.Join(dir, "state"))
			arrived := s.arrived
			if name == "lab" {
				arrived = watchLocal(t, config, dir)
			}
			fed := time.Time{}
			waitFor(t, 20*time.Second, "events of every device: "+strings.Join(e.want, ", "), func() bool {
				if e.feed != nil && time.Since(fed) > 500*time.Millisecond {
					e.feed()
					fed = time.Now()
				}
				for _, want := range e.want {
					if !arrived(want) {
						return false
					}
				}
				return true
			})
			if code := b.stop(); code != 0 {
				t.Errorf("exit code %d after SIGINT, want 0", code)
			}
		})
	}
	dirs, err := os.ReadDir("../../examples")
	if err != nil || len(dirs) != 3 {
		t.Fatalf("%d examples (%v), want the 3 that run here", len(dirs), err)
	}
}

func plantExample(t *testing.T, dir string) example {
	scale, err := sim.NewScale()
	if err != nil {
		t.Fatal(err)
	}
	go scale.Run(t.Context(), 100*time.Millisecond)
	t.Cleanup(func() { scale.Close() })
	token := filepath.Join(dir, "token")
	writeFile(t, token, "secret\n", 0o600)
	writeFile(t, filepath.Join(dir, "LOG_1.csv"), "Time;Zone 1;Zone 2;Draft\n01.05.2026 08:00:10;1043,5;---;-12,4\n", 0o644)
	return example{
		replace: []string{
			"/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0", stableLink(t, dir, scale.Path()),
			"192.168.10.21:502", runMeter(t), "/mnt/kiln/LOG_*.csv", dir + "/LOG_*.csv", "/etc/legacybridge/secrets/platform-token", token,
			`"15m"`, `"1s"`,
		},
		want: []string{"kiln/KILN-2/temperature", "energy-meter/EM-MAIN/power", "energy-meter/EM-MAIN/energy", "bench-scale/SCL-0001/weighed"},
	}
}

func hallExample(t *testing.T, dir string) example {
	line, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close(); tty.Close() })
	go rtuStation(line)
	csv, err := korean.EUCKR.NewEncoder().String("날짜,시각,목표,실제,제품\n2026-05-01,08:00:10,10.0,10.5,시멘트\n")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "shift-1.csv"), csv, 0o644)
	writeFile(t, filepath.Join(dir, "platform-token"), "secret\n", 0o600)
	return example{
		env: []string{"CREDENTIALS_DIRECTORY=" + dir},
		replace: []string{"/dev/serial/by-id/usb-FTDI_USB-RS485_Cable_FT0IPIDQ-if00-port0", stableLink(t, dir, tty.Name()),
			"/srv/dosing/shift-*.csv", dir + "/shift-*.csv", `within = "5m"`, `within = "1s"`, `every  = "15m"`, `every  = "2s"`, `every  = "1h"`, `every  = "2s"`},
		want: []string{"energy-meter/EM-HALL-3/power", "energy-meter/EM-HALL-3/energy", "compressor/CMP-3/status", "compressor/CMP-3/hours",
			"climate/CLI-3/readings", "dosing-unit/DOS-3/dose", "dosing-unit/DOS-3/deviation"},
	}
}

func labExample(t *testing.T, dir string) example {
	balance, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { balance.Close() })
	go answer(balance, "SI\r\n", "S S     12.480 g\r\n")
	line, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close(); tty.Close() })
	writeFile(t, filepath.Join(dir, "qc.csv"), "Quality control\nLine export\n\nDate;Line;Batch;Moisture %;Verdict\n01.05.2026 08:00;2;B77;12,5;i.O.\nSum;;;12,5;\n", 0o644)
	return example{
		replace: []string{"192.168.20.40:4001", balance.Addr().String(), "127.0.0.1:1883", freeAddr(t), "/srv/lab/qc.csv", dir + "/qc.csv",
			"/dev/serial/by-id/usb-Prolific_USB-Serial_Controller_DKADb119F16-if00-port0", stableLink(t, dir, tty.Name())},
		feed: func() { line.WriteString("\x02+0 001234000000\r,") },
		want: []string{"lab-balance/BAL-1/weight", "weighbridge/WB-1/weight", "qc-sample/LINE-2/sample"},
	}
}

// copyExample copies a tree with replacements and returns the main file.
func copyExample(t *testing.T, from, to string, replace ...string) string {
	t.Helper()
	r := strings.NewReplacer(replace...)
	err := filepath.Walk(from, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, []byte(r.Replace(string(text))), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(to, "legacybridge.toml")
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// stableLink is a name that does not change with plugging, as /dev/serial/by-id has them.
func stableLink(t *testing.T, dir, tty string) string {
	t.Helper()
	link := filepath.Join(dir, "usb-port-"+filepath.Base(tty))
	if err := os.Symlink(tty, link); err != nil {
		t.Fatal(err)
	}
	return link
}

func runMeter(t *testing.T) string {
	t.Helper()
	meter, err := sim.NewMeter("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go meter.Run(t.Context())
	return meter.Addr()
}

// answer is an instrument behind a serial device server: it speaks only when asked.
func answer(l net.Listener, ask, reply string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewReader(c); ; {
				got, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				if got == ask {
					io.WriteString(c, reply)
				}
			}
		}()
	}
}

// rtuStation answers FC 3 and 4 of every unit: each register holds its address and one.
func rtuStation(line io.ReadWriter) {
	request := make([]byte, 8)
	for {
		if _, err := io.ReadFull(line, request); err != nil {
			return
		}
		start, n := binary.BigEndian.Uint16(request[2:]), binary.BigEndian.Uint16(request[4:])
		reply := []byte{request[0], request[1], byte(2 * n)}
		for i := range n {
			reply = binary.BigEndian.AppendUint16(reply, start+i+1)
		}
		line.Write(binary.LittleEndian.AppendUint16(reply, crc16(reply)))
	}
}

// crc16 is Modbus's (Modbus over Serial Line V1.02, 6.2.2).
func crc16(b []byte) uint16 {
	crc := uint16(0xffff)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xa001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// watchLocal watches the embedded platform of a running bridge, with the command that a user has for that.
func watchLocal(t *testing.T, config, dir string) func(string) bool {
	t.Helper()
	state := filepath.Join(dir, "state")
	waitFor(t, 10*time.Second, "the platform's key", func() bool {
		_, err := os.Stat(filepath.Join(state, "local", "key.json"))
		return err == nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "watch", "events", "--json", "-q", "-c", config, "--state", state)
	out := &syncBuffer{}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return func(want string) bool {
		for line := range strings.Lines(out.String()) {
			var e struct{ Type, ID, Event string }
			if json.Unmarshal([]byte(line), &e) == nil && fmt.Sprintf("%s/%s/%s", e.Type, e.ID, e.Event) == want {
				return true
			}
		}
		return false
	}
}

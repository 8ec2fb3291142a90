package main_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkLocalPlatform is one publisher with 100 events of 200 bytes in flight, QoS 1, and 1 or 10 subscribers: the
// embedded platform and mosquitto in turns, with the same client, each in a process of its own.
func BenchmarkLocalPlatform(b *testing.B) {
	const deliveries, turns = 300_000, 3
	for _, subscribers := range []int{1, 10} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) {
			for b.Loop() {
				var ours, theirs brokerBench
				for range turns {
					p := startEmbedded(b, anyDevice)
					ours.add(p.addr, p.cmd, subscribers, deliveries/subscribers, func(id string) []byte { return loginPacket("a:legacy:"+id, p.user, p.token) }, b)
					m := startMosquitto(b)
					theirs.add(m.addr, m.cmd, subscribers, deliveries/subscribers, func(id string) []byte { return loginPacket(id, "", "") }, b)
					m.cmd = nil
				}
				b.ReportMetric(ours.rate(), "messages/s")
				b.ReportMetric(ours.rate()/theirs.rate(), "x-mosquitto")
				b.ReportMetric(ours.rss, "peak-MiB")
				b.ReportMetric(theirs.rss, "mosquitto-MiB")
				b.ReportMetric(ours.cpu.Seconds()/theirs.cpu.Seconds(), "x-mosquitto-cpu")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// A brokerBench sums up what one broker did.
type brokerBench struct {
	messages  int
	wall, cpu time.Duration
	rss       float64 // the most of all turns, MiB
}

// rate is messages delivered a second.
func (r *brokerBench) rate() float64 { return float64(r.messages) / r.wall.Seconds() }

// add is one turn, which ends the process.
func (r *brokerBench) add(addr string, cmd *exec.Cmd, subscribers, events int, login func(id string) []byte, b *testing.B) {
	b.Helper()
	var readers sync.WaitGroup
	for i := range subscribers {
		sub := dialRaw(b, addr, login(fmt.Sprint("sub", i)))
		sub.write(append([]byte{0x82}, prefixed(append(append([]byte{0, 1}, text("iot-2/type/+/id/+/evt/+/fmt/+")...), 1))...))
		sub.next() // SUBACK
		readers.Go(func() { sub.drain(events) })
	}
	pub := dialRaw(b, addr, login("pub"))
	topic, payload := text("iot-2/type/press/id/P-1/evt/cycle/fmt/json"), bytes.Repeat([]byte{'x'}, 200)
	began := time.Now()
	for sent, acked := 0, 0; acked < events; {
		for ; sent < events && sent-acked < 100; sent++ {
			id := binary.BigEndian.AppendUint16(nil, uint16(sent%60_000+1))
			pub.out = append(append(pub.out, 0x32), prefixed(bytes.Join([][]byte{topic, id, payload}, nil))...)
		}
		pub.write(nil)
		pub.next()
		for acked++; pub.r.Buffered() >= 4; acked++ {
			pub.next()
		}
	}
	readers.Wait()
	r.wall += time.Since(began)
	r.messages += events * subscribers
	r.rss = max(r.rss, peakRSS(b, cmd.Process.Pid))
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	r.cpu += usageOf(cmd, 0).cpu
}

// peakRSS is the most memory that a running process has had, in MiB. What the kernel tells at its end counts the memory
// of this one, which it was before it began.
func peakRSS(b *testing.B, pid int) float64 {
	b.Helper()
	mib, err := peakOf(pid)
	if err != nil {
		b.Fatal(err)
	}
	return mib
}

func peakOf(pid int) (mib float64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscan(after, &mib)
	return mib / 1024, err
}

// A rawClient is an MQTT client that costs next to nothing itself.
type rawClient struct {
	b   *testing.B
	c   net.Conn
	r   *bufio.Reader
	out []byte
	buf []byte
}

func dialRaw(b *testing.B, addr string, login []byte) *rawClient {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
	raw := &rawClient{b: b, c: c, r: bufio.NewReaderSize(c, 64<<10)}
	raw.write(login)
	if _, body := raw.next(); len(body) != 2 || body[1] != 0 {
		b.Fatalf("login refused: % x", body)
	}
	return raw
}

// write sends what has gathered, and p behind it.
func (c *rawClient) write(p []byte) {
	c.out = append(c.out, p...)
	if _, err := c.c.Write(c.out); err != nil {
		c.b.Error(err)
	}
	c.out = c.out[:0]
}

// next reads one packet; its body is good until the following call.
func (c *rawClient) next() (first byte, body []byte) {
	first, err := c.r.ReadByte()
	var n uint64
	if err == nil {
		n, err = binary.ReadUvarint(c.r)
	}
	if err == nil {
		c.buf = append(c.buf[:0], make([]byte, n)...)
		_, err = io.ReadFull(c.r, c.buf)
	}
	if err != nil {
		c.b.Error(err)
	}
	return first, c.buf
}

// drain takes and acknowledges so many events.
func (c *rawClient) drain(events int) {
	for range events {
		_, body := c.next()
		if len(body) < 4 {
			return // the error was told
		}
		at := 2 + int(binary.BigEndian.Uint16(body))
		c.out = append(c.out, 0x40, 2, body[at], body[at+1])
		if c.r.Buffered() == 0 {
			c.write(nil)
		}
	}
}

func loginPacket(id, user, password string) []byte {
	body := append(text("MQTT"), 4, 2, 0, 60)
	body = append(body, text(id)...)
	if user != "" {
		body[7] |= 0xc0
		body = append(append(body, text(user)...), text(password)...)
	}
	return append([]byte{0x10}, prefixed(body)...)
}

func text(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }

// prefixed puts the length in front, as MQTT writes it.
func prefixed(body []byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(body))), body...)
}

package publisher

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

const benchWindow = 100

// sink acknowledges everything and does nothing else.
func sink(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveSink(c)
		}
	}()
	return l.Addr().String()
}

func serveSink(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	var out []byte
	for {
		head, err := r.ReadByte()
		if err != nil {
			return
		}
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return
		}
		switch head >> 4 {
		case 1:
			out = append(out, 0x20, 2, 0, 0)
		case 3:
			p, err := r.Peek(2)
			if err != nil {
				return
			}
			topic := int(binary.BigEndian.Uint16(p))
			if p, err = r.Peek(2 + topic + 2); err != nil {
				return
			}
			out = append(out, 0x40, 2, p[2+topic], p[3+topic])
		case 12:
			out = append(out, 0xd0, 0)
		}
		if _, err := r.Discard(int(size)); err != nil {
			return
		}
		if r.Buffered() == 0 {
			if _, err := c.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
	}
}

func benchEvent(i int) mapping.Event {
	return mapping.Event{Device: "press-7", Type: "press", ID: fmt.Sprintf("press-%02d", i%100), Name: "cycle", Format: "json", QoS: 1,
		Number:  mapping.AsMember,
		Payload: fmt.Appendf(nil, `{"d":{"n":%d,"temperature":%d.25,"state":"running"},"ts":"2026-05-11T08:04:31.114Z"}`, i, 20+i%50)}
}

// BenchmarkPublisher sends a queue that is full; BenchmarkBarePaho sends the same over the same connection from memory.
func BenchmarkPublisher(b *testing.B) {
	q := openQueue(b, b.TempDir())
	for sent := 0; sent < b.N; {
		var out mapping.Output
		for ; sent < b.N && len(out.Events) < 1000; sent++ {
			out.Events = append(out.Events, benchEvent(sent))
		}
		if err := q.Append(b.Context(), "bench", nil, out); err != nil {
			b.Fatal(err)
		}
	}
	p, err := New(Config{Servers: []string{"mqtt://" + sink(b)}, ClientID: "a:legacy:bench", Window: benchWindow}, q)
	if err != nil {
		b.Fatal(err)
	}
	p.Finish()
	b.ReportAllocs()
	b.ResetTimer()
	if err := p.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkBarePaho(b *testing.B) {
	for _, wrapped := range []bool{true, false} {
		b.Run(fmt.Sprintf("wire=%v", wrapped), func(b *testing.B) {
			addr := os.Getenv("BARE_SINK") // another process's, with payloads of BARE_BYTES
			if addr == "" {
				addr = sink(b)
			}
			o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("a:legacy:bench").SetProtocolVersion(4).
				SetCleanSession(true).SetAutoReconnect(false).SetStore(noStore{}).
				SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
					c, err := net.Dial("tcp", addr)
					if err != nil {
						return nil, err
					}
					if !wrapped {
						return bufferedConn{c, bufio.NewReaderSize(c, readBuffer)}, nil
					}
					s := newStream(c)
					return newWire(s, s, newGuard(0, 1<<20), 1<<22), nil
				})
			c := mqtt.NewClient(o)
			if t := c.Connect(); t.Wait() && t.Error() != nil {
				b.Fatal(t.Error())
			}
			defer c.Disconnect(250)
			topics := make([]string, 100)
			payloads := make([][]byte, 1000)
			for i := range topics {
				topics[i] = fmt.Sprintf("iot-2/type/press/id/press-%02d/evt/cycle/fmt/json", i)
			}
			for i := range payloads {
				ev := benchEvent(i)
				payloads[i] = append(ev.Payload[:len(ev.Payload)-1], fmt.Sprintf(`,"id":"7f3c21d0-%d"}`, i)...)
				if size, err := strconv.Atoi(os.Getenv("BARE_BYTES")); err == nil {
					payloads[i] = append(payloads[i], make([]byte, size)...)[:size]
				}
			}
			tokens := make(chan mqtt.Token, benchWindow)
			done := make(chan error, 1)
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for t := range tokens {
					if t.Wait(); t.Error() != nil {
						done <- t.Error()
						return
					}
				}
				done <- nil
			}()
			for i := range b.N {
				tokens <- c.Publish(topics[i%100], 1, false, payloads[i%1000])
			}
			close(tokens)
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// bufferedConn reads through a buffer and does no more.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func openQueue(tb testing.TB, dir string) *queue.Queue {
	tb.Helper()
	q, err := queue.Open(queue.Config{Path: dir + "/queue", Dead: queue.DeadConfig{Path: dir + "/dead"}, Linger: time.Millisecond})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := q.Close(); err != nil {
			tb.Error(err)
		}
	})
	return q
}

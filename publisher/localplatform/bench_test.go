package localplatform_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// BenchmarkQoS1 is one publisher with 100 events in flight and one subscriber: through memory, and with a subscriber
// whose session is kept on disk, where an event is acknowledged after an fsync that many share.
func BenchmarkQoS1(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		s := start(b, nil)
		flow(b, s.Addr().String(), own(s, "a:legacy:pub"), own(s, "a:legacy:sub"))
	})
	b.Run("kept", func(b *testing.B) {
		s := start(b, stored(b.TempDir()))
		flow(b, s.Addr().String(), own(s, "a:legacy:pub"), kept(s, "a:legacy:sub"))
	})
}

// flow sends b.N events of 200 bytes with a window of 100 and waits until the subscriber has them all.
func flow(b *testing.B, addr string, pubLogin, subLogin connect) {
	sub, pub := wire(b, addr, subLogin), wire(b, addr, pubLogin)
	sub.subscribe(1, 1, allEvents)
	sub.want(0x90, 3, 0, 1, 1)
	arrived := make(chan int)
	n := b.N
	go func() {
		w := bufio.NewWriterSize(sub, 16<<10)
		i := 0
		for ; i < n; i++ {
			_, body, err := sub.next()
			if err != nil {
				break
			}
			at := 2 + int(binary.BigEndian.Uint16(body))
			w.Write([]byte{0x40, 2, body[at], body[at+1]})
			if sub.r.Buffered() == 0 {
				w.Flush()
			}
		}
		arrived <- i
	}()
	payload := make([]byte, 200)
	var out []byte
	event := func(id uint16) {
		body := binary.BigEndian.AppendUint16(str(nil, kilnTopic), id)
		out = append(out, packet(0x32, append(body, payload...))...)
	}
	b.ResetTimer()
	sent, acked := 0, 0
	for acked < n {
		for sent < n && sent-acked < 100 {
			event(uint16(sent%60000 + 1))
			sent++
		}
		pub.send(out)
		out = out[:0]
		for first := true; first || pub.r.Buffered() >= 4; first = false {
			if _, _, err := pub.next(); err != nil {
				b.Fatal(err)
			}
			acked++
		}
	}
	if got := <-arrived; got != n {
		b.Fatalf("got %d events, want %d", got, n)
	}
	b.StopTimer()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	for _, c := range []*raw{pub, sub} {
		c.Write([]byte{0xe0, 0})
		io.Copy(io.Discard, c)
		c.Close()
	}
}

func wire(b *testing.B, addr string, l connect) *raw {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(5 * time.Minute))
	c := &raw{t: b, Conn: nc, r: bufio.NewReaderSize(nc, 64<<10)}
	c.send(l.bytes())
	c.want(0x20, 2, 0, 0)
	return c
}

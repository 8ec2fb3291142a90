package publisher

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/publisher/wiotp"
)

// What a server does with its first connection, before it comes to its senses.
func TestHostileServerCostsNoEvent(t *testing.T) {
	noise := bytes.Repeat([]byte{0x9c, 0x00, 0xff, 0x13, 0x37}, 1000)
	connack, half := []byte{0x20, 2, 0, 0}, []byte{0x40, 2, 0}
	publishOf := func(size int, flags byte) []byte {
		return slices.Concat([]byte{0x30 | flags}, uvarint(size), make([]byte, 100))
	}
	for name, c := range map[string]struct {
		login []byte // written instead of a CONNACK, if not nil
		hang  bool   // and then nothing, instead of closing
		ack   []byte // written instead of the first PUBACK
		code  string
	}{
		"noise for a login":                  {login: noise, code: codeProtocol},
		"half a CONNACK, then closed":        {login: connack[:2], code: codeUnreachable},
		"half a CONNACK, then silence":       {login: connack[:3], hang: true, code: codeUnreachable},
		"an HTTP server":                     {login: []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), code: codeProtocol},
		"a PUBACK for a login":               {login: []byte{0x40, 2, 0, 1}, code: codeUnreachable},
		"an unknown return code":             {login: []byte{0x20, 2, 0, 99}, code: codeProtocol},
		"a CONNACK of 256 MB":                {login: []byte{0x20, 0xff, 0xff, 0xff, 0x7f}, code: codeProtocol},
		"noise":                              {ack: noise, code: codeProtocol},
		"half a PUBACK, then closed":         {ack: half, code: codeClosed},
		"half a PUBACK, then silence":        {ack: half, hang: true, code: codeSilent},
		"a PUBACK without an id":             {ack: []byte{0x40, 0}, code: codeProtocol},
		"a SUBACK":                           {ack: []byte{0x90, 3, 0, 1, 0}, code: codeProtocol},
		"an UNSUBACK":                        {ack: []byte{0xb0, 2, 0, 1}, code: codeProtocol},
		"a login of its own":                 {ack: []byte{0x10, 0}, code: codeProtocol},
		"a packet of 256 MB":                 {ack: publishOf(268_435_455, 0), code: codeProtocol},
		"a packet just over the limit":       {ack: publishOf(131_072+wiotp.MaxTopic+5, 2), code: codeProtocol},
		"a length without end":               {ack: []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0xff}, code: codeProtocol},
		"a PUBLISH with no topic in it":      {ack: []byte{0x32, 1, 0}, code: codeClosed},
		"a PUBLISH whose topic is too long":  {ack: []byte{0x32, 5, 0xff, 0xff, 'a', 0, 1}, code: codeClosed},
		"a PUBLISH of QoS 3":                 {ack: []byte{0x36, 7, 0, 1, 'a', 0, 1, 'x', 'y'}, code: codeClosed},
		"PUBACKs of ids that were not sent":  {ack: []byte{0x40, 2, 0xff, 0xff, 0x40, 2, 0, 0, 0x40, 2, 0x12, 0x34}, code: codeClosed},
		"PUBRECs and PUBRELs of nothing":     {ack: []byte{0x50, 2, 0xff, 1, 0x62, 2, 0xff, 2, 0x70, 2, 0xff, 3}, code: codeClosed},
		"a second CONNACK that refuses":      {ack: []byte{0x20, 2, 0, 5}, code: codeClosed},
		"answers to pings that were not":     {ack: bytes.Repeat([]byte{0xd0, 0}, 1000), code: codeClosed},
		"PUBACKs of what is not sent so far": {login: slices.Concat(connack, acksOf(50, 200)), hang: true, code: ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				release := make(chan struct{})
				misbehave := func(p *peer, say []byte) {
					p.write(say)
					switch {
					case c.hang:
						<-release
					case c.code == codeProtocol: // our side ends it; else its writer might see the end before its reader saw why
						_, _ = io.Copy(io.Discard, p.Conn)
					}
					_ = p.Close()
				}
				b.onLogin = func(p *peer) byte {
					if p.n > 1 || c.login == nil {
						return 0
					}
					if c.code == "" { // lets us in
						p.write(c.login)
						return 0xfe
					}
					misbehave(p, c.login)
					return 0xff
				}
				b.onPublish = func(p *peer, m got) {
					if p.n > 1 || c.ack == nil {
						p.ack(m)
						return
					}
					misbehave(p, c.ack)
				}
				r := newRig(t, Config{Window: 10})
				r.dial = b.pipe
				list := events("press-7", 100)
				r.put(t, list...)
				stop := r.start(t)
				time.Sleep(30 * time.Second) // virtual
				close(release)
				time.Sleep(30 * time.Second)
				if s := r.state(); s.Acked != 100 || s.SetAside != 0 {
					t.Errorf("got %+v, want 100 acknowledged and none set aside\n%s", s, r.log)
				}
				if got, _ := firsts(b.got()); !slices.Equal(got, payloads(list)) {
					t.Errorf("got %d events or another order, want 100 in order", len(got))
				}
				if !strings.Contains(r.log.String(), c.code) {
					t.Errorf("got log %s, want %s in it", r.log, c.code)
				}
				stop()
				b.peers.Wait()
			})
		})
	}
}

func uvarint(n int) (b []byte) {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// acksOf are PUBACKs of the ids from first to last.
func acksOf(first, last int) (b []byte) {
	for id := first; id <= last; id++ {
		b = append(b, 0x40, 2, byte(id>>8), byte(id))
	}
	return b
}

// cutter is a server's end of a connection that breaks after so many bytes, in the middle of whatever it is.
type cutter struct {
	net.Conn
	mu      sync.Mutex
	in, out int // bytes still to pass
}

func (c *cutter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), c.in)])
	if c.in -= n; c.in == 0 {
		_ = c.Close()
		return n, io.EOF
	}
	return n, err
}

func (c *cutter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.Conn.Write(p[:min(len(p), c.out)])
	if c.out -= n; c.out == 0 {
		_ = c.Close()
		return n, io.ErrClosedPipe
	}
	return n, err
}

// The connection breaks at every byte that goes to the server, and at every byte that comes from it.
func TestConnectionBreaksAtEveryByte(t *testing.T) {
	const each, never = 3, 1 << 30
	for name, c := range map[string]struct{ in, out int }{
		"in what we send":    {340, 0}, // CONNECT, three PUBLISH and some
		"in what the server": {0, 4 + 4*each},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				var mu sync.Mutex
				cut := &cutter{} // what the next connection gets
				r := newRig(t, Config{})
				r.dial = func(context.Context, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					mu.Lock()
					conn := cut
					cut = &cutter{in: never, out: never} // the one after it holds
					mu.Unlock()
					conn.Conn = theirs
					b.peers.Go(func() { b.serve(conn) })
					return ours, nil
				}
				cut.in, cut.out = never, never
				stop := r.start(t)
				var want []string
				most := max(c.in, c.out)
				for n := 1; n <= most; n++ {
					time.Sleep(20 * time.Minute) // virtual: nobody takes a cut a day for a rival
					list := events(fmt.Sprint("press-", n), each)
					r.put(t, list...)
					want = append(want, payloads(list)...)
					next := &cutter{in: min(n-1+c.out*never, never), out: min(n-1+c.in*never, never)}
					if next.in == 0 || next.out == 0 {
						next.in, next.out = min(next.in+1, never), min(next.out+1, never)
					}
					mu.Lock()
					cut = next
					mu.Unlock()
					b.hangUp()
				}
				time.Sleep(time.Hour)
				stop()
				b.peers.Wait()
				if s := r.state(); s.Acked != uint64(len(want)) || s.SetAside != 0 {
					t.Errorf("got %+v, want %d acknowledged and none set aside", s, len(want))
				}
				if got, repeats := firsts(b.got()); !slices.Equal(got, want) || repeats == 0 || repeats > each*most {
					t.Errorf("got %d events or another order, %d of them again; want %d in order and some again", len(got), repeats, len(want))
				}
			})
		})
	}
}

// A server that talks without end to someone who has subscribed to nothing, and does not listen.
func TestFloodFromTheServerKeepsMemoryFlat(t *testing.T) {
	whole := func(flags byte, body ...byte) []byte {
		return slices.Concat([]byte{0x30 | flags}, uvarint(len(body)), body)
	}
	big := make([]byte, 120_000)
	copy(big, []byte{0, 1, 'a', 0, 7})
	for name, packet := range map[string][]byte{
		"events of QoS 0":        whole(0, big...),
		"events of QoS 1":        whole(2, big...),
		"events of QoS 2":        whole(4, big...),
		"small events of QoS 1":  bytes.Repeat(whole(2, 0, 1, 'a', 0, 7), 500),
		"PUBRELs":                bytes.Repeat([]byte{0x62, 2, 0, 9}, 500),
		"PUBRECs":                bytes.Repeat([]byte{0x50, 2, 0, 9}, 500),
		"PUBACKs of other ids":   bytes.Repeat([]byte{0x40, 2, 0xff, 0xff}, 500),
		"answers to no question": bytes.Repeat([]byte{0xd0, 0}, 500),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker()
			base, most, times := heap(), uint64(0), 100
			if len(packet) > 100_000 {
				times = 300 // 36 MB
			}
			flooded := make(chan struct{})
			once := sync.OnceFunc(func() { close(flooded) })
			b.onPublish = func(p *peer, m got) {
				if p.n > 1 {
					p.ack(m)
					return
				}
				for i := range proof(1, 3, 30) * times {
					if _, err := p.Write(packet); err != nil {
						break
					}
					if i%25 == 24 {
						most = max(most, heap())
					}
				}
				once()
				_ = p.Close()
			}
			r := newRig(t, Config{Servers: []string{b.listen(t)}, Backoff: Backoff{First: time.Millisecond}})
			r.put(t, events("press-7", 10)...)
			stop := r.start(t)
			<-flooded
			b.until(t, "all the events", func() bool { got, _ := firsts(b.got()); return len(got) == 10 })
			stop()
			if most > base+16<<20 {
				t.Errorf("got %d KiB of heap, %d KiB before; want it to stay within 16 MiB", most>>10, base>>10)
			}
		})
	}
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

package publisher

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker speaks just enough MQTT 3.1.1 to misbehave byte by byte. Without a script it lets everyone in and acknowledges
// everything. A script is set before the first connection and runs on the connection's goroutine.
type broker struct {
	onLogin     func(p *peer) (returnCode byte) // 0xff: hang up without an answer, 0xfe: the answer is given
	onPublish   func(p *peer, m got)
	onPing      func(p *peer)
	onSubscribe func(p *peer)
	suback      byte // 0: QoS 2 is granted
	noSuback    bool
	takeOver    bool // a login ends the sessions of the same client id
	peers       sync.WaitGroup

	mu      sync.Mutex
	all     []got
	open    []*peer
	logins  int
	at      []time.Time // of the logins
	changed chan struct{}
}

// got is one PUBLISH as it came.
type got struct {
	conn           int // number of the login, from 1
	id             uint16
	topic, payload string
	flags          byte // of the header: DUP 8, QoS 6, RETAIN 1
	at             time.Time
}

func (m got) qos() byte { return m.flags >> 1 & 3 }

type peer struct {
	*broker
	net.Conn
	n        int
	clientID string
	user     string
	password string
}

func newBroker() *broker { return &broker{changed: make(chan struct{}, 1)} }

// listen serves on a port of loopback.
func (b *broker) listen(tb testing.TB) (server string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.peers.Go(func() { b.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		accepting.Wait()
		b.hangUp()
		b.peers.Wait()
	})
	return "mqtt://" + l.Addr().String()
}

// pipe is a dialer to the broker without a network, for virtual time.
func (b *broker) pipe(context.Context, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	b.peers.Go(func() { b.serve(theirs) })
	return ours, nil
}

// hangUp ends all connections.
func (b *broker) hangUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.open {
		_ = p.Close()
	}
}

func (b *broker) serve(c net.Conn) {
	p := &peer{broker: b, Conn: c}
	defer func() {
		_ = c.Close()
		b.mu.Lock()
		b.open = slices.DeleteFunc(b.open, func(o *peer) bool { return o == p })
		b.mu.Unlock()
		poke(b.changed)
	}()
	r := bufio.NewReader(c)
	for {
		head, err := r.ReadByte()
		if err != nil {
			return
		}
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		switch head >> 4 {
		case 1:
			if !p.login(body) {
				return
			}
		case 3:
			p.publish(head, body)
		case 6:
			p.write([]byte{0x70, 2, body[0], body[1]}) // PUBREL: PUBCOMP
		case 8:
			p.subscribed(body)
		case 12:
			if b.onPing != nil {
				b.onPing(p)
			}
			p.write([]byte{0xd0, 0})
		case 14:
			return
		}
	}
}

func (p *peer) login(body []byte) bool {
	level, flags := body[6], body[7]
	if level != 4 || flags&2 == 0 {
		panic(fmt.Sprintf("got protocol level %d, flags %08b, want MQTT 3.1.1 with a clean session", level, flags))
	}
	rest := body[10:]
	text := func() string {
		n := binary.BigEndian.Uint16(rest)
		s := string(rest[2 : 2+n])
		rest = rest[2+n:]
		return s
	}
	p.clientID = text()
	if flags&0x80 != 0 {
		p.user = text()
	}
	if flags&0x40 != 0 {
		p.password = text()
	}
	p.mu.Lock()
	p.logins++
	p.at = append(p.at, time.Now())
	p.n = p.logins
	for _, o := range p.open {
		if p.takeOver && o.clientID == p.clientID {
			_ = o.Close()
		}
	}
	p.open = append(p.open, p)
	p.mu.Unlock()
	poke(p.changed)
	code := byte(0)
	if p.onLogin != nil {
		code = p.onLogin(p)
	}
	switch code {
	case 0xff:
		return false
	case 0xfe:
		return true
	}
	p.write([]byte{0x20, 2, 0, code})
	return code == 0
}

func (p *peer) publish(head byte, body []byte) {
	n := int(binary.BigEndian.Uint16(body))
	m := got{conn: p.n, topic: string(body[2 : 2+n]), flags: head & 0xf, at: time.Now()}
	body = body[2+n:]
	if m.qos() > 0 {
		m.id = binary.BigEndian.Uint16(body)
		body = body[2:]
	}
	m.payload = string(body)
	p.mu.Lock()
	p.all = append(p.all, m)
	p.mu.Unlock()
	poke(p.changed)
	if p.onPublish != nil {
		p.onPublish(p, m)
	} else {
		p.ack(m)
	}
}

// subscribed answers a SUBSCRIBE to one filter.
func (p *peer) subscribed(body []byte) {
	code := byte(2)
	if p.suback != 0 {
		code = p.suback
	}
	if !p.noSuback {
		p.write([]byte{0x90, 3, body[0], body[1], code})
	}
	if p.onSubscribe != nil {
		p.onSubscribe(p)
	}
}

// ack answers a PUBLISH as its QoS wants it.
func (p *peer) ack(m got) {
	switch m.qos() {
	case 1:
		p.write([]byte{0x40, 2, byte(m.id >> 8), byte(m.id)})
	case 2:
		p.write([]byte{0x50, 2, byte(m.id >> 8), byte(m.id)})
	}
}

// reset ends the connection with a RST, where it is a socket.
func (p *peer) reset() {
	if c, ok := p.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = p.Close()
}

func (p *peer) write(b []byte) { _, _ = p.Write(b) } // a peer that has gone is seen by the next read

// got returns what came so far.
func (b *broker) got() []got {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all)
}

// forgetGot makes room where much comes.
func (b *broker) forgetGot() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = nil
}

// loginTimes are when the logins came.
func (b *broker) loginTimes() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.at)
}

func (b *broker) loggedIn() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logins
}

// until waits until ok, which is asked after every login, PUBLISH and end of a connection.
func (b *broker) until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for !ok() {
		select {
		case <-b.changed:
		case <-late.C:
			tb.Fatalf("waited a minute for: %s", what)
		}
	}
}

// firsts are the payloads in the order of their first delivery; repeats counts the others.
func firsts(all []got) (payloads []string, repeats int) {
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.topic+m.payload] {
			repeats++
			continue
		}
		seen[m.topic+m.payload] = true
		payloads = append(payloads, m.payload)
	}
	return payloads, repeats
}

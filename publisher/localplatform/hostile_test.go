package localplatform_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestP51SilentConnectionIsClosed(t *testing.T) {
	s := start(t, nil)
	s.SetLoginWait(100 * time.Millisecond)
	c := dial(t, s)
	c.wantClosed()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.Silent != 1 || got.Refused != 0 {
		t.Errorf("got %+v, want one silent connection", got)
	}
	s.log.wait(t, "msg=connections without a login", "code=164", "n=1")
}

func TestP51LoginDrippedByteByByteIsClosed(t *testing.T) {
	s := start(t, nil)
	s.SetLoginWait(300 * time.Millisecond)
	c := dial(t, s)
	stop := make(chan struct{})
	var drip sync.WaitGroup
	drip.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond) // each byte well within the wait, the whole far beyond
		defer tick.Stop()
		for _, b := range own(s, "a:legacy:app").bytes() {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	c.wantClosed()
	close(stop)
	drip.Wait()
	if got := s.Stats(); got.Logins != 0 {
		t.Errorf("got %+v, want no login", got)
	}
}

func TestP51FiveHundredSilentConnectionsHoldUpNobody(t *testing.T) {
	s := start(t, nil)
	s.SetLoginWait(time.Hour) // nobody goes for that reason
	var silent []*raw
	for range 500 {
		silent = append(silent, dial(t, s))
	}
	sub := listen(t, s, "sub", 1)
	pub := login(t, s, "pub")
	pub.publish(kilnTopic, []byte("through"), 1, 1, false)
	pub.want(puback(1)...)
	if g := sub.event(); g.payload != "through" {
		t.Errorf("got %+v, want the event", g)
	}
	silent[0].wantClosed() // the oldest made room
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got := s.Stats().Silent; got != 500 {
		t.Errorf("got %d silent connections, want 500", got)
	}
	if got := len(s.log.find("msg=connections without a login")); got != 1 {
		t.Errorf("got %d lines, want one", got)
	}
}

func TestP51OversizedLoginIsRefusedBeforeItsBody(t *testing.T) {
	s := start(t, nil)
	c := dial(t, s)
	c.send([]byte{0x10, 0x80, 0x80, 0x09}) // 147456 bytes announced, none sent
	c.wantClosed()
	c = dial(t, s)
	c.send([]byte{0x10, 0xff, 0xff, 0xff, 0xff, 0x7f})
	c.wantClosed()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, "code=165")
}

func TestLoginAtTheLimitIsRead(t *testing.T) {
	s := start(t, nil)
	l := own(s, "a:legacy:app")
	l.willTopic, l.will = kilnTopic, strings.Repeat("x", 65535)
	c := dial(t, s)
	c.send(l.bytes())
	c.want(0x20, 2, 0, 0)

	l.password = "wrong"
	l.password = strings.Repeat("x", wiotp.MaxPayload-len(l.bytes())+len(l.password))
	if n := len(l.bytes()); n != wiotp.MaxPayload {
		t.Fatalf("got a login of %d bytes, want %d", n, wiotp.MaxPayload)
	}
	refused(t, s, l, 5)
	l.password += "x"
	c = dial(t, s)
	c.send(l.bytes())
	c.wantClosed()
}

func TestLoginTooShortForItsFields(t *testing.T) {
	s := start(t, nil)
	whole := own(s, "a:legacy:app").bytes()
	for n := range len(whole) - 2 {
		c := dial(t, s)
		c.send(packet(0x10, whole[2:2+n]))
		c.wantClosed()
	}
	c := dial(t, s)
	c.send(packet(0x10, append(whole[2:], 0)))
	c.wantClosed()
}

func TestFirstPacketThatIsNoLogin(t *testing.T) {
	s := start(t, nil)
	for _, b := range [][]byte{{0xc0, 0}, []byte("get / http/1.1\r\n\r\n"), {0x16, 3, 1, 2, 0}, {0x11, 0}, {0}} {
		c := dial(t, s)
		c.send(b)
		c.wantClosed()
	}
}

func TestGarbageAfterTheLoginCostsOnlyThatConnection(t *testing.T) {
	s := start(t, nil)
	sub := listen(t, s, "sub", 1)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		c := login(t, s, "garbage")
		b := make([]byte, 1+rnd.IntN(60))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		if rnd.IntN(2) == 0 { // let many get past the first header
			b = packet([]byte{0x30, 0x32, 0x34, 0x82, 0xa2, 0x40, 0x50, 0x62, 0x70, 0xe0, 0xf0, 0x10}[rnd.IntN(12)], b)
		}
		c.Write(b)
		c.Conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c.r)
		c.Close()
	}
	sub.wantOnly(s)
	if got := s.log.find("level=ERROR"); len(got) > 0 {
		t.Errorf("got %v, want no panic", got)
	}
}

func TestSecondLoginOnOneConnectionCloses(t *testing.T) {
	s := start(t, nil)
	c := login(t, s, "app")
	c.send(own(s, "a:legacy:other").bytes())
	c.wantClosed()
	s.log.wait(t, "rule=protocol", "code=105")
}

// A reset would throw away the acknowledgement that was sent just before.
func TestRefusedConnectionEndsWithoutReset(t *testing.T) {
	s := start(t, nil)
	pub := login(t, s, "pub")
	good := packet(0x32, append(str(nil, kilnTopic), 0, 1, 'x'))
	bad := packet(0x30, str(nil, "bad"))
	pub.send(slices.Concat(good, bad, bytes.Repeat(good, 50_000)))
	pub.want(puback(1)...)
	if _, err := pub.r.ReadByte(); err != io.EOF {
		t.Errorf("got %v, want a clean end", err)
	}
}

func TestP21TwoThousandUnreleasedAndNoMore(t *testing.T) {
	s := start(t, nil)
	pub := login(t, s, "pub")
	event := func(id uint16) []byte {
		return packet(0x34, append(str(nil, kilnTopic), byte(id>>8), byte(id)))
	}
	var all []byte
	for id := uint16(1); id <= wiotp.MaxInflight; id++ { // none is released
		all = append(all, event(id)...)
	}
	pub.send(all)
	for id := uint16(1); id <= wiotp.MaxInflight; id++ {
		pub.want(0x50, 2, byte(id>>8), byte(id))
	}
	pub.send(event(wiotp.MaxInflight + 1))
	pub.wantClosed()
}

func TestKeepaliveTimeout(t *testing.T) {
	t.Parallel() // it waits
	s := start(t, nil)
	l := own(s, "a:legacy:app")
	l.keepalive = 1
	c := dial(t, s)
	c.send(l.bytes())
	c.want(0x20, 2, 0, 0)
	c.wantClosed()
	s.log.wait(t, "rule=keepalive", "code=160")
}

// The library holds a lock while it writes to a subscriber, and publishers wait for that lock.
func TestSubscriberThatDoesNotReadHoldsUpNobody(t *testing.T) {
	s := start(t, nil)
	stuck := listen(t, s, "stuck", 1)
	sub := listen(t, s, "sub", 1)
	pub := login(t, s, "pub")
	payload := bytes.Repeat([]byte("x"), 100_000)
	n := uint16(3 * localplatform.MaxBehind / 2 / len(payload))
	for id := uint16(1); id <= n; id++ {
		pub.publish(kilnTopic, payload, 1, id, false)
		pub.want(puback(id)...)
		sub.send(puback(sub.event().id))
	}
	pub.ping()
	if got := s.Stats().Dropped; got == 0 || got >= uint64(n) {
		t.Errorf("got %d of %d events dropped, want those beyond the bound", got, n)
	}
	if got := s.log.find("rule=buffer", "id=a:legacy:stuck"); len(got) != 1 {
		t.Errorf("got %v, want one line", got)
	}
	if got := s.log.find("rule=buffer", "id=a:legacy:sub"); len(got) != 0 {
		t.Errorf("got %v, want nothing lost by the reader", got)
	}
	// Once it reads and acknowledges, it gets events again.
	for {
		g := stuck.event()
		stuck.send(puback(g.id))
		if uint64(g.id) == uint64(n)-s.Stats().Dropped {
			break
		}
	}
	stuck.ping()
	pub.publish(kilnTopic, []byte("again"), 1, 1, false)
	if g := stuck.event(); g.payload != "again" {
		t.Errorf("got %.20q, want the new event", g.payload)
	}
}

func TestStopDoesNotWaitForStuckSubscribers(t *testing.T) {
	s := start(t, nil)
	listen(t, s, "stuck", 0)
	pub := login(t, s, "pub")
	payload := bytes.Repeat([]byte("x"), 100_000)
	for range localplatform.MaxBehind / len(payload) {
		pub.publish(kilnTopic, payload, 1, 1, false)
		pub.want(puback(1)...)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestSubscriberThatNeverAcknowledgesIsBounded(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) { cfg.Buffer = 100 })
	sub := listen(t, s, "sub", 1)
	pub := login(t, s, "pub")
	const n = wiotp.MaxInflight + 100 + 50
	var inflight []got
	for i := range n {
		pub.sent(kilnTopic, fmt.Sprint(i))
		if i < wiotp.MaxInflight {
			inflight = append(inflight, sub.event())
		}
	}
	if got := s.Stats().Dropped; got != 50 {
		t.Errorf("got %d dropped, want 50", got)
	}
	for _, g := range inflight {
		sub.send(puback(g.id))
	}
	same(t, "after the acknowledgements", payloads(sub.until(100)), numbers(wiotp.MaxInflight+50, n))
	if got := s.log.find("rule=buffer", "id=a:legacy:sub"); len(got) != 1 {
		t.Errorf("got %v, want one line", got)
	}
}

func TestP51TooManyConnectionsAreAnsweredWith3(t *testing.T) {
	s := start(t, nil)
	key, token := s.Key()
	for i := range localplatform.MaxSessions {
		c := dial(t, s)
		c.send(connect{id: "a:legacy:app" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)), user: key, password: token.Reveal()}.bytes())
		c.want(0x20, 2, 0, 0)
	}
	refused(t, s, own(s, "a:legacy:onemore"), 3)
	login(t, s, "appaaa") // one that is there may come again
}

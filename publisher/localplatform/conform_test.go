package localplatform_test

import (
	"fmt"
	"testing"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

const (
	anyCommand = "iot-2/type/+/id/+/cmd/+/fmt/+"
	anyDevice  = "iot-2/type/+/id/+/mon"
	anyApp     = "iot-2/app/+/mon"
	kilnReset  = "iot-2/type/kiln/id/K-1/cmd/reset/fmt/json"
	kilnToken  = "token-of-K-1"
	edgeToken  = "token-of-G-1"
)

// site with one device and one gateway that may log in, kiln/K-2 and edge/G-1.
func startFull(t testing.TB, change func(*localplatform.Config)) *site {
	t.Helper()
	s := start(t, func(cfg *localplatform.Config) {
		cfg.Quickstart = true
		if change != nil {
			change(cfg)
		}
	})
	s.fill(t)
	return s
}

func (s *site) fill(t testing.TB) {
	t.Helper()
	for _, err := range []error{s.Register("kiln", "K-2", kilnToken, false), s.Register("edge", "G-1", edgeToken, true)} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// theDevice and theGateway are the logins of those two.
var (
	theDevice  = connect{id: "d:legacy:kiln:K-2", user: wiotp.UseTokenAuth, password: kilnToken}
	theGateway = connect{id: "g:legacy:edge:G-1", user: wiotp.UseTokenAuth, password: edgeToken}
)

// enter logs in and wants to be let in.
func enter(t testing.TB, s *site, l connect) *raw {
	t.Helper()
	c := dial(t, s)
	c.send(l.bytes())
	c.want(0x20, 2, 0, 0)
	return c
}

// resume logs in to a session that was kept.
func resume(t testing.TB, s *site, l connect) *raw {
	t.Helper()
	c := dial(t, s)
	c.send(l.bytes())
	c.want(0x20, 2, 1, 0)
	return c
}

// kept is a login without clean session.
func kept(s *site, id string) connect {
	l := own(s, id)
	l.persistent = true
	return l
}

// subscribed asks for filters and wants them granted.
func (c *raw) subscribed(qos byte, filters ...string) {
	c.t.Helper()
	c.subscribe(9, qos, filters...)
	want := []byte{0x90, byte(2 + len(filters)), 0, 9}
	for range filters {
		want = append(want, qos)
	}
	c.want(want...)
}

func (c *raw) unsubscribed(filters ...string) {
	c.t.Helper()
	b := []byte{0, 8}
	for _, f := range filters {
		b = str(b, f)
	}
	c.send(packet(0xa2, b))
	c.want(0xb0, 2, 0, 8)
}

// sent publishes with QoS 1 and waits for the acknowledgement: it was passed on then.
func (c *raw) sent(topic, payload string) {
	c.t.Helper()
	c.publish(topic, []byte(payload), 1, 77, false)
	c.want(puback(77)...)
}

// leave disconnects in order, and returns when the platform knows.
func (c *raw) leave(s *site, id string) {
	c.t.Helper()
	c.send([]byte{0xe0, 0})
	c.wantClosed()
	s.log.wait(c.t, "msg=client disconnected", "id="+id)
}

// drop ends the connection without a word, and returns when the platform knows.
func (c *raw) drop(s *site, id string) {
	c.t.Helper()
	before := len(s.log.find("msg=client disconnected", "id="+id))
	c.Close()
	s.log.waitMore(c.t, before, "msg=client disconnected", "id="+id)
}

// take reads the events that have arrived, acknowledges them, and stops at the answer to a ping.
func (c *raw) take() (all []got) {
	c.t.Helper()
	c.send([]byte{0xc0, 0})
	for {
		first, body, err := c.next()
		if err != nil {
			c.t.Fatal(err)
		}
		if first == 0xd0 {
			return all
		}
		if first&0xf0 != 0x30 {
			c.t.Fatalf("got packet %x, want an event", first)
		}
		g := parseEvent(first, body)
		if g.qos == 1 {
			c.send(puback(g.id))
		}
		all = append(all, g)
	}
}

func payloads(all []got) (p []string) {
	for _, g := range all {
		p = append(p, g.payload)
	}
	return p
}

// until takes events until there are n.
func (c *raw) until(n int) (all []got) {
	c.t.Helper()
	for len(all) < n {
		g := c.event()
		if g.qos == 1 {
			c.send(puback(g.id))
		}
		all = append(all, g)
	}
	return all
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func numbers(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

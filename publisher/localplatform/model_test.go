package localplatform

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"legacybridge/publisher/wiotp"
)

// The model: clients come, go, subscribe and acknowledge as they like. Whatever they do, the hub's books balance, a
// durable subscriber has every event until it acknowledged it, a group has every event once, and a journal that is
// read again holds the same.
type model struct {
	h       *hub
	conns   map[string]*conn
	n       int
	owed    map[string][]string // durable applications: events not acknowledged
	shared  []string            // likewise the durable group, in no order
	closers []func()
}

type record struct {
	kind byte
	body []byte
}

var modelClients = []string{"a:o:one", "a:o:two", "A:o:app:1", "A:o:app:2", "a:o:brief"}

const modelFilter = "iot-2/type/+/id/+/evt/+/fmt/+"

func modelDurable(id string) bool { return id != "a:o:brief" }

func newModelHub() *hub {
	h := newHub(slog.New(slog.DiscardHandler), 1000, func(who, int) {})
	h.open(&journal{})
	return h
}

func (m *model) connect(t *rapid.T, key string) {
	near, far := net.Pipe()
	go io.Copy(io.Discard, far)
	c := newConn(near)
	c.id = key
	c.drained = func() { m.h.refill(c) }
	id, err := wiotp.ParseClientID(key)
	if err != nil {
		t.Fatal(err)
	}
	old := m.conns[key]
	if refusal := m.h.attach(c, &login{clean: !modelDurable(key), rights: wiotp.Rights{ID: id}}); refusal != nil {
		t.Fatal(refusal)
	}
	c.writing = true
	go c.write()
	if old != nil {
		old.finish(false)
	}
	m.conns[key] = c
	m.closers = append(m.closers, func() { c.finish(false); far.Close() })
}

func (m *model) disconnect(key string) {
	c := m.conns[key]
	m.h.detach(c, &wiotp.Refusal{Code: wiotp.ConnectionLost})
	c.finish(false)
	delete(m.conns, key)
}

func (m *model) session(key string) *session { return m.h.sessions[key] }

func (m *model) members() (n int) {
	for _, key := range modelClients[2:4] {
		if s := m.session(key); s != nil && s.subs[modelFilter] != nil {
			n++
		}
	}
	return n
}

func (m *model) publish(qos byte) {
	m.n++
	payload := fmt.Sprint(m.n)
	top := wiotp.Topic{Kind: wiotp.Event, Type: "t", ID: "i", Name: "e", Format: "f"}
	m.h.publish(&m.h.org, newMessage(top, []byte(payload), qos))
	for _, key := range modelClients[:2] {
		if s := m.session(key); s != nil && s.subs[modelFilter] != nil && min(qos, s.subs[modelFilter].qos) > 0 {
			m.owed[key] = append(m.owed[key], payload)
		}
	}
	if m.members() > 0 && qos > 0 {
		m.shared = append(m.shared, payload)
	}
}

// acknowledge ends one delivery to key.
func (m *model) acknowledge(t *rapid.T, key string) {
	s := m.session(key)
	m.h.lock()
	all := s.inOrder()
	if len(all) == 0 {
		m.h.unlock()
		return
	}
	d := all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
	payload := string(d.m.payload)
	m.h.acked(s, d.pid, d.qos)
	m.h.unlock()
	drop := func(all []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(p string) bool { return p == payload })
	}
	if d.group != nil {
		m.shared = drop(m.shared)
	} else {
		m.owed[key] = drop(m.owed[key])
	}
}

func live(all []*delivery) []*delivery {
	return slices.DeleteFunc(slices.Clone(all), func(d *delivery) bool { return d == nil || d.gone })
}

func contents(all []*delivery) (p []string) {
	for _, d := range all {
		if d.qos > 0 {
			p = append(p, string(d.m.payload))
		}
	}
	return p
}

// check compares the hub with itself and with the model.
func (m *model) check(t *rapid.T) {
	h := m.h
	h.lock()
	defer h.unlock()
	refs, held, connected := map[*message]int{}, 0, 0
	var shared []*delivery
	for key, s := range h.sessions {
		if s.conn != nil {
			connected++
		}
		bytes, waiting := 0, map[*subscription]int{}
		for _, d := range live(s.pending.all[s.pending.head:]) {
			bytes += d.m.size()
			waiting[d.sub]++
		}
		for _, sub := range s.subs {
			if sub.waiting != waiting[sub] {
				t.Fatalf("%s: got %d waiting for a subscription, want %d", key, sub.waiting, waiting[sub])
			}
		}
		all := live(s.everything())
		if bytes != s.bytes || s.pending.live+s.resend.live+len(s.inflight) != len(all) {
			t.Fatalf("%s: got %d bytes, %d+%d+%d deliveries, want %d and %d", key, s.bytes, s.pending.live, s.resend.live, len(s.inflight), bytes, len(all))
		}
		var own []*delivery
		for _, d := range all {
			refs[d.m]++
			if d.group != nil {
				shared = append(shared, d)
			} else {
				own = append(own, d)
			}
		}
		if _, is := s.id.Share(); modelDurable(key) && !is {
			if got, want := contents(own), m.owed[key]; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
				t.Fatalf("%s: got %v, want %v", key, got, want)
			}
		}
	}
	for _, g := range h.groups {
		n, bytes := 0, 0
		for _, sub := range g.members {
			if sub.s.durable() {
				n++
			}
			if sub.s.subs[sub.raw] != sub || sub.group != g {
				t.Fatal("got a member that is none")
			}
		}
		for _, d := range live(g.backlog.all[g.backlog.head:]) {
			refs[d.m]++
			bytes += d.m.size()
			shared = append(shared, d)
		}
		if n != g.durable || bytes != g.bytes {
			t.Fatalf("got %d durable members and %d bytes, want %d and %d", g.durable, g.bytes, n, bytes)
		}
		if g.backlog.live > 0 && g.turn(1<<30) != nil {
			t.Fatal("got a backlog with a member connected, want it handed out")
		}
	}
	if m.members() == 0 { // what is under way to a member that ended its subscription may stay
		m.shared = contents(shared)
	}
	if got, want := contents(shared), m.shared; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Fatalf("group: got %v, want each of %v once", got, want)
	}
	for msg, n := range refs {
		if held += msg.size(); msg.refs != n {
			t.Fatalf("got %d references to %s, want %d", msg.refs, msg.payload, n)
		}
	}
	if held != h.held || connected != h.live {
		t.Fatalf("got %d bytes held, %d connected, want %d and %d", h.held, h.live, held, connected)
	}
}

func TestModelOfSubscribers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{h: newModelHub(), conns: map[string]*conn{}, owed: map[string][]string{}}
		defer func() {
			for _, c := range m.closers {
				c()
			}
		}()
		client := rapid.SampledFrom(modelClients)
		connected := func(t *rapid.T) string { // or it connects now
			key := client.Draw(t, "client")
			if m.conns[key] == nil {
				m.connect(t, key)
			}
			return key
		}
		t.Repeat(map[string]func(*rapid.T){
			"":           m.check,
			"connect":    func(t *rapid.T) { m.connect(t, client.Draw(t, "client")) },
			"disconnect": func(t *rapid.T) { m.disconnect(connected(t)) },
			"subscribe": func(t *rapid.T) {
				key := connected(t)
				qos := byte(rapid.IntRange(1, 2).Draw(t, "qos"))
				id, _ := wiotp.ParseClientID(key)
				f, err := id.ParseFilter(modelFilter, 0)
				if err != nil {
					t.Fatal(err)
				}
				m.h.lock()
				defer m.h.unlock()
				s := m.session(key)
				m.h.subscribe(s, modelFilter, f, qos)
				if g := s.subs[modelFilter].group; g != nil {
					m.h.drain(g)
				}
			},
			"unsubscribe": func(t *rapid.T) {
				key := connected(t)
				m.h.lock()
				defer m.h.unlock()
				m.h.unsubscribe(m.session(key), modelFilter)
			},
			"publish":     func(t *rapid.T) { m.publish(byte(rapid.IntRange(0, 2).Draw(t, "qos"))) },
			"acknowledge": func(t *rapid.T) { m.acknowledge(t, connected(t)) },
			"complete": func(t *rapid.T) {
				key := connected(t)
				m.h.lock()
				defer m.h.unlock()
				clear(m.session(key).released)
			},
		})
	})
}

// What is read back from records of any kind does not bring the platform down, and is written again the same.
func FuzzReplay(f *testing.F) {
	s := &session{num: 1, id: wiotp.ClientID{Class: wiotp.Application, Org: "o", App: "a"}, since: time.UnixMilli(5)}
	msg := newMessage(wiotp.Topic{Kind: wiotp.Event, Type: "t", ID: "i", Name: "e", Format: "f"}, []byte("x"), 1)
	msg.id = 7
	f.Add(kindSession, s.record(), kindSubscribed, subscribedRecord(1, modelFilter, 1), kindMessage, messageRecord(msg, []uint64{1}))
	f.Add(kindSession, s.record(), kindMessage, messageRecord(msg, []uint64{1, 1}), kindDone, doneRecord(1, 7))
	f.Add(kindSession, s.record(), kindMessage, messageRecord(msg, []uint64{1}), kindSent, sentRecord(1, 7, 9))
	f.Add(kindSession, s.record(), kindReceived, pidRecord(1, 3), kindForgotten, numRecord(1))
	f.Add(kindStatus, statusRecord(Device{"t", "i"}, &deviceStatus{connected: true, at: time.UnixMilli(1), payload: []byte("{}")}), kindGroup, []byte{9, 1, 'o', 1, 'a', 1, 'f'}, kindFreed, []byte{})
	f.Fuzz(func(t *testing.T, k1 byte, b1 []byte, k2 byte, b2 []byte, k3 byte, b3 []byte) {
		h := newHub(slog.New(slog.DiscardHandler), 1000, func(who, int) {})
		for _, r := range []record{{k1, b1}, {k2, b2}, {k3, b3}, {k2, b2}} {
			_ = h.replay(r.kind, slices.Clone(r.body))
		}
		h.open(&journal{})
		var once []record
		h.snapshot(func(kind byte, body []byte) { once = append(once, record{kind, slices.Clone(body)}) })
		again := newHub(slog.New(slog.DiscardHandler), 1000, func(who, int) {})
		for _, r := range once {
			if err := again.replay(r.kind, r.body); err != nil {
				t.Fatalf("kind %d: got %v, want its own record read", r.kind, err)
			}
		}
		again.open(&journal{})
		if a, b := len(h.sessions), len(again.sessions); a != b {
			t.Fatalf("got %d sessions, want %d", b, a)
		}
		if a, b := h.held, again.held; a < b {
			t.Fatalf("got %d bytes held, want at most %d", b, a)
		}
		h.expire(time.Now())
	})
}

// FuzzPacket feeds the reader of a connection.
func FuzzPacket(f *testing.F) {
	f.Add([]byte("\x30\x05\x00\x01txx"))
	f.Add([]byte("\x32\x07\x00\x01t\x00\x01xx"))
	f.Add([]byte("\x82\x06\x00\x01\x00\x01t\x00"))
	f.Add([]byte("\xa2\x05\x00\x01\x00\x01t"))
	f.Add([]byte("\x40\x02\x00\x01\xc0\x00\xe0\x00"))
	f.Add([]byte("\x30\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		near, far := net.Pipe()
		go func() { far.Write(b); far.Close() }()
		c := newConn(near)
		for {
			pk, err := c.readPacket(1000)
			if err != nil {
				if diagnose(err) == nil {
					t.Fatal("got no reason")
				}
				break
			}
			if len(pk.Payload) > 1000 || len(pk.TopicName) > 1000 {
				t.Fatalf("got %d bytes, want at most the limit", len(pk.Payload))
			}
		}
		near.Close()
	})
}

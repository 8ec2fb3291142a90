package localplatform_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"legacybridge/publisher/localplatform"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childStore); dir != "" {
		runChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must come; nothing takes as long on a healthy machine.
const patience = 20 * time.Second

// stopWait is ten times what a stop may take, for machines that do a lot besides.
const stopWait = 5 * time.Second

const (
	kilnTopic = "iot-2/type/kiln/id/K-1/evt/temperature/fmt/json"
	allEvents = "iot-2/type/+/id/+/evt/+/fmt/+"
)

// A site is a platform that runs for one test.
type site struct {
	*localplatform.Platform
	log  *logbook
	stop func() error
}

// start opens a platform with one registered device, kiln/K-1, and runs it until the test ends.
func start(t testing.TB, change func(*localplatform.Config)) *site {
	t.Helper()
	log := &logbook{news: make(chan struct{})}
	cfg := localplatform.Config{
		Listen: "127.0.0.1:0", Org: "legacy", Store: "memory",
		Devices: []localplatform.Device{{Type: "kiln", ID: "K-1"}},
		Log:     slog.New(log),
	}
	if change != nil {
		change(&cfg)
	}
	p, err := localplatform.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	s := &site{Platform: p, log: log}
	s.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(stopWait):
			return errors.New("not stopped in time")
		}
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

// A logbook keeps log records for tests to wait for.
type logbook struct {
	mu   sync.Mutex
	recs []map[string]string
	news chan struct{} // closed and renewed with each record
}

func (l *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logbook) WithGroup(string) slog.Handler            { return l }

func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	m := map[string]string{"msg": r.Message, "level": r.Level.String()}
	r.Attrs(func(a slog.Attr) bool { m[a.Key] = a.Value.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recs = append(l.recs, m)
	close(l.news)
	l.news = make(chan struct{})
	return nil
}

// find returns the records with all the given key=value pairs.
func (l *logbook) find(pairs ...string) (found []map[string]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for _, r := range l.recs {
		for _, p := range pairs {
			if k, v, _ := strings.Cut(p, "="); r[k] != v {
				continue next
			}
		}
		found = append(found, r)
	}
	return found
}

// clear forgets what was logged.
func (l *logbook) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recs = nil
}

// wait returns the first record with all the given pairs.
func (l *logbook) wait(t testing.TB, pairs ...string) map[string]string {
	t.Helper()
	return l.waitMore(t, 0, pairs...)
}

// waitMore returns the record after the first n of them.
func (l *logbook) waitMore(t testing.TB, n int, pairs ...string) map[string]string {
	t.Helper()
	late := time.After(patience)
	for {
		l.mu.Lock()
		news := l.news
		l.mu.Unlock()
		if found := l.find(pairs...); len(found) > n {
			return found[n]
		}
		select {
		case <-news:
		case <-late:
			t.Fatalf("got log %v, want a line with %v", l.find(), pairs)
		}
	}
}

// A raw is a client of bytes: nothing between test and socket.
type raw struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, s *site) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &raw{t: t, Conn: nc, r: bufio.NewReaderSize(nc, 64<<10)}
}

// A connect is the content of a CONNECT; zero fields are left out.
type connect struct {
	id, user, password string
	name               string // default MQTT
	level              byte   // default 4
	flags              byte   // in addition to those that follow from the fields
	persistent         bool
	keepalive          uint16
	willTopic, will    string
	willSet            bool
}

func (c connect) bytes() []byte {
	if c.name == "" {
		c.name = "MQTT"
	}
	if c.level == 0 {
		c.level = 4
	}
	flags := c.flags
	if !c.persistent {
		flags |= 2
	}
	b := str(nil, c.name)
	if c.willSet || c.willTopic != "" {
		flags |= 4
	}
	if c.user != "" {
		flags |= 0x80
	}
	if c.password != "" {
		flags |= 0x40
	}
	b = append(b, c.level, flags)
	b = binary.BigEndian.AppendUint16(b, c.keepalive)
	if c.level == 5 {
		b = append(b, 0)
	}
	b = str(b, c.id)
	if flags&4 != 0 {
		b = str(str(b, c.willTopic), c.will)
	}
	if flags&0x80 != 0 {
		b = str(b, c.user)
	}
	if flags&0x40 != 0 {
		b = str(b, c.password)
	}
	return packet(0x10, b)
}

func str(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func packet(first byte, body []byte) []byte {
	b := []byte{first}
	for n := len(body); ; {
		d := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			d |= 0x80
		}
		if b = append(b, d); n == 0 {
			return append(b, body...)
		}
	}
}

func (c *raw) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// next reads one packet.
func (c *raw) next() (first byte, body []byte, err error) {
	if first, err = c.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, shift := 0, 0
	for {
		d, err := c.r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		n |= int(d&0x7f) << shift
		if shift += 7; d&0x80 == 0 {
			break
		}
	}
	body = make([]byte, n)
	_, err = io.ReadFull(c.r, body)
	return first, body, err
}

// want reads one packet, which must be these bytes.
func (c *raw) want(want ...byte) {
	c.t.Helper()
	first, body, err := c.next()
	if err != nil {
		c.t.Fatalf("got %v, want packet % x", err, want)
	}
	if got := packet(first, body); string(got) != string(want) {
		c.t.Fatalf("got packet % x, want % x", got, want)
	}
}

// wantClosed reads to the end of the connection, which must come without another packet.
func (c *raw) wantClosed() {
	c.t.Helper()
	first, body, err := c.next()
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		c.t.Fatal("got an open connection, want it closed")
	}
	if err == nil {
		c.t.Fatalf("got packet % x, want the connection closed", packet(first, body))
	}
}

// ping returns when everything sent before was dealt with, which an acknowledgement does not say: it is written
// before the event is passed on.
func (c *raw) ping() {
	c.t.Helper()
	c.send([]byte{0xc0, 0})
	c.want(0xd0, 0)
}

// login connects an application with the platform's own key.
func login(t testing.TB, s *site, app string) *raw {
	t.Helper()
	c := dial(t, s)
	c.send(own(s, "a:legacy:"+app).bytes())
	c.want(0x20, 2, 0, 0)
	return c
}

// own is a login with the platform's own key.
func own(s *site, id string) connect {
	key, token := s.Key()
	return connect{id: id, user: key, password: token.Reveal()}
}

// publish sends an event; qos above 0 takes id.
func (c *raw) publish(topic string, payload []byte, qos byte, id uint16, retain bool) {
	c.t.Helper()
	first := byte(0x30) | qos<<1
	if retain {
		first |= 1
	}
	b := str(nil, topic)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	c.send(packet(first, append(b, payload...)))
}

// subscribe asks for filters at qos and does not wait.
func (c *raw) subscribe(id uint16, qos byte, filters ...string) {
	c.t.Helper()
	b := binary.BigEndian.AppendUint16(nil, id)
	for _, f := range filters {
		b = append(str(b, f), qos)
	}
	c.send(packet(0x82, b))
}

// listen logs in and subscribes to all events.
func listen(t testing.TB, s *site, app string, qos byte) *raw {
	t.Helper()
	c := login(t, s, app)
	c.subscribe(1, qos, allEvents)
	c.want(0x90, 3, 0, 1, qos)
	return c
}

// A got is a PUBLISH that arrived.
type got struct {
	topic, payload string
	qos            byte
	retain, dup    bool
	id             uint16
}

func (c *raw) event() got {
	c.t.Helper()
	first, body, err := c.next()
	if err != nil || first&0xf0 != 0x30 {
		c.t.Fatalf("got packet %x, %v, want an event", first, err)
	}
	return parseEvent(first, body)
}

func parseEvent(first byte, body []byte) got {
	n := int(binary.BigEndian.Uint16(body))
	g := got{topic: string(body[2 : 2+n]), qos: first >> 1 & 3, retain: first&1 != 0, dup: first&8 != 0}
	body = body[2+n:]
	if g.qos > 0 {
		g.id = binary.BigEndian.Uint16(body)
		body = body[2:]
	}
	g.payload = string(body)
	return g
}

// wantOnly publishes a marker as another application and checks that it is the next event: nothing came before it.
func (c *raw) wantOnly(s *site) {
	c.t.Helper()
	m := login(c.t, s, "marker")
	defer m.Close()
	m.publish(kilnTopic, []byte("marker"), 0, 0, false)
	if g := c.event(); g.payload != "marker" {
		c.t.Fatalf("got %.200q on %.100s, want nothing before the marker", g.payload, g.topic)
	}
}

func puback(id uint16) []byte { return []byte{0x40, 2, byte(id >> 8), byte(id)} }

package modbus_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"legacybridge/adapters"
	"legacybridge/adapters/modbus"
	"legacybridge/hardware/port"
)

func TestMain(m *testing.M) {
	if os.Getenv(meterUnits) != "" {
		serveMeter()
		return
	}
	goleak.VerifyTestMain(m)
}

// An asked is a request as it reached the equipment.
type asked struct {
	header       []byte // MBAP, nil for RTU
	unit, fc     byte
	start, count int    // of a write of one: address and value
	data         []byte // of a write of several
	at           time.Time
}

// A piece of an answer: bytes after a while, or the end of the connection.
type piece struct {
	after  time.Duration
	bytes  []byte
	hangUp bool
}

// A station is simulated equipment whose answers a test makes up: written for these tests, knowing nothing of the
// package but the wire. answer is called for one request at a time.
type station struct {
	framing modbus.Framing
	answer  func(q asked) []piece

	mu      sync.Mutex
	log     []asked
	dials   int
	open    map[net.Conn]bool
	most    int      // connections at the same time
	refuse  error    // instead of a connection
	line    net.Conn // the newest connection: what a converter hears on its serial side goes there
	pending map[*time.Timer]bool
}

// dial is for Config.Dial. It takes its time, as real ones do.
func (s *station) dial(context.Context) (port.Port, error) {
	<-time.After(3 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	ours, theirs := net.Pipe()
	s.admit(theirs)
	go s.serve(theirs)
	return ours, nil
}

// listen serves real TCP instead of Config.Dial. A second connection is closed at once, as small PLCs do.
func (s *station) listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.admit(c)
			second := len(s.open) > 1
			s.mu.Unlock()
			if second {
				c.Close()
			}
			served.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		s.stop()
		l.Close()
		served.Wait()
	})
	return l.Addr().String()
}

func (s *station) admit(c net.Conn) {
	if s.open == nil {
		s.open = map[net.Conn]bool{}
	}
	s.dials++
	s.open[c] = true
	s.most = max(s.most, len(s.open))
	s.line = c
}

// stop gives up the answers that are still to come; a bubble ends only without them.
func (s *station) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for timer := range s.pending {
		timer.Stop()
	}
}

func (s *station) serve(c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, c)
	}()
	for {
		q, err := s.next(c)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.log = append(s.log, q)
		pieces := s.answer(q)
		s.mu.Unlock()
		for _, p := range pieces {
			if p.after == 0 {
				s.send(p, c)
				continue
			}
			s.later(p, c)
		}
	}
}

func (s *station) later(p piece, c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.pending = map[*time.Timer]bool{}
	}
	var timer *time.Timer
	timer = time.AfterFunc(p.after, func() {
		s.mu.Lock()
		delete(s.pending, timer)
		if s.framing == modbus.RTUOverTCP {
			c = s.line
		}
		s.mu.Unlock()
		s.send(p, c)
	})
	s.pending[timer] = true
}

func (s *station) send(p piece, c net.Conn) {
	if p.hangUp {
		if tcp, ok := c.(*net.TCPConn); ok && p.bytes == nil {
			_ = tcp.SetLinger(0) // a reset
		}
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		c.Close()
		return
	}
	_, _ = c.Write(p.bytes) // nobody may listen any more: that is the test's point
}

func (s *station) next(c io.Reader) (asked, error) {
	q := asked{}
	if s.framing == modbus.TCP {
		q.header = make([]byte, 6)
		if _, err := io.ReadFull(c, q.header); err != nil {
			return q, err
		}
	}
	b := make([]byte, 6)
	if _, err := io.ReadFull(c, b); err != nil {
		return q, err
	}
	rest := 0
	if b[1] == 15 || b[1] == 16 {
		n := make([]byte, 1)
		if _, err := io.ReadFull(c, n); err != nil {
			return q, err
		}
		rest = int(n[0])
	}
	if s.framing != modbus.TCP {
		rest += 2
	}
	q.data = make([]byte, rest)
	if _, err := io.ReadFull(c, q.data); err != nil {
		return q, err
	}
	q.unit, q.fc, q.at = b[0], b[1], time.Now()
	q.start, q.count = int(binary.BigEndian.Uint16(b[2:])), int(binary.BigEndian.Uint16(b[4:]))
	return q, nil
}

func (s *station) requests() []asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// frame wraps unit and PDU as an answer to q.
func (q asked) frame(unit byte, pdu ...byte) []byte {
	b := append([]byte{unit}, pdu...)
	if q.header == nil {
		return binary.LittleEndian.AppendUint16(b, crc16(b))
	}
	return append(append(slices.Clone(q.header[:4]), byte(len(b)>>8), byte(len(b))), b...)
}

// registers answers q with one value per register; coils with the lowest bit of each.
func (q asked) registers(value func(address int) uint16) []byte {
	pdu := []byte{q.fc, byte(2 * q.count)}
	if q.fc <= 2 {
		pdu = append(pdu[:1], byte((q.count+7)/8))
		pdu = append(pdu, make([]byte, (q.count+7)/8)...)
		for i := range q.count {
			pdu[2+i/8] |= byte(value(q.start+i)&1) << (i % 8)
		}
		return q.frame(q.unit, pdu...)
	}
	for i := range q.count {
		pdu = binary.BigEndian.AppendUint16(pdu, value(q.start+i))
	}
	return q.frame(q.unit, pdu...)
}

func (q asked) exception(code byte) []byte { return q.frame(q.unit, q.fc|0x80, code) }

// own is a value that no other unit or register has.
func own(unit byte, address int) uint16 { return uint16(unit)<<8 | uint16(address) }

func (q asked) ownRegisters() []byte {
	return q.registers(func(address int) uint16 { return own(q.unit, address) })
}

func now(b []byte) []piece { return []piece{{bytes: b}} }

// crc16 is written down once more: the test must not believe the code it tests. Bit by bit from the polynomial.
func crc16(b []byte) uint16 {
	reg := uint32(0xFFFF)
	for _, c := range b {
		reg ^= uint32(c)
		for range 8 {
			out := reg & 1
			reg >>= 1
			reg ^= out * 0xA001
		}
	}
	return uint16(reg)
}

// A catch is a sink that keeps everything.
type catch struct {
	mu       sync.Mutex
	readings []adapters.Reading
	states   []adapters.State
	came     chan struct{} // capacity 1
}

func newCatch() *catch { return &catch{came: make(chan struct{}, 1)} }

func (c *catch) put(_ context.Context, b adapters.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readings = append(c.readings, b.Readings...)
	c.poke()
	return nil
}

func (c *catch) report(s adapters.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states = append(c.states, s)
	c.poke()
}

func (c *catch) poke() {
	select {
	case c.came <- struct{}{}:
	default:
	}
}

// of returns the readings of one device.
func (c *catch) of(device string) []adapters.Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []adapters.Reading
	for _, r := range c.readings {
		if r.Device == device {
			out = append(out, r)
		}
	}
	return out
}

// last returns the last state and that of one device in it.
func (c *catch) last(device string) (adapters.State, adapters.DeviceState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.states) == 0 {
		return adapters.State{}, adapters.DeviceState{}
	}
	s := c.states[len(c.states)-1]
	for _, d := range s.Devices {
		if d.Device == device {
			return s, d
		}
	}
	return s, adapters.DeviceState{}
}

// wait waits for a condition of what was caught, at most 20 s.
func (c *catch) wait(ok func() bool) bool {
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-c.came:
		case <-late:
			return false
		}
	}
	return true
}

// run polls for a while (of virtual time, in a synctest bubble) and returns what Run returned.
func run(t *testing.T, cfg modbus.Config, c *catch, during func()) error {
	t.Helper()
	cfg.Report = c.report
	s, err := modbus.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, nil, c.put) }()
	during()
	stop()
	return <-ended
}

// units makes devices unit-1, unit-2, … with the same points.
func units(n int, every time.Duration, points ...modbus.Point) []modbus.Device {
	var ds []modbus.Device
	for i := range n {
		ds = append(ds, modbus.Device{Name: name(i + 1), Unit: byte(i + 1), Every: every, Points: points})
	}
	return ds
}

func name(unit int) string { return "unit-" + string(rune('0'+unit)) }

package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/goburrow/modbus"

	"legacybridge/hardware/port"
)

const (
	glance      = 200 * time.Millisecond // longest wait without a look at ctx; Port cannot be interrupted
	writeWithin = 500 * time.Millisecond // a request is a few bytes: longer means that nobody takes them
	dialWithin  = 5 * time.Second        // the others on the link need not wait longer to learn that the host is away
	// What must not be called stale for a spurious character: transceivers make one when they let go of the bus.
	smallestFrame = 5
	// A peer that takes one connection needs a moment to notice that ours has gone.
	renewAfter, renewJitter = 50 * time.Millisecond, 50 * time.Millisecond
	// A line that talks on and on is shared with another master, or is read at the wrong speed.
	minChatter, chatter = 5 * time.Second, 20 // and that many timeouts
)

// What became of a request, beside *modbus.ModbusError.
var (
	errSilent  = errors.New("no answer")
	errDamaged = errors.New("damaged reply")
	errHungUp  = errors.New("connection closed instead of an answer")
	errNoise   = errors.New("the line is never silent")
)

// A lost error ends Run: the port or host is gone, or ctx is done.
type lost struct{ error }

func (l lost) Unwrap() error { return l.error }

// A wire carries requests, one at a time, over a port that it opens when it needs it. It belongs to one goroutine.
type wire struct {
	cfg   *Config
	port  port.Port
	buf   [2 * maxMBAP]byte
	n     int // bytes in buf
	reply [maxMBAP]byte

	transaction uint16    // of all units: two requests of one connection never share a number
	last        time.Time // when something was last sent or heard
	unsure      bool      // a reply may be under way: be silent for one timeout before asking
	failed      bool      // the port was closed because of a fault of ours or theirs
	proven      bool      // this connection has brought an answer

	opened    uint64
	discarded uint64  // frames and pieces that were no answer
	damaged   history // of replies
}

func newWire(cfg *Config) *wire {
	return &wire{cfg: cfg, transaction: uint16(rand.Uint32()), damaged: history{size: 50}} // not the numbers of our predecessor
}

// distrust is for the begin of a Run: an answer to the one before, or to another program, may be under way.
func (w *wire) distrust() {
	w.unsure, w.failed = w.cfg.Framing != TCP, false
}

// client speaks to one unit over w. ctx is that of the Run that owns w.
func (w *wire) client(ctx context.Context, unit byte) modbus.Client {
	send := transporter(func(adu []byte) ([]byte, error) { return w.exchange(ctx, adu) })
	if w.cfg.Framing == TCP {
		p := modbus.NewTCPClientHandler("")
		p.SlaveId = unit
		return modbus.NewClient2(numbered{p, w}, send)
	}
	p := modbus.NewRTUClientHandler("")
	p.SlaveId = unit
	return modbus.NewClient2(p, send)
}

type transporter func(adu []byte) ([]byte, error)

func (t transporter) Send(adu []byte) ([]byte, error) { return t(adu) }

// numbered takes transaction numbers from the wire, where goburrow would count for each unit.
type numbered struct {
	modbus.Packager
	w *wire
}

func (p numbered) Encode(pdu *modbus.ProtocolDataUnit) ([]byte, error) {
	adu, err := p.Packager.Encode(pdu)
	if err != nil {
		return nil, err
	}
	p.w.transaction++
	adu[0], adu[1] = byte(p.w.transaction>>8), byte(p.w.transaction)
	return adu, nil
}

// exchange sends a request and returns the reply to it, which is valid until the next call.
func (w *wire) exchange(ctx context.Context, adu []byte) ([]byte, error) {
	for again := false; ; again = true {
		if err := w.ready(ctx); err != nil {
			return nil, err
		}
		idle := w.proven
		reply, err := w.converse(ctx, adu)
		if err == nil || errors.Is(err, errDamaged) {
			w.damaged.add(err != nil)
		}
		if err == nil {
			w.proven = true
			return reply, nil
		}
		if errors.Is(err, errHungUp) {
			w.close()
			// It answered before and hangs up now, without a byte: it has closed an idle connection.
			if idle && !again && w.n == 0 {
				continue
			}
		}
		w.failed = true
		if w.cfg.Framing != TCP {
			w.unsure = true
		}
		if w.cfg.Framing != RTU {
			w.close()
		}
		return nil, err
	}
}

// ready opens the port if it is closed and lets the silence pass that a request needs.
func (w *wire) ready(ctx context.Context) error {
	for again := false; ; again = true {
		if err := w.open(ctx); err != nil {
			return err
		}
		err := w.settle(ctx)
		if !errors.Is(err, errHungUp) {
			return err
		}
		w.close() // it had closed while nothing was asked
		if again {
			return err
		}
	}
}

func (w *wire) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return lost{err}
	}
	if w.port != nil {
		return nil
	}
	if w.failed && w.cfg.Framing != RTU {
		if err := sleep(ctx, renewAfter+rand.N(renewJitter)); err != nil {
			return lost{err}
		}
	}
	dialing, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	p, err := w.cfg.Dial(dialing)
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("not reached within %v: %w", dialWithin, err)
		}
		return lost{err}
	}
	w.port, w.n, w.failed, w.proven = p, 0, false, false
	w.opened++
	return nil
}

// settle discards what came unasked and waits for silence before a request.
func (w *wire) settle(ctx context.Context) error {
	if w.cfg.Framing == TCP {
		if err := sleep(ctx, w.cfg.Gap-time.Since(w.last)); err != nil { // stale replies are told by their number
			return lost{err}
		}
		return nil
	}
	w.n = 0
	if !w.unsure {
		since := w.last
		if limit := time.Now().Add(time.Millisecond - w.cfg.Gap); since.Before(limit) {
			since = limit // long silent; what waits in the port is heard within the last millisecond
		}
		heard, err := w.silence(ctx, since, w.cfg.Gap)
		if err != nil {
			return err
		}
		if heard < smallestFrame {
			return nil
		}
	}
	if _, err := w.silence(ctx, time.Now(), w.cfg.Timeout); err != nil {
		return err
	}
	w.unsure = false
	return nil
}

// silence reads and discards until nothing was heard for d, beginning at since, and returns how many bytes were.
func (w *wire) silence(ctx context.Context, since time.Time, d time.Duration) (heard int, err error) {
	began := time.Now()
	for {
		now := time.Now()
		if !now.Before(since.Add(d)) {
			break
		}
		if now.Sub(began) > max(minChatter, chatter*w.cfg.Timeout) {
			return heard, lost{fmt.Errorf("%s: %w for %v: another master on it, or the wrong speed", w.cfg.Link, errNoise, d)}
		}
		n, err := w.read(ctx, since.Add(d))
		if n > 0 {
			heard += n
			since, w.last = time.Now(), time.Now()
		}
		w.n = 0
		if err != nil {
			return heard, err
		}
	}
	if heard >= smallestFrame {
		w.discarded++
	}
	return heard, nil
}

// converse writes a request and reads until its reply or the deadline.
func (w *wire) converse(ctx context.Context, adu []byte) ([]byte, error) {
	q := questionOf(w.cfg.Framing, adu)
	_ = w.port.SetDeadline(time.Now().Add(writeWithin))
	if n, err := w.port.Write(adu); err != nil || n < len(adu) {
		return nil, w.trouble(err)
	}
	w.last = time.Now()
	deadline := w.last.Add(w.cfg.Timeout + w.onWire(len(adu)+q.bytes+5))
	rest := w.n > 0 // of frames that came with the last reply
	for {
		if w.n > 0 {
			reply, err := w.take(q)
			if reply != nil || err != nil {
				return reply, err
			}
		}
		if !time.Now().Before(deadline) {
			if w.n > 0 && !rest {
				return nil, errDamaged // something came, and no whole reply was in it
			}
			return nil, errSilent
		}
		n, err := w.read(ctx, deadline)
		if n > 0 {
			rest, w.last = false, time.Now()
		}
		if err != nil {
			return nil, err
		}
	}
}

// take looks for the reply to q in what has been read. Nothing found is no error.
func (w *wire) take(q question) ([]byte, error) {
	if w.cfg.Framing != TCP {
		if frame := findRTU(w.buf[:w.n], q); frame != nil {
			w.n = 0
			return frame, nil
		}
		if w.n == len(w.buf) {
			w.n = copy(w.buf[:], w.buf[w.n-maxRTU:]) // no reply is longer
		}
		return nil, nil
	}
	for {
		frame, err := cutMBAP(w.buf[:w.n])
		if frame == nil {
			return nil, err
		}
		frame = w.reply[:copy(w.reply[:], frame)]
		w.n = copy(w.buf[:], w.buf[len(frame):w.n])
		if binary.BigEndian.Uint16(frame) == q.transaction && frame[mbapHeader-1] == q.unit {
			if q.answers(frame[mbapHeader:]) {
				return frame, nil
			}
			return nil, errDamaged // it bears our number: no other reply will come
		}
		w.discarded++
	}
}

// read adds what comes until the deadline to buf, and returns within a glance. A deadline is no error.
func (w *wire) read(ctx context.Context, deadline time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, lost{err}
	}
	if soon := time.Now().Add(glance); soon.Before(deadline) {
		deadline = soon
	}
	_ = w.port.SetDeadline(deadline) // fails only on a wire that is gone, as Read will say
	n, err := w.port.Read(w.buf[w.n:])
	w.n += n
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, nil
	}
	return n, w.trouble(err)
}

// trouble is what an error of the port means: a tty is gone, a host has hung up.
func (w *wire) trouble(err error) error {
	if w.cfg.Framing == RTU {
		return lost{fmt.Errorf("%s: %w", w.cfg.Link, err)}
	}
	return errHungUp
}

// onWire is how long n characters take, 0 where we cannot know.
func (w *wire) onWire(n int) time.Duration {
	if w.cfg.Framing != RTU {
		return 0
	}
	return time.Duration(n) * w.cfg.Port.Mode.CharTime()
}

func (w *wire) close() {
	if w.port != nil {
		_ = w.port.Close() // nothing is buffered that could still fail
		w.port = nil
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

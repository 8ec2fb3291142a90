package modbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"legacybridge/hardware/port"
)

const (
	dialWithin = 5 * time.Second // port.Open waits longer, and says the same then
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
	sent        time.Time // when bytes of a request last went out
	echo        echo      // whether this port gives us our own requests back

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

// exchange sends a request and returns the reply to it, which is valid until the next call.
func (w *wire) exchange(ctx context.Context, adu []byte) ([]byte, error) {
	for again := false; ; again = true {
		if err := w.ready(ctx); err != nil {
			return nil, err
		}
		write := questionOf(w.cfg.Framing, adu).echo != nil
		if write && w.cfg.Framing != TCP && w.echo == notLearned {
			return nil, errEchoUnknown // the connection was opened anew just now
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
			// A write is never sent twice: it may have been taken.
			if idle && !again && w.n == 0 && !write {
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
			err = &port.Error{Code: port.CodeNoHost, Why: fmt.Sprintf("%s is not reached within %v: host on, cable in, address and port right?", w.cfg.Port.TCP, dialWithin)}
		}
		return lost{err}
	}
	w.port, w.n, w.failed, w.proven, w.echo = p, 0, false, false, notLearned
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

package modbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	glance      = 200 * time.Millisecond // longest wait without a look at ctx; Port cannot be interrupted
	writeWithin = 500 * time.Millisecond // a request is a few bytes: longer means that nobody takes them
)

// converse writes a request and reads until its reply or the deadline.
func (w *wire) converse(ctx context.Context, adu []byte) ([]byte, error) {
	q := questionOf(w.cfg.Framing, adu)
	if q.echo != nil {
		patient, cancel := graceful(ctx)
		defer cancel()
		ctx = patient
	}
	_ = w.port.SetDeadline(time.Now().Add(writeWithin))
	n, err := w.port.Write(adu)
	if n > 0 {
		w.sent = time.Now()
	}
	if err != nil {
		return nil, w.trouble(err)
	}
	w.last = time.Now()
	deadline := w.last.Add(w.cfg.Timeout + w.onWire(len(adu)+q.bytes+5))
	rest := w.n > 0 // of frames that came with the last reply
	for {
		if w.n > 0 {
			reply, err := w.take(q, adu)
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
func (w *wire) take(q question, adu []byte) ([]byte, error) {
	if w.cfg.Framing != TCP {
		b := w.buf[:w.n]
		if w.echo == echoes {
			switch short := min(len(b), len(adu)); {
			case !bytes.Equal(b[:short], adu[:short]):
				if q.echo != nil {
					return nil, errDamaged // one of the two is missing, and they look alike
				}
			case short < len(adu):
				return nil, nil
			default:
				b = b[short:]
			}
		}
		if frame, at := findRTU(b, q); frame != nil {
			if q.echo == nil {
				w.learn(adu, len(b) == w.n, b[:at])
			}
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

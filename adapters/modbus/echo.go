package modbus

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// An echo is whether an RS-485 adapter gives us back what we send. The reply to a write of one register or coil is equal
// to its request, so that the two cannot be told apart: it is learned from reads, and no write goes out before.
type echo byte

const (
	notLearned echo = iota
	silentLine
	echoes
)

// learn looks at what stood before the reply to a read. In doubt, what was known stays.
func (w *wire) learn(adu []byte, whole bool, before []byte) {
	switch {
	case !whole: // the echo was taken away
	case bytes.Contains(before, adu):
		w.echo = echoes
	case len(before) == 0:
		w.echo = silentLine
	}
}

var errEchoUnknown = errors.New("whether this line gives an echo is not known, so that no confirmation could be believed: is another master on it?")

// steady makes the wire ready for a write to u: a connection that the host has closed meanwhile is found out before the
// write, not by it, and on a line it is known whether it gives an echo.
func (s *Source) steady(u *unit) error {
	w := s.wire
	if w.port != nil && w.cfg.Framing != RTU {
		_, err := w.read(s.ctx, time.Now().Add(time.Millisecond))
		if errors.Is(err, errHungUp) {
			w.close()
		} else if err != nil {
			return s.keep(err)
		}
	}
	if w.cfg.Framing == TCP || w.port != nil && w.echo != notLearned {
		return nil
	}
	u.text = u.text[:0]
	err := u.read(&u.requests[u.probe])
	s.note(u, err)
	if err == nil && w.echo == notLearned {
		return errEchoUnknown
	}
	return err
}

// note counts what became of a request from the desk, and keeps that the port is lost.
func (s *Source) note(u *unit, err error) {
	if s.keep(err); s.gone == nil {
		u.count(err)
	}
}

func (s *Source) keep(err error) error {
	if l, ok := errors.AsType[lost](err); ok {
		s.gone = l
	}
	return err
}

// stopGrace is how long the answer to a write is waited for when the service stops; Run must return within a second.
const stopGrace = 700 * time.Millisecond

// graceful gives a context that is done stopGrace after ctx.
func graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })
	return later, func() { stop(); cancel() }
}

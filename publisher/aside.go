package publisher

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"legacybridge/publisher/queue"
)

const (
	asideWait  = 2 * time.Second        // for a disk to take a dead letter before everything else goes on without it
	asideAgain = 5 * time.Second        // until it is tried again
	asideLook  = 100 * time.Millisecond // what is being written is waited for in any case
	maxPutOff  = 1000                   // they are in memory…
	maxBytes   = waitingBytes           // …and no more of it
)

// putOff are events that are to be dead letters, for which the disk has no room. They stay in the queue and are not sent:
// one event must not hold up all others until somebody makes room. It is Run's.
type putOff struct {
	letters map[uint64]letter // by the event's first number
	bytes   int
	tried   time.Time
}

// A letter is what an event is set aside with.
type letter struct {
	event     queue.Entry
	code, why string
}

// setAside makes a dead letter of an event of the queue, now or once the disk has room. If ctx ends before, the event
// stays in the queue.
func (p *Publisher) setAside(ctx context.Context, e queue.Entry, code, why string) error {
	off := &p.putOff
	l := letter{e, code, why}
	if none := len(off.letters) == 0; none || len(off.letters) >= maxPutOff || off.bytes >= maxBytes {
		patience := asideWait
		if !none { // there is no room here either
			patience = 0
		}
		done, err := p.tryAside(ctx, l, patience)
		if done || err != nil || ctx.Err() != nil {
			return err
		}
		off.tried = time.Now()
	}
	if off.letters == nil {
		off.letters = map[uint64]letter{}
	}
	l.event.Event.Payload = bytes.Clone(e.Event.Payload) // it is part of a record, which would be kept as long
	off.letters[e.First] = l
	off.bytes += len(e.Event.Payload)
	return nil
}

// tryAside waits for room for so long, 0: for as long as it takes.
func (p *Publisher) tryAside(ctx context.Context, l letter, patience time.Duration) (done bool, err error) {
	limit, cancel := ctx, context.CancelFunc(func() {})
	if patience > 0 {
		limit, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	if err := p.queue.SetAside(limit, l.event, l.code, l.why); err != nil {
		if limit.Err() != nil {
			return false, nil
		}
		return false, err
	}
	p.state.SetAside++
	p.tell()
	ev := &l.event.Event
	p.say(slog.LevelError, l.code, ev.Device+"/"+ev.Name, "event is a dead letter",
		"device", ev.Device, "event", ev.Name, "seq", l.event.Number, "err", l.why)
	return true, nil
}

// asideAfterAll tries again with what was put off, one after the other until there is no room for one.
func (p *Publisher) asideAfterAll(ctx context.Context, now time.Time) error {
	if len(p.putOff.letters) == 0 || now.Sub(p.putOff.tried) < asideAgain {
		return nil
	}
	p.putOff.tried = now
	for first, l := range p.putOff.letters {
		done, err := p.tryAside(ctx, l, asideLook)
		if !done || err != nil {
			return err
		}
		delete(p.putOff.letters, first)
		p.putOff.bytes -= len(l.event.Event.Payload)
	}
	return nil
}

// isPutOff says whether an event waits only for room among the dead letters.
func (p *Publisher) isPutOff(e *queue.Entry) bool {
	_, is := p.putOff.letters[e.First]
	return is
}

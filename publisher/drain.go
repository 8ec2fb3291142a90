package publisher

import (
	"context"
	"fmt"
	"slices"
	"time"

	"legacybridge/publisher/queue"
)

// flight is a message on its way: published, not acknowledged.
type flight struct {
	token token
	topic string
	qos   byte
	first uint64   // number of its first event
	more  []uint64 // of the others, growing
	count int      // events in it, as people count: a part is none but for the last
	alone *queue.Entry
	sent  time.Time // of one that was sent alone
}

func (f *flight) has(number uint64) bool {
	if f.first == number {
		return true
	}
	_, found := slices.BinarySearch(f.more, number)
	return found
}

func (f *flight) last() uint64 {
	if len(f.more) > 0 {
		return f.more[len(f.more)-1]
	}
	return f.first
}

// drain delivers over one session: it publishes in the order of the queue up to the window, waits for the
// acknowledgements in that order, and takes them to the queue. All of it is one goroutine's.
type drain struct {
	*Publisher
	s      *session
	reader *queue.Reader

	flights []flight // in the order of sending; the end of space
	space   []flight // twice the window, so that making room moves each flight once
	batches batches
	ready   []message
	dry     bool // the reader had nothing more

	alone   *queue.Entry // to be sent alone on a quiet connection, before anything else
	held    *queue.Entry // read, and waits for alone
	asked   bool         // a witness was looked for on this connection
	witness uint64       // its number: the reader comes by it again
	hasty   bool         // there is more to do at once, after a look at acknowledgements and ctx
	ending  bool         // Finish was called, and the reader was asked again since
	quiet   time.Time    // since when nothing is in flight
	moved   time.Time    // last acknowledgement, or first publish after a pause
	slow    time.Time    // when the peer was last seen behind with taking what was published
	pubacks int          // messages acknowledged
	last    string       // topic of the last of them
	mixed   bool         // they had several topics

	timer   *time.Timer
	armed   time.Time // when the timer fires; zero: it does not
	numbers []uint64  // taken and not committed
	events  int       // that they are
}

// deliver runs until ctx is done or Finish is done, both without a drop, or until the connection ends. A non-nil error
// is the queue's.
func (p *Publisher) deliver(ctx context.Context, s *session) (*drop, *queue.Entry, error) {
	d := &drain{Publisher: p, s: s, reader: p.queue.NewReader(), quiet: time.Now(), timer: time.NewTimer(time.Hour),
		space: make([]flight, 0, 2*p.cfg.Window)}
	defer d.timer.Stop()
	defer func() { _ = d.reader.Close() }() // it only reads
	for {
		lost, err := d.step(ctx)
		switch {
		case err != nil:
			s.close()
			return nil, nil, err
		case lost != nil:
			return d.lost(lost)
		case ctx.Err() != nil || d.done():
			s.close()
			return nil, nil, d.lastAcks()
		}
	}
}

// done says that Finish was called and nothing is left.
func (d *drain) done() bool {
	return d.ending && d.dry && len(d.flights)+len(d.ready)+len(d.batches.waiting) == 0 && d.alone == nil && d.held == nil
}

// step takes acknowledgements, sends what it can and waits for something to happen. lost is why the session is over.
func (d *drain) step(ctx context.Context) (lost, err error) {
	lost, err = d.acks()
	if lost != nil || err != nil {
		return lost, err
	}
	if !d.ending && d.finishing() {
		d.ending, d.dry = true, false // what came before Finish counts
	}
	now := time.Now()
	if why := d.silent(now); why != "" {
		return &Failure{Code: codeSilent, Server: d.s.server.addr, Why: why}, nil
	}
	if err := d.asideAfterAll(ctx, now); err != nil {
		return nil, err
	}
	full, err := d.fill(ctx, now)
	if err != nil || ctx.Err() != nil || d.hasty || d.done() {
		return nil, err
	}
	d.arm(now)
	var head, more, room <-chan struct{}
	if len(d.flights) > 0 {
		head = d.flights[d.next()].token.Done()
	}
	if d.dry {
		more = d.reader.More()
	}
	if full {
		room = d.s.wire.room
	}
	finish := d.finish
	if d.ending {
		finish = nil
	}
	select {
	case <-head:
	case <-more:
		d.dry = false
	case <-room:
	case <-d.timer.C:
		d.armed = time.Time{}
	case <-finish:
	case <-d.s.gone():
		return d.s.wire.cause(), nil
	case <-d.queue.Failed():
		return nil, d.queue.Err()
	case <-ctx.Done():
	}
	return nil, nil
}

// silent says why the peer is taken for dead, "" while it is not. No acknowledgement is due for what the peer is still
// taking: a large event needs its time on a slow link. What takes no byte at all the wire gives up by itself.
func (d *drain) silent(now time.Time) string {
	slow := d.s.wire.slow(now)
	if len(d.flights) == 0 {
		if most := d.cfg.KeepAlive + d.t.answer; !slow && now.Sub(d.s.wire.stream.lastHeard()) >= most {
			return fmt.Sprintf("not a word for %v, no answer to a ping", most)
		}
		return ""
	}
	if slow && now.Sub(d.moved) < d.t.dueSlow {
		d.slow = now
	}
	if now.Before(d.due()) {
		return ""
	}
	return fmt.Sprintf("no acknowledgement for %v, %d events wait for one", now.Sub(d.moved).Round(time.Second), len(d.flights))
}

// due is when the peer is dead without another acknowledgement.
func (d *drain) due() time.Time {
	if d.slow.After(d.moved) {
		return d.slow.Add(d.t.due)
	}
	return d.moved.Add(d.t.due)
}

// next is the flight whose acknowledgement is waited for: the oldest, or, where the window is full, the one behind which a
// quarter of it is free. One wake-up for each event would cost more than the event itself.
func (d *drain) next() int {
	n := len(d.flights) / 4
	if len(d.flights) < d.cfg.Window || isDone(d.flights[n].token) { // done before the oldest: a server out of order
		return 0
	}
	return n
}

// arm lets the timer fire when something is due. It is set anew only for an earlier time: waking too early is harmless
// and cheaper than setting it for every message. What is overdue waits for room, which wakes by itself: a timer for it
// would fire again and again until then.
func (d *drain) arm(now time.Time) {
	at := d.batches.next(now)
	wake := func(t time.Time) {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if len(d.putOff.letters) > 0 {
		wake(d.putOff.tried.Add(asideAgain))
	}
	if len(d.flights) > 0 {
		wake(d.due())
	} else {
		word := d.s.wire.stream.lastHeard().Add(d.cfg.KeepAlive + d.t.answer)
		if !word.After(now) { // the peer is slow to take what waits for it
			word = now.Add(slowWrite)
		}
		wake(word)
		if d.alone != nil {
			wake(d.quiet.Add(d.t.quiet))
		}
	}
	if at.IsZero() || !d.armed.IsZero() && !at.Before(d.armed) {
		return
	}
	d.armed = at
	d.timer.Reset(at.Sub(now))
}

// lost ends the session and says how it ended and, if it was sent alone, the event that was in flight first.
func (d *drain) lost(cause error) (*drop, *queue.Entry, error) {
	end := &drop{stood: time.Since(d.s.since)}
	now := time.Now()
	cause = d.s.lost(cause)
	if err := d.lastAcks(); err != nil {
		return nil, nil, err
	}
	end.cause, end.byPeer, end.acked = cause, closedByPeer(cause), d.pubacks > 0
	if (d.mixed || d.pubacks == 1) && now.Sub(d.moved) < d.t.blink {
		end.after = d.last
	}
	var suspect *queue.Entry
	for i := range d.flights {
		f := &d.flights[i]
		if f.qos == 0 { // the connection ended before it took it
			continue
		}
		end.last = max(end.last, f.last())
		if end.inFlight {
			continue
		}
		end.inFlight, end.head, end.topic, end.alone = true, f.first, f.topic, f.alone != nil
		if end.alone {
			end.took, suspect = now.Sub(f.sent), f.alone
		}
	}
	return end, suspect, nil
}

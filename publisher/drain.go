package publisher

import (
	"context"
	"fmt"
	"log/slog"
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
	ending  bool         // Finish was called, and the reader was asked again since
	quiet   time.Time    // since when nothing is in flight
	moved   time.Time    // last acknowledgement, or first publish after a pause
	pubacks int          // messages acknowledged
	last    string       // topic of the last of them
	mixed   bool         // they had several topics

	timer   *time.Timer
	armed   time.Time // when the timer fires; zero: it does not
	numbers []uint64
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
	if len(d.flights) > 0 && now.Sub(d.moved) >= d.t.due {
		return &Failure{Code: codeSilent, Server: d.s.server.addr,
			Why: fmt.Sprintf("no acknowledgement for %v, %d events wait for one", d.t.due, len(d.flights))}, nil
	}
	full, err := d.fill(now)
	if err != nil || ctx.Err() != nil || d.done() {
		return nil, err
	}
	d.arm(now)
	var head, more, room <-chan struct{}
	if len(d.flights) > 0 {
		head = d.flights[0].token.Done()
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

// arm lets the timer fire when something is due. It is set anew only for an earlier time: waking too early is harmless
// and cheaper than setting it for every message.
func (d *drain) arm(now time.Time) {
	at := d.batches.next()
	if len(d.flights) > 0 {
		at = earlier(at, d.moved.Add(d.t.due))
	} else if d.alone != nil {
		at = earlier(at, d.quiet.Add(d.t.quiet))
	}
	if at.IsZero() || !d.armed.IsZero() && !at.Before(d.armed) {
		return
	}
	d.armed = at
	d.timer.Reset(at.Sub(now))
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// acks takes what was acknowledged to the queue, in the order of sending. lost is the error of a message that will not
// be acknowledged any more.
func (d *drain) acks() (lost, err error) {
	n := 0
	for ; n < len(d.flights) && isDone(d.flights[n].token); n++ {
		if lost = d.flights[n].token.Error(); lost != nil {
			break
		}
		d.take(&d.flights[n])
	}
	clear(d.flights[:n])
	d.flights = d.flights[n:]
	return lost, d.commit()
}

// lastAcks takes all that was acknowledged before the connection ended, also past a message that was not.
func (d *drain) lastAcks() error {
	var left []flight
	for i := range d.flights {
		f := &d.flights[i]
		if isDone(f.token) && f.token.Error() == nil {
			d.take(f)
			continue
		}
		left = append(left, *f)
	}
	d.flights = left
	return d.commit()
}

// take notes that f was delivered.
func (d *drain) take(f *flight) {
	d.numbers = append(append(d.numbers, f.first), f.more...)
	if f.alone != nil {
		d.alone = nil
	}
	if f.qos == 0 { // nothing was acknowledged, only sent
		return
	}
	d.breaker.acked(f)
	d.retry.reset()
	d.mixed = d.mixed || d.pubacks > 0 && f.topic != d.last
	d.pubacks++
	d.last = f.topic
	d.moved = time.Now()
}

// commit takes to the queue what take noted.
func (d *drain) commit() error {
	if len(d.numbers) == 0 {
		return nil
	}
	now := time.Now()
	if len(d.flights) == 0 {
		d.quiet = now
	}
	if err := d.queue.Ack(d.numbers...); err != nil {
		return err
	}
	d.progress(now, len(d.numbers), len(d.flights) == 0)
	d.numbers = d.numbers[:0]
	return nil
}

func isDone(t token) bool {
	select {
	case <-t.Done():
		return true
	default:
		return false
	}
}

// fill publishes while the window has room. full says that it stopped because the peer does not take more.
func (d *drain) fill(now time.Time) (full bool, err error) {
	for len(d.flights) < d.cfg.Window {
		if d.s.wire.full() {
			return true, nil
		}
		if len(d.flights) > 0 && d.breaker.narrow(d.flights[0].first) {
			return false, nil
		}
		if d.alone != nil {
			if len(d.flights) > 0 || now.Sub(d.quiet) < d.t.quiet {
				return false, nil
			}
			d.publish(now, single(d.topicOf(d.alone), *d.alone), d.alone)
			return false, nil
		}
		if len(d.ready) > 0 {
			if d.breaker.narrow(d.ready[0].first.Number) && len(d.flights) > 0 {
				return false, nil
			}
			d.publish(now, &d.ready[0], nil)
			d.ready = slices.Delete(d.ready, 0, 1)
			continue
		}
		m, ok := d.batches.due(now, d.dry)
		if !ok && d.dry && d.ending {
			m, ok = d.batches.oldest()
		}
		if ok {
			d.ready = append(d.ready, m)
			continue
		}
		if d.dry {
			return false, nil
		}
		if err := d.read(now); err != nil {
			return false, err
		}
	}
	return false, nil
}

// read takes the next event of the queue and decides what becomes of it.
func (d *drain) read(now time.Time) error {
	e, ok := queue.Entry{}, true
	if d.held != nil {
		e, d.held = *d.held, nil
	} else {
		var err error
		if e, ok, err = d.reader.Next(); err != nil {
			return err
		}
	}
	if !ok {
		d.dry = true
		return nil
	}
	if e.Number == d.witness {
		return nil // sent already
	}
	code, why := d.unsendable(&e)
	if code != "" {
		return d.setAside(e, code, why)
	}
	topic := d.topicOf(&e)
	if d.breaker.topics != nil {
		if d.breaker.wantsWitness(topic) && !d.asked {
			d.asked = true
			w, err := d.findWitness(e.Number)
			if err != nil {
				return err
			}
			if w != nil {
				d.alone, d.held, d.witness = w, &e, w.Number
				return nil
			}
		}
		if d.breaker.topicRefused(topic) {
			if !d.breaker.try(topic, now) {
				return d.setAside(e, codeTopic, "the server hangs up on the topic "+topic+": is the device registered?")
			}
			d.alone = &e
			return nil
		}
	}
	if d.breaker.suspect(e.Number) {
		d.alone = &e
		return nil
	}
	d.queueUp(now, topic, e)
	return nil
}

// queueUp makes e ready to be sent, now or with the rest of its batch.
func (d *drain) queueUp(now time.Time, topic string, e queue.Entry) {
	if e.Event.Batch.Max > 0 && !d.breaker.narrow(e.Number) {
		d.ready = append(d.ready, d.batches.add(now, topic, e, room(d.cfg.MaxPayload, len(topic)))...)
		return
	}
	if len(d.batches.waiting) > 0 { // a topic's events stay in order
		if m, ok := d.batches.of(topic); ok {
			d.ready = append(d.ready, m)
		}
	}
	d.ready = append(d.ready, *single(topic, e))
}

// single is a message of one event.
func single(topic string, e queue.Entry) *message {
	return &message{topic: topic, qos: e.Event.QoS, join: e.Event.Batch.Max > 0, first: e}
}

// publish sends m. alone is its event where it was waited for to be alone.
func (d *drain) publish(now time.Time, m *message, alone *queue.Entry) {
	f := flight{topic: m.topic, qos: m.qos, first: m.first.Number}
	if len(m.more) > 0 {
		f.more = make([]uint64, len(m.more))
		for i := range m.more {
			f.more[i] = m.more[i].Number
		}
	}
	if alone != nil {
		f.alone, f.sent = alone, now
	}
	if len(d.flights) == 0 {
		d.moved = now
	}
	if m.first.Event.Part == 1 {
		d.say(slog.LevelInfo, codeParts, m.first.Event.Device, "event is too large for one message, sent in parts",
			"device", m.first.Event.Device, "topic", m.topic, "seq", m.first.Number, "n", m.first.Event.Parts)
	}
	f.token = d.s.publish(m.topic, m.qos, encode(m, d.stream))
	if len(d.flights) == cap(d.flights) {
		d.flights = append(d.space[:0], d.flights...)
	}
	d.flights = append(d.flights, f)
}

// findWitness looks for the first event after a number whose topic has nothing held against it, nil if there is none near.
func (d *drain) findWitness(after uint64) (*queue.Entry, error) {
	const near = 100_000 // events; a second or two of reading
	r := d.queue.NewReader()
	defer func() { _ = r.Close() }() // it only reads
	for range near {
		e, ok, err := r.Next()
		if err != nil || !ok {
			return nil, err
		}
		if e.Number <= after || e.Event.QoS == 0 || e.Event.Part != 0 || e.Event.Batch.Max > 0 {
			continue
		}
		if code, _ := d.unsendable(&e); code == "" && d.breaker.topics[d.topicOf(&e)] == nil {
			return &e, nil
		}
	}
	return nil, nil
}

// unsendable says why an event that is in the queue is not sent: it came past the gate, or was queued under other limits.
func (d *drain) unsendable(e *queue.Entry) (code, why string) {
	if len(d.topicOf(e)) == 0 {
		return codeBadTopic, d.topic.check(&e.Event, "")
	}
	if why := badPayload(&e.Event); why != "" {
		return codeBadPayload, why
	}
	if size, most := alone(&e.Event), room(d.cfg.MaxPayload, len(d.topicOf(e))); size > most {
		return codeTooLarge, fmt.Sprintf("%d bytes > %d that the platform takes", size, most)
	}
	return "", ""
}

// topicOf is the topic of an event, "" if it can have none. Topics are few, so they are remembered.
func (d *drain) topicOf(e *queue.Entry) string {
	key := topicKey{e.Event.Type, e.Event.ID, e.Event.Name, e.Event.Format}
	topic, ok := d.topics[key]
	if !ok {
		const most = 10_000
		if len(d.topics) >= most {
			clear(d.topics)
		}
		if d.topic.check(&e.Event, "") == "" {
			topic = string(d.topic.append(nil, &e.Event))
		}
		d.topics[key] = topic
	}
	return topic
}

type topicKey struct{ device, id, event, format string }

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

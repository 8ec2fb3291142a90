package publisher

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"legacybridge/publisher/queue"
)

// fill publishes while the window has room. full says that it stopped because the peer does not take more.
func (d *drain) fill(ctx context.Context, now time.Time) (full bool, err error) {
	d.s.wire.cork() // many small events leave in one system call
	defer d.s.wire.uncork()
	for d.hasty = false; len(d.flights) < d.cfg.Window && !d.hasty; {
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
		if err := d.read(ctx, now); err != nil {
			return false, err
		}
	}
	return false, nil
}

// read takes the next event of the queue and decides what becomes of it.
func (d *drain) read(ctx context.Context, now time.Time) error {
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
	if e.Number == d.witness || d.isPutOff(&e) {
		return nil // sent already, or never
	}
	topic := d.topicOf(&e)
	if code, why := d.unsendable(&e, topic); code != "" {
		return d.aside(ctx, e, code, why)
	}
	if d.breaker.topics != nil {
		if d.breaker.wantsWitness(topic) && !d.asked {
			d.asked = true
			w, err := d.findWitness(e.Number)
			if err != nil {
				return err
			}
			if w != nil {
				d.alone, d.held, d.witness = w, ptr(e), w.Number
				return nil
			}
		}
		if d.breaker.topicRefused(topic) {
			if !d.breaker.try(topic, now) {
				return d.aside(ctx, e, codeTopic, "the server hangs up on the topic "+topic+": is the device registered?")
			}
			d.alone = ptr(e)
			return nil
		}
	}
	if d.breaker.suspect(e.Number) {
		d.alone = ptr(e)
		return nil
	}
	d.queueUp(now, topic, e)
	return nil
}

// aside makes a dead letter of an event that is not sent. That waits for the disk, and there may be a million of them.
func (d *drain) aside(ctx context.Context, e queue.Entry, code, why string) error {
	d.hasty = true
	return d.setAside(ctx, e, code, why)
}

// ptr keeps the entries that are not put aside, nearly all, off the heap.
func ptr(e queue.Entry) *queue.Entry { return &e }

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
	f := flight{topic: m.topic, qos: m.qos, first: m.first.Number, count: 1 + len(m.more)}
	if m.first.Event.Part < m.first.Event.Parts {
		f.count = 0
	}
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
		if e.Number <= after || d.isPutOff(&e) || e.Event.QoS == 0 || e.Event.Part != 0 || e.Event.Batch.Max > 0 {
			continue
		}
		topic := d.topicOf(&e)
		if code, _ := d.unsendable(&e, topic); code == "" && d.breaker.topics[d.breaker.subject(topic)] == nil {
			return &e, nil
		}
	}
	return nil, nil
}

// unsendable says why an event that is in the queue is not sent: it came past the gate, or was queued under other limits.
func (d *drain) unsendable(e *queue.Entry, topic string) (code, why string) {
	if topic == "" {
		return codeBadTopic, d.topic.check(&e.Event, "")
	}
	if why := badPayload(&e.Event); why != "" {
		return codeBadPayload, why
	}
	if size, most := alone(&e.Event), room(d.cfg.MaxPayload, len(topic)); size > most {
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

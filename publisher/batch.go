package publisher

import (
	"bytes"
	"slices"
	"time"

	"legacybridge/publisher/queue"
)

const (
	waitingBytes = 4 << 20 // of all batches that wait; above it the oldest leaves early
	waitingRuns  = 1000    // ranges that batches leave in the cursor; the queue holds no more
)

// message is what one PUBLISH carries: one event, or several of one topic.
type message struct {
	topic string
	qos   byte
	join  bool // a JSON array, also with one event
	first queue.Entry
	more  []queue.Entry
}

// batch is a message that waits for more.
type batch struct {
	message
	size   int       // of the array with the ids
	due    time.Time // within after the first was stored
	backed time.Time // while there is more to read: a backlog is joined although each of it is overdue
	runs   int       // of neighbouring numbers
}

// batches are the messages that wait, at most one per topic.
type batches struct {
	waiting []*batch // in the order of their first events
	bytes   int
	runs    int
}

// backlogWait is how long an overdue batch still waits while there is more to read.
const backlogWait = time.Second

// add joins e to the batch of its topic. most is the payload limit for the topic. It returns what is to be sent now,
// in order.
func (b *batches) add(now time.Time, topic string, e queue.Entry, most int) []message {
	var ready []message
	e.Event.Payload = bytes.Clone(e.Event.Payload) // it is part of a record, which would be kept as long
	size := numberedSize(&e) + len(",")
	waiting := b.find(topic)
	if waiting != nil && (waiting.size+size > most || waiting.qos != e.Event.QoS) {
		ready = append(ready, b.take(waiting))
		waiting = nil
	}
	if waiting == nil {
		// What was stored in the future was stored before the clock was put back.
		within := e.Event.Batch.Within
		waited := min(max(now.Sub(e.Stored), 0), within)
		waiting = &batch{message: message{topic: topic, qos: e.Event.QoS, join: true, first: e},
			size: size + len("[]") - len(","), due: now.Add(within - waited), backed: now.Add(min(within, backlogWait)), runs: 1}
		b.waiting = append(b.waiting, waiting)
		b.bytes, b.runs = b.bytes+waiting.size, b.runs+1
	} else {
		if waiting.last().Number+1 != e.Number {
			waiting.runs++
			b.runs++
		}
		waiting.more = append(waiting.more, e)
		waiting.size += size
		b.bytes += size
	}
	if 1+len(waiting.more) >= e.Event.Batch.Max {
		ready = append(ready, b.take(waiting))
	}
	for len(b.waiting) > 0 && (b.bytes > waitingBytes || b.runs >= waitingRuns) {
		ready = append(ready, b.take(b.waiting[0]))
	}
	return ready
}

// due returns a batch that is to be sent now; dry says that the queue has no more to join to it.
func (b *batches) due(now time.Time, dry bool) (message, bool) {
	for _, w := range b.waiting {
		if !now.Before(w.due) && (dry || !now.Before(w.backed)) {
			return b.take(w), true
		}
	}
	return message{}, false
}

// oldest returns the batch that has waited longest.
func (b *batches) oldest() (message, bool) {
	if len(b.waiting) == 0 {
		return message{}, false
	}
	return b.take(b.waiting[0]), true
}

// next is when a batch becomes due; zero if none does. One that is overdue already waits for something else than time.
func (b *batches) next(now time.Time) (at time.Time) {
	for _, w := range b.waiting {
		if w.due.After(now) && (at.IsZero() || w.due.Before(at)) {
			at = w.due
		}
	}
	return at
}

// of returns the batch of a topic, to be sent before something else of that topic.
func (b *batches) of(topic string) (message, bool) {
	if w := b.find(topic); w != nil {
		return b.take(w), true
	}
	return message{}, false
}

func (b *batches) find(topic string) *batch {
	for _, w := range b.waiting {
		if w.topic == topic {
			return w
		}
	}
	return nil
}

func (b *batches) take(w *batch) message {
	i := slices.Index(b.waiting, w)
	b.waiting = slices.Delete(b.waiting, i, i+1)
	b.bytes -= w.size
	b.runs -= w.runs
	return w.message
}

func (m *message) last() *queue.Entry {
	if len(m.more) > 0 {
		return &m.more[len(m.more)-1]
	}
	return &m.first
}

package queue

import (
	"legacybridge/mapping"
)

// maxTemplates bounds what a reader remembers; a site has a few thousand events at most.
const maxTemplates = 4096

// An events reads the events of a batch one after another. Kept from batch to batch it remembers the names, which are
// nearly always the same.
type events struct {
	known     map[string]*mapping.Event
	templates []*mapping.Event
	b         batch
	p         parser
	i         int
	sec       int64
}

// open begins with the events of b. What next returns refers to b's memory.
func (e *events) open(b batch) error {
	e.b, e.p, e.i, e.sec = b, b.events, 0, b.stored.Unix()
	e.templates = e.templates[:0]
	if b.n == 0 {
		return nil
	}
	if e.known == nil || len(e.known) > maxTemplates {
		e.known = make(map[string]*mapping.Event)
	}
	for range e.p.count() {
		raw := e.p.skipTemplate()
		if e.p.bad {
			break
		}
		t, ok := e.known[string(raw)]
		if !ok {
			ev := (&parser{b: raw}).template()
			t = &ev
			e.known[string(raw)] = t
		}
		e.templates = append(e.templates, t)
	}
	if e.p.bad {
		e.b.n = 0
		return errShort
	}
	return nil
}

// left says whether next has another event.
func (e *events) left() bool { return e.i < e.b.n }

// next fills out with the next event.
func (e *events) next(out *Entry) error {
	t := e.p.uvarint()
	if t >= uint64(len(e.templates)) {
		e.p.fail()
	}
	if e.p.bad {
		return e.stop()
	}
	out.Event = *e.templates[t]
	out.Event.Time, e.sec = e.p.time(e.sec)
	out.Number = e.b.base + uint64(e.i)
	out.First, out.Stored = out.Number, e.b.stored
	if out.Event.Part > 0 {
		part, parts := e.p.uvarint(), e.p.uvarint()
		if part == 0 || part > parts || parts > 1<<30 || part > out.Number {
			e.p.fail()
		}
		out.Event.Part, out.Event.Parts = int(part), int(parts)
		out.First -= part - 1
	}
	out.Event.Payload = e.p.bytes()
	if e.p.bad {
		return e.stop()
	}
	e.i++
	return nil
}

func (e *events) stop() error {
	e.i = e.b.n
	return errShort
}

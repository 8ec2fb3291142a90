package queue

import (
	"encoding/binary"
	"time"

	"legacybridge/mapping"
)

// An encoder makes records of batches. It is kept for the next one, with its memory.
type encoder struct {
	rec       []byte
	rows      []tally
	templates []template
	device    map[string]int32 // place of a device in rows, plus one
	first     map[origin]int32 // first template of a device and id, plus one: a device may have many ids
	which     []int32          // template of each event
	lost      uint64           // events of a damaged record that the next record sets aside
}

// A template is what the events of one device and kind share.
type template struct {
	event *mapping.Event
	row   int32
	next  int32 // further template of its origin, plus one; 0: none
}

type origin struct{ device, id string }

// row is the place of a device in rows.
func (e *encoder) row(device string) int32 {
	row := e.device[device]
	if row == 0 {
		e.rows = append(e.rows, tally{Device: device})
		row = int32(len(e.rows))
		e.device[device] = row
	}
	return row - 1
}

// tally fills rows with what an Append means for the ledger. What a mapper counted as read stands, so that an event lost
// on the way would show; without a count of a device, its events and dead letters are what was read.
func (e *encoder) tally(link string, out *mapping.Output) {
	if e.device == nil {
		e.device, e.first = make(map[string]int32), make(map[origin]int32)
	}
	clear(e.device)
	clear(e.first)
	e.rows, e.templates, e.which = e.rows[:0], e.templates[:0], e.which[:0]
	for i := range out.Counts {
		c := &out.Counts[i]
		r := &e.rows[e.row(orLink(c.Device, link))]
		r.Read += uint64(max(c.Read, 0))
		r.Filtered += uint64(max(c.Filtered, 0))
		r.Absent += uint64(max(c.Absent, 0))
	}
	counted := len(e.rows)
	for i := range out.Events {
		t := e.template(&out.Events[i])
		e.which = append(e.which, t)
		if out.Events[i].Part <= 1 {
			e.rows[e.templates[t].row].Queued++
		}
	}
	for i := range out.Dead {
		e.rows[e.row(orLink(out.Dead[i].Device, link))].Dead += uint64(max(out.Dead[i].Units, 1))
	}
	for i := counted; i < len(e.rows); i++ {
		e.rows[i].Read = e.rows[i].Queued + e.rows[i].Dead
	}
}

func orLink(device, link string) string {
	if device == "" {
		return link
	}
	return device
}

// template is the index of ev's template, a new one if need be.
func (e *encoder) template(ev *mapping.Event) int32 {
	if n := len(e.which); n > 0 && alike(e.templates[e.which[n-1]].event, ev) {
		return e.which[n-1]
	}
	from := origin{ev.Device, ev.ID}
	first := e.first[from]
	for t := first; t != 0; t = e.templates[t-1].next {
		if alike(e.templates[t-1].event, ev) {
			return t - 1
		}
	}
	e.templates = append(e.templates, template{event: ev, row: e.row(ev.Device), next: first})
	n := int32(len(e.templates))
	e.first[from] = n
	return n - 1
}

func alike(a, b *mapping.Event) bool {
	return a.Device == b.Device && a.Name == b.Name && a.ID == b.ID && a.Type == b.Type && a.Format == b.Format &&
		a.QoS == b.QoS && a.Number == b.Number && a.Batch == b.Batch && (a.Part > 0) == (b.Part > 0) && a.Suffix == b.Suffix
}

// encode makes a record, its number still to come, of the events that tally saw. gone are numbers that leave the queue.
func (e *encoder) encode(now time.Time, link string, checkpoint []byte, events []mapping.Event, gone []span) {
	b := append(e.rec[:0], make([]byte, frameHead+8)...)
	b = binary.LittleEndian.AppendUint64(b, uint64(now.UnixNano()))
	b = binary.AppendUvarint(b, uint64(len(events)))
	b = putString(b, link)
	if checkpoint == nil {
		b = append(b, 0)
	} else {
		b = putBytes(append(b, 1), checkpoint)
	}
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = putSpans(b, gone)
	b = putRows(b, e.rows)
	b = binary.AppendUvarint(b, e.lost)
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	if len(events) > 0 {
		b = binary.AppendUvarint(b, uint64(len(e.templates)))
		for i := range e.templates {
			b = putTemplate(b, e.templates[i].event)
		}
		sec := now.Unix()
		for i := range events {
			ev := &events[i]
			b = binary.AppendUvarint(b, uint64(e.which[i]))
			b, sec = putTime(b, ev.Time, sec)
			if ev.Part > 0 {
				b = binary.AppendUvarint(b, uint64(ev.Part))
				b = binary.AppendUvarint(b, uint64(ev.Parts))
			}
			b = putBytes(b, ev.Payload)
		}
	}
	e.rec = finish(b, 0, kindBatch)
}

const (
	templatePart   = 1 << 4
	templateBatch  = 1 << 5
	templateSuffix = 1 << 6
)

func putTemplate(b []byte, ev *mapping.Event) []byte {
	flags := ev.QoS&3 | byte(ev.Number)&3<<2
	if ev.Part > 0 {
		flags |= templatePart
	}
	if ev.Batch != (mapping.Batch{}) {
		flags |= templateBatch
	}
	if ev.Part > 0 && ev.Suffix != "" {
		flags |= templateSuffix
	}
	b = append(b, flags)
	for _, s := range [...]string{ev.Device, ev.Type, ev.ID, ev.Name, ev.Format} {
		b = putString(b, s)
	}
	if flags&templateBatch != 0 {
		b = binary.AppendUvarint(b, uint64(ev.Batch.Max))
		b = binary.AppendVarint(b, int64(ev.Batch.Within))
	}
	if flags&templateSuffix != 0 {
		b = putString(b, ev.Suffix)
	}
	return b
}

// template reads what putTemplate wrote. Of a part it has Part and Parts 1, to be replaced by those of each event.
func (p *parser) template() mapping.Event {
	flags := p.byte()
	ev := mapping.Event{QoS: flags & 3, Number: mapping.NumberForm(flags >> 2 & 3)}
	for _, s := range [...]*string{&ev.Device, &ev.Type, &ev.ID, &ev.Name, &ev.Format} {
		*s = p.string()
	}
	if flags&templatePart != 0 {
		ev.Part, ev.Parts = 1, 1
	}
	if flags&templateBatch != 0 {
		ev.Batch = mapping.Batch{Max: int(p.uvarint()), Within: time.Duration(p.varint())}
	}
	if flags&templateSuffix != 0 {
		ev.Suffix = p.string()
	}
	return ev
}

// skipTemplate passes over a template and gives its bytes.
func (p *parser) skipTemplate() []byte {
	all := p.b
	flags := p.byte()
	for range 5 {
		p.bytes()
	}
	if flags&templateBatch != 0 {
		p.uvarint()
		p.uvarint()
	}
	if flags&templateSuffix != 0 {
		p.bytes()
	}
	return all[:len(all)-len(p.b)]
}

// A batch is a record taken apart as far as its events.
type batch struct {
	base       uint64 // number of the first event
	n          int
	stored     time.Time
	link       []byte
	checkpoint []byte // nil: the stored one stays
	books      parser // gone and rows
	events     parser // templates, then events
}

func parseBatch(body []byte) (batch, error) {
	p := parser{b: body}
	b := batch{base: p.u64(), stored: time.Unix(0, int64(p.u64())).UTC()}
	b.n, b.link = p.count(), p.bytes()
	if p.byte() != 0 {
		b.checkpoint = p.bytes()
	}
	n := uint64(p.u32())
	if n > uint64(len(p.b)) {
		p.fail()
		n = 0
	}
	b.books, b.events = parser{b: p.b[:n:n]}, parser{b: p.b[n:]}
	if p.bad || b.base > 1<<62 {
		return batch{}, errShort
	}
	return b, nil
}

// A change is what a batch means for the books: numbers that left the queue with it, what it adds to the ledger, and the
// events of a damaged record that it sets aside.
type change struct {
	gone []span
	rows []tally
	lost uint64
}

func (b *batch) change() (change, error) {
	p := b.books
	c := change{p.spans(), p.rows(), p.uvarint()}
	if p.bad || len(p.b) != 0 {
		return change{}, errShort
	}
	return c, nil
}

// numbers gives where the numbers of a batch begin and end, and its time, without reading the rest.
func numbers(body []byte) (base uint64, n int, stored int64) {
	p := parser{b: body}
	base, stored = p.u64(), int64(p.u64())
	return base, p.count(), stored
}

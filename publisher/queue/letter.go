package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"legacybridge/mapping"
)

// A Letter is a dead letter as it is stored.
type Letter struct {
	Number uint64 // rising, never used twice
	Stored time.Time
	Bytes  int64 // on disk
	Cut    bool  // the end of the record is missing: it must not be replayed
	Dead   mapping.Dead
}

// putLetter appends the record of a dead letter, its number still to come. What is more than a quarter of what all may
// take is cut, and the letter says so.
func putLetter(b []byte, now time.Time, link string, d *mapping.Dead, maxBytes int64) []byte {
	start := len(b)
	raw, head, why, of, cut := d.Raw, d.Head, d.Why, d.Of, byte(0)
	if most := int(min(maxBytes/4, maxBody/2)); len(raw)+len(head) > most {
		why = fmt.Sprintf("%s (of %d bytes the first %d are kept)", why, len(raw), min(len(raw), most))
		raw, head, of, cut = raw[:min(len(raw), most)], nil, nil, 1
	}
	b = append(b, make([]byte, frameHead+8)...)
	b = binary.LittleEndian.AppendUint64(b, uint64(now.UnixNano()))
	for _, s := range [...]string{link, d.Device, d.Event, d.Code, why, d.Origin} {
		b = putString(b, s)
	}
	b, _ = putTime(b, d.Time, now.Unix())
	b = append(b, byte(d.Form), cut)
	b = binary.AppendUvarint(b, uint64(max(d.Units, 1)))
	b = putBytes(b, raw)
	b = putBytes(b, head)
	if of == nil {
		b = append(b, 0)
	} else {
		b = putTemplate(append(b, 1), of)
		b = binary.AppendUvarint(b, uint64(of.Part))
		b = binary.AppendUvarint(b, uint64(of.Parts))
		b, _ = putTime(b, of.Time, now.Unix())
	}
	return finish(b, start, kindLetter)
}

// parseLetter copies what it needs of the body.
func parseLetter(body []byte) (Letter, error) {
	p := parser{b: body}
	l := Letter{Number: p.u64(), Bytes: int64(frameHead + padded(len(body)))}
	stored := int64(p.u64())
	l.Stored = time.Unix(0, stored).UTC()
	d := &l.Dead
	for _, s := range [...]*string{&d.Link, &d.Device, &d.Event, &d.Code, &d.Why, &d.Origin} {
		*s = p.string()
	}
	sec := l.Stored.Unix()
	d.Time, _ = p.time(sec)
	d.Form, l.Cut = mapping.RawForm(p.byte()), p.byte() != 0
	d.Units = int(min(p.uvarint(), 1<<30))
	d.Raw, d.Head = bytes.Clone(p.bytes()), bytes.Clone(p.bytes())
	if p.byte() != 0 {
		ev := p.template()
		ev.Part, ev.Parts = int(min(p.uvarint(), 1<<30)), int(min(p.uvarint(), 1<<30))
		ev.Time, _ = p.time(sec)
		ev.Payload = d.Raw
		d.Of = &ev
	}
	if p.bad || len(p.b) != 0 {
		return Letter{}, errShort
	}
	return l, nil
}

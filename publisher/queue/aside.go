package queue

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"legacybridge/mapping"
)

// SetAside moves an event into the dead letters, durably, and then acknowledges it. All parts of a chunked event go
// together, as one letter with the payload that they were cut from. Without room it waits; it fails only when ctx is done
// or the queue has failed.
func (q *Queue) SetAside(ctx context.Context, e Entry, code, why string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	parts := []Entry{e}
	if e.Event.Parts > 0 {
		var err error
		if parts, err = q.partsOf(e.First); err != nil {
			return err
		}
		if len(parts) == 0 { // its segment has gone
			return nil
		}
	}
	var gone []span
	for _, p := range parts {
		gone = append(gone, span{p.Number, p.Number + 1})
	}
	q.ackMu.Lock()
	waits := slices.ContainsFunc(gone, func(s span) bool { return !q.acked.has(s.lo) })
	q.ackMu.Unlock()
	if !waits {
		return nil // delivered, dropped or set aside before
	}
	letter := letterOf(parts, code, why)
	r := q.newRequest("")
	r.urgent, r.gone, r.count = true, gone, 1
	r.enc.rows = append(r.enc.rows[:0], tally{Device: letter.Device, Dead: 1, Gone: 1})
	r.enc.encode(r.now, "", nil, nil, gone)
	r.letters = putLetter(r.letters, r.now, "", &letter, q.cfg.Dead.MaxBytes)
	return q.submit(ctx, r)
}

// letterOf makes the dead letter of a queued event, given all of its parts.
func letterOf(parts []Entry, code, why string) mapping.Dead {
	ev := parts[0].Event
	d := mapping.Dead{
		Device: ev.Device, Event: ev.Name, Code: code, Why: why, Time: ev.Time,
		Origin: fmt.Sprintf("queue:%d", parts[0].First), Raw: ev.Payload, Form: mapping.RawEvent, Units: 1,
	}
	if ev.Parts > 0 {
		whole, err := join(parts)
		if err != nil {
			d.Why += "; " + err.Error()
		} else {
			ev.Name = strings.TrimSuffix(ev.Name, ev.Suffix)
			ev.Part, ev.Parts, ev.Number = 0, 0, mapping.NoNumber
		}
		d.Event, d.Raw = ev.Name, whole
	}
	ev.Payload = nil
	d.Of = &ev
	return d
}

// join decodes the parts of a chunked event. If it cannot, it gives their envelopes, one per line.
func join(parts []Entry) ([]byte, error) {
	var whole, lines []byte
	var bad error
	for i, p := range parts {
		lines = append(append(lines, p.Event.Payload...), '\n')
		if p.Event.Part != i+1 {
			bad = fmt.Errorf("part %d of %d is missing, so these are the envelopes of the others", i+1, p.Event.Parts)
			continue
		}
		const before, after = `"},"data":"`, `"}`
		_, data, ok := bytes.Cut(p.Event.Payload, []byte(before))
		data, end := bytes.CutSuffix(data, []byte(after))
		n := len(whole)
		whole = append(whole, make([]byte, base64.StdEncoding.DecodedLen(len(data)))...)
		got, err := base64.StdEncoding.Decode(whole[n:], data)
		whole = whole[:n+got]
		if !ok || !end || err != nil {
			bad = fmt.Errorf("part %d is no envelope, so these are the parts as they are", i+1)
		}
	}
	if n := parts[0].Event.Parts; bad == nil && len(parts) < n {
		bad = fmt.Errorf("part %d of %d is missing, so these are the envelopes of the others", len(parts)+1, n)
	}
	if bad != nil {
		return lines, bad
	}
	return whole, nil
}

// partsOf reads all parts of the chunked event whose first part has that number.
func (q *Queue) partsOf(first uint64) ([]Entry, error) {
	q.mu.Lock()
	var at segment
	for _, s := range q.log.segs {
		if s.base <= first && first < s.end {
			at = *s
		}
	}
	q.mu.Unlock()
	if at.index == 0 {
		return nil, nil
	}
	var parts []Entry
	var ev events
	err := scan(q.log, &at, func(b *batch, r *record) error {
		if first < b.base || first >= b.base+uint64(b.n) {
			return nil
		}
		own, err := parseBatch(bytes.Clone(r.body))
		if err == nil {
			err = ev.open(own)
		}
		for err == nil && ev.left() {
			var e Entry
			if err = ev.next(&e); err == nil && e.First == first {
				parts = append(parts, e)
			}
		}
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("parts of event %d: %w", first, err)
	}
	return parts, nil
}

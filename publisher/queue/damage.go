package queue

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"legacybridge/mapping"
)

// codeDamaged is the code of dead letters that hold what is left of a damaged record.
const codeDamaged = "QUE001"

// maxDamage is what such a letter takes of the bytes.
const maxDamage = 64 << 10

// recall reads a folder: books, and the numbers that do not wait. see looks at each record first; nil: nobody does.
func recall(d *folder, st cursorState, b *books, done *ranges, see func(*record) error) (found, error) {
	fd, err := d.load(st.mark, func(s *segment, r *record) error {
		if see != nil {
			if err := see(r); err != nil {
				return err
			}
		}
		switch r.kind {
		case kindState:
			spans, err := b.decode(r.body)
			done.union(spans)
			return err
		case kindBatch:
			batch, err := parseBatch(r.body)
			if err != nil {
				return err
			}
			c, err := batch.change()
			if err != nil {
				return err
			}
			done.union(c.gone)
			b.apply(c)
			if batch.checkpoint != nil {
				b.moveTo(string(batch.link), batch.checkpoint)
			}
			return nil
		case kindCommand:
			what, c, err := parseCommand(r.body)
			if err == nil {
				b.commands.apply(what, c)
			}
			return err
		}
		return fmt.Errorf("a record of kind %d, which is not known here", r.kind)
	})
	if err != nil {
		return fd, err
	}
	done.add(0, max(st.done.first, 1)) // numbers begin at 1
	done.union(st.done.above)
	done.union(fd.skipped)
	d.miss(&fd, st.broken, done)
	return fd, nil
}

// miss finds numbers that are in no record and still wait: a segment goes only when the durable cursor, or a record, says
// that nothing in it waits. Where the cursor is broken, an older one may serve, and they are taken for delivered.
func (d *folder) miss(fd *found, broken bool, done *ranges) {
	for _, g := range fd.gaps {
		n := done.missing(g.lo, g.hi)
		if n > 0 && !broken {
			s := &segment{header: header{index: d.index}}
			for _, o := range slices.Backward(d.segs) {
				if o.base >= g.hi {
					s.index = o.index - 1
				}
			}
			fd.damages = append(fd.damages, damage{seg: s, lo: g.lo, hi: g.hi, why: "a segment is missing or too short; of which devices its events were is not known"})
			continue
		}
		if n > 0 {
			d.log.Warn("the cursor is damaged, and events are in no segment: they are taken for delivered", "file", d.dir, "seq", g.lo, "n", n)
		}
		done.union([]span{g})
	}
}

// scan visits the batches of a segment that have an event which waits.
func (q *Queue) scan(s *segment, visit func(b *batch, ev *events) error) error {
	var ev events
	return scan(q.log, s, func(b *batch, _ *record) error {
		q.ackMu.Lock()
		n := q.acked.missing(b.base, b.base+uint64(b.n))
		q.ackMu.Unlock()
		if n == 0 {
			return nil
		}
		if err := ev.open(*b); err != nil {
			return nil // a reader says so
		}
		return visit(b, &ev)
	})
}

// waitingOf visits the events of a batch that are not in done; unit is set once for a chunked event.
func waitingOf(ev *events, done []span, visit func(e *Entry, unit bool)) error {
	var e Entry
	counted := uint64(0)
	for ev.left() {
		if err := ev.next(&e); err != nil {
			return nil // a reader says so
		}
		for len(done) > 0 && done[0].hi <= e.Number {
			done = done[1:]
		}
		if len(done) > 0 && done[0].lo <= e.Number {
			continue
		}
		visit(&e, e.First != counted)
		counted = e.First
	}
	return nil
}

func (q *Queue) waitingOf(b *batch, ev *events, visit func(e *Entry, unit bool)) error {
	q.ackMu.Lock()
	done := q.acked.within(b.base, b.base+uint64(b.n))
	q.ackMu.Unlock()
	return waitingOf(ev, done, visit)
}

// mourn sets damaged records aside: what is left of them becomes a dead letter, their events count as dead, and nothing
// waits for them.
func (q *Queue) mourn(reports []damage) error {
	for i, g := range reports {
		q.ackMu.Lock()
		lost := q.acked.missing(g.lo, g.hi)
		q.ackMu.Unlock()
		if lost == 0 {
			continue // all of it was delivered, or it was set aside before
		}
		rows, err := q.lostIn(g.seg)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		name := g.seg.path(q.log.dir)
		why := fmt.Sprintf("a damaged record of the queue, %s offset %d: events %d to %d are lost (%s)", name, g.from, g.lo, g.hi-1, g.why)
		letter := mapping.Dead{Code: codeDamaged, Why: why, Origin: fmt.Sprintf("%s:%d", name, g.from), Time: time.Now(), Raw: q.rawOf(g)}
		full := (*Queue).enterDiskFull
		err = q.letters.store(putLetter(nil, time.Now(), "", &letter, q.cfg.Dead.MaxBytes))
		switch {
		case err == nil:
			err = q.own(change{gone: []span{{g.lo, g.hi}}, rows: rows, lost: lost})
		case q.letters.apart:
			full = (*Queue).enterDeadFull
		}
		if errors.Is(err, errNoRoom) {
			q.mu.Lock()
			q.reports = append(q.reports, reports[i:]...)
			q.mu.Unlock()
			return full(q)
		}
		if err != nil {
			return err
		}
		q.cfg.Log.Error("a damaged record was set aside", "file", name, "offset", g.from, "bytes", g.to-g.from, "n", lost, "err", g.why)
	}
	return nil
}

func (q *Queue) rawOf(g damage) []byte {
	f, err := q.cfg.FS.Open(g.seg.path(q.log.dir), os.O_RDONLY)
	if err != nil {
		return nil // the letter says where it was
	}
	defer func() { _ = f.Close() }() // it only reads
	b := make([]byte, min(g.to-g.from, maxDamage))
	if err := readAll(f, b, g.from); err != nil {
		return nil
	}
	return b
}

// lostIn is what the damaged records of a segment held, by device: what the ledger grew by over the segment, less what
// its whole records say. If a segment is damaged once more it counts the first time too, but never more than can be lost.
func (q *Queue) lostIn(s *segment) ([]tally, error) {
	if s.flags&flagCompacted != 0 || s.stream == 0 {
		return nil, nil // not known
	}
	var after books
	after.ledger = q.books.ledger
	for i, n := range q.log.segs[:len(q.log.segs)-1] {
		if n.index == s.index {
			b, ok, err := q.stateOf(q.log.segs[i+1])
			if err != nil || !ok {
				return nil, err
			}
			after = b
		}
	}
	before, ok, err := q.stateOf(s)
	if err != nil || !ok {
		return nil, err
	}
	sum := before.ledger
	err = scan(q.log, s, func(b *batch, _ *record) error {
		if c, err := b.change(); err == nil {
			sum.add(c.rows)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var waiting ledger
	if err := q.countWaiting(&waiting); err != nil {
		return nil, err
	}
	var lost []tally
	for _, t := range after.ledger.rows {
		all := q.books.ledger.get(t.Device)
		n := min(t.Queued-min(sum.get(t.Device).Queued, t.Queued), all.Queued-min(all.Gone+waiting.get(t.Device).Queued, all.Queued))
		if n > 0 {
			lost = append(lost, tally{Device: t.Device, Dead: n, Gone: n})
		}
	}
	return lost, nil
}

// stateOf reads the books that a segment begins with.
func (q *Queue) stateOf(s *segment) (b books, ok bool, err error) {
	err = q.log.records(s, func(r *record) error {
		if r.kind == kindState {
			_, err := b.decode(r.body)
			ok = err == nil
		}
		return errFound // it is the first
	})
	if err != nil && !errors.Is(err, errFound) {
		return books{}, false, err
	}
	return b, ok, nil
}

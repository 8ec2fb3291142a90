package queue

import (
	"errors"
	"fmt"
	"time"
)

// dropOldest drops the oldest events of links that want it so, a segment's at a time, until need more bytes fit. On a full
// disk later says that enough was given up and the disk does not show it yet: some file systems give room back with
// their next commit, and any while another process reads the file. It is to be waited for, else all would be given up: by
// every link until the next look at the disk.
func (q *Queue) dropOldest(need int64, alone bool) (ok, later bool, err error) {
	if q.isDiskFull() && time.Since(q.gaveUp) < probePeriod {
		return false, true, nil
	}
	before := q.log.bytes()
	for i := 0; i < len(q.log.segs); {
		s := q.log.segs[i]
		if s.kept {
			i++
			continue
		}
		n, err := q.dropFrom(s, func(b *batch) bool { return q.cfg.WhenFull[string(b.link)] == DropOldest })
		if errors.Is(err, errNoRoom) {
			return false, false, nil
		}
		if err != nil {
			return false, false, err
		}
		if n == 0 {
			q.keep(s)
			i++
			continue
		}
		q.dropping(n)
		if s == q.log.last() {
			if err := q.roll(); err != nil && !errors.Is(err, errNoRoom) {
				return false, false, err
			}
		}
		if s != q.log.last() {
			if err := q.shrink(s); err != nil {
				return false, false, err
			}
		}
		q.rescan = true
		if err := q.reclaim(); err != nil {
			return false, false, err
		}
		if q.isDiskFull() {
			if err := q.tryReserve(need); err != nil {
				return false, false, err
			}
		}
		if ok, err := q.room(need, DropOldest, alone); ok || err != nil {
			return ok, false, err
		}
		if q.isDiskFull() && before-q.log.bytes() >= need+q.reserve.size+spare {
			q.gaveUp = time.Now()
			return false, true, nil
		}
		if i < len(q.log.segs) && q.log.segs[i] == s {
			i++
		}
	}
	return false, false, nil
}

// keep notes that a segment that does not grow any more has nothing to be dropped.
func (q *Queue) keep(s *segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.kept = s != q.log.last()
}

// shrink takes out of a segment what does not wait, if that is worth the writing. What stays there is kept.
func (q *Queue) shrink(s *segment) error {
	q.ackMu.Lock()
	drained := q.acked.covers(s.base, s.end)
	q.ackMu.Unlock()
	if drained {
		return nil // it goes
	}
	n, err := q.log.compact(s, func(lo, hi uint64) bool {
		return q.safe.missing(lo, hi) > 0
	})
	switch {
	case errors.Is(err, errNoRoom):
		q.keep(s)
		return nil
	case err != nil:
		return err
	}
	n.kept = true
	q.mu.Lock()
	for i := range q.log.segs {
		if q.log.segs[i] == s {
			q.log.segs[i] = n
		}
	}
	q.mu.Unlock()
	return nil
}

// dropFrom drops the events of a segment that wait and whose batch is wanted: durably and counted.
func (q *Queue) dropFrom(s *segment, wanted func(b *batch) bool) (dropped int, err error) {
	var rows ledger
	var gone []span
	err = q.scan(s, func(b *batch, ev *events) error {
		if !wanted(b) {
			return nil
		}
		return q.waitingOf(b, ev, func(e *Entry, unit bool) {
			if !unit {
				return
			}
			// All parts go, also those that were acknowledged: of these a crash may undo it.
			lo, hi := e.First, e.First+uint64(max(e.Event.Parts, 1))
			if n := len(gone); n > 0 && gone[n-1].hi == lo {
				gone[n-1].hi = hi
			} else {
				gone = append(gone, span{lo, hi})
			}
			r := rows.row(e.Event.Device)
			r.Dropped++
			r.Gone++
			dropped++
		})
	})
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	return dropped, q.own(change{gone: gone, rows: rows.rows})
}

// age drops what is older than MaxAge.
func (q *Queue) age(now time.Time) error {
	q.ages.look(now, q.log.next)
	q.letters.ages.look(now, q.letters.next)
	if now.Sub(q.aged) < agePeriod {
		return nil
	}
	q.aged = now
	limit := now.Add(-q.cfg.MaxAge)
	dates := q.ages.date(now)
	for i := 0; i < len(q.log.segs); i++ {
		s := q.log.segs[i]
		if s.records == 0 {
			continue
		}
		before := *dates
		if !dates.of(s.base, s.oldest).Before(limit) && !dates.of(s.end-1, s.newest).Before(limit) {
			continue
		}
		*dates = before
		n, err := q.dropFrom(s, func(b *batch) bool { return dates.of(b.base, b.stored.UnixNano()).Before(limit) })
		if errors.Is(err, errNoRoom) {
			break
		}
		if err != nil {
			return err
		}
		if n > 0 {
			q.cfg.Log.Warn("events older than queue.max_age were dropped", "n", n)
			q.mu.Lock()
			q.dropped += uint64(n)
			q.mu.Unlock()
			q.rescan = true
		}
	}
	if err := q.reclaim(); err != nil {
		return err
	}
	if err := q.letters.age(now); err != nil && !errors.Is(err, errNoRoom) {
		return fmt.Errorf("dead letters: %w", err)
	}
	return nil
}

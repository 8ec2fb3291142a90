package queue

import (
	"bytes"
	"errors"
	"os"
	"time"
)

// A State is how the queue is doing; asking costs little.
type State struct {
	Waiting  uint64    // numbers: events, of chunked ones the parts
	Bytes    int64     // of the segments on disk
	MaxBytes int64     // of these
	Oldest   time.Time // when the oldest event that waits was stored; zero if none does
	Held     int       // Appends that wait for room
	Full     bool      // MaxBytes is reached
	DiskFull bool      // the disk is full
	DeadFull bool      // the dead letters have a disk of their own, and that is full: what brings some waits
	Since    time.Time // of any of these
	Dropped  uint64    // events, by this process
	Damaged  uint64    // records that were damaged, since the folder was made
	Lost     uint64    // events that were in them
}

// State is how the queue is doing now.
func (q *Queue) State() State {
	q.mu.Lock()
	st := State{
		Bytes: q.log.bytes(), MaxBytes: q.cfg.MaxBytes, Held: len(q.held), Full: q.full == queueFull, DiskFull: q.full == diskFull, DeadFull: q.deadFull,
		Dropped: q.dropped, Damaged: q.books.damaged, Lost: q.books.lost,
	}
	if q.full != roomy {
		st.Since = q.fullAt
	} else if q.deadFull {
		st.Since = q.deadAt
	}
	q.ackMu.Lock()
	first := q.acked.first
	st.Waiting = q.acked.waiting(q.mark.next)
	q.ackMu.Unlock()
	var at segment
	for _, s := range q.log.segs {
		if s.base <= first && first < s.end {
			at = *s
			break
		}
	}
	known, oldest := q.oldestOf, q.oldest
	q.mu.Unlock()
	if st.Waiting == 0 {
		return st
	}
	if known != first && at.index > 0 {
		oldest = oldestIn(q.log, &at, first)
		q.mu.Lock()
		q.oldestOf, q.oldest = first, oldest
		q.mu.Unlock()
	}
	st.Oldest = oldest
	return st
}

// oldestIn is when the first batch of a segment that has the number first or a later one was stored.
func oldestIn(d *folder, s *segment, first uint64) (at time.Time) {
	_ = scan(d, s, func(b *batch, _ *record) error { // a segment that has gone meanwhile has no oldest
		if b.base+uint64(b.n) <= first {
			return nil
		}
		at = b.stored
		return errFound
	})
	return at
}

// Stream is the random id of this folder: 8 lower-case hex digits.
func (q *Queue) Stream() string { return q.stream }

// Checkpoint returns the stored position of a link, nil if there is none.
func (q *Queue) Checkpoint(link string) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	return bytes.Clone(q.books.checkpoint(link))
}

// Stats closes the books: the ledger per device. It reads all that waits, so it takes a while where that is much.
func (q *Queue) Stats() ([]Account, error) {
	for range 5 {
		list, err := q.stats()
		if !errors.Is(err, os.ErrNotExist) {
			return list, err
		}
		// A segment was removed meanwhile.
	}
	return q.stats()
}

func (q *Queue) stats() ([]Account, error) {
	var sum, waiting ledger
	q.mu.Lock()
	sum.add(q.books.ledger.rows)
	sum.add(q.lazy.rows)
	segs, done := q.snapshot()
	q.mu.Unlock()
	if err := countWaiting(q.log, segs, &done, &waiting); err != nil {
		return nil, err
	}
	return sum.accounts(&waiting), nil
}

// snapshot is what is on the disk, and what of it does not wait. Under mu.
func (q *Queue) snapshot() ([]segment, ranges) {
	var segs []segment
	for _, s := range q.log.segs {
		segs = append(segs, *s)
	}
	q.ackMu.Lock()
	defer q.ackMu.Unlock()
	return segs, q.acked.clone()
}

func (q *Queue) countWaiting(waiting *ledger) error {
	q.mu.Lock()
	segs, done := q.snapshot()
	q.mu.Unlock()
	return countWaiting(q.log, segs, &done, waiting)
}

// countWaiting puts the events that wait into Queued of a ledger.
func countWaiting(d *folder, segs []segment, done *ranges, waiting *ledger) error {
	var ev events
	for i := range segs {
		if done.covers(segs[i].base, segs[i].end) {
			continue
		}
		err := scan(d, &segs[i], func(b *batch, _ *record) error {
			if done.missing(b.base, b.base+uint64(b.n)) == 0 {
				return nil
			}
			if err := ev.open(*b); err != nil {
				return nil // load or a reader says so
			}
			return waitingOf(&ev, done.within(b.base, b.base+uint64(b.n)), func(e *Entry, unit bool) {
				if unit {
					waiting.row(e.Event.Device).Queued++
				}
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

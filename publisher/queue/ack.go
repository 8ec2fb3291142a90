package queue

import (
	"time"
)

// Ack marks events as delivered; the cursor follows lazily. Numbers may come in any order.
func (q *Queue) Ack(numbers ...uint64) error {
	select {
	case <-q.failed:
		return q.Err()
	default:
	}
	if len(numbers) == 0 {
		return nil
	}
	q.ackMu.Lock()
	for i := 0; i < len(numbers); {
		lo := numbers[i]
		hi := lo + 1
		for i++; i < len(numbers) && numbers[i] == hi; i++ {
			hi++
		}
		if hi > q.mark.next { // never given out
			continue
		}
		q.acked.add(lo, hi)
		q.top = max(q.top, hi)
	}
	first := q.unsaved == 0
	if first {
		q.unsavedAt = time.Now()
	}
	q.unsaved += len(numbers)
	save, kick := q.unsaved >= saveAcks, first || q.acked.first >= q.edge
	q.ackMu.Unlock()
	if save {
		// In the caller's goroutine: while the committer waits for the disk, a kill must not undo more than this.
		if err := q.saveCursor(); err != nil {
			q.fail(err)
			return q.Err()
		}
	}
	if kick {
		q.kick()
	}
	return nil
}

// saveCursor writes the cursor, without a sync.
func (q *Queue) saveCursor() error {
	q.curMu.Lock()
	defer q.curMu.Unlock()
	q.ackMu.Lock()
	q.cursor.encode(q.mark, &q.acked)
	q.written = ranges{first: q.acked.first, above: append(q.written.above[:0], q.acked.above[:min(len(q.acked.above), maxRanges)]...)}
	q.unsaved, q.unsynced = 0, true
	q.ackMu.Unlock()
	return q.cursor.write()
}

// syncCursor makes what was written durable. Only the committer calls it.
func (q *Queue) syncCursor() error {
	q.curMu.Lock()
	defer q.curMu.Unlock()
	if err := q.cursor.sync(); err != nil {
		return err
	}
	q.syncedAt = time.Now()
	q.safe.add(0, q.written.first)
	q.safe.union(q.written.above)
	q.ackMu.Lock()
	q.unsynced = false
	q.ackMu.Unlock()
	return nil
}

// tendCursor writes and syncs the cursor when it is time.
func (q *Queue) tendCursor(now time.Time, end bool) error {
	q.ackMu.Lock()
	save := end || q.unsaved > 0 && now.Sub(q.unsavedAt) >= savePeriod
	q.ackMu.Unlock()
	if save {
		if err := q.saveCursor(); err != nil {
			return err
		}
	}
	q.ackMu.Lock()
	sync := end || q.unsynced && now.Sub(q.syncedAt) >= syncPeriod
	if q.acked.first >= q.edge {
		q.rescan = true
		q.kick() // reclaim is at the beginning of a turn
	}
	q.ackMu.Unlock()
	if sync {
		return q.syncCursor()
	}
	return nil
}

// Ranges is how many runs of acknowledged events lie behind the first that is not: what a batch that waits leaves. The
// cursor holds 1,000; what is beyond is sent again after a crash, so a batch is better sent before.
func (q *Queue) Ranges() int {
	q.ackMu.Lock()
	defer q.ackMu.Unlock()
	return q.acked.search(q.top + 1) // not those that were dropped further on
}

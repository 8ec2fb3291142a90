package queue

import (
	"errors"
	"slices"
	"time"
)

// A fullness is why an Append waits.
type fullness byte

const (
	roomy     fullness = iota
	queueFull          // MaxBytes
	diskFull
)

// spare is what must be free beside the reserve when a full disk is taken for one with room: a new segment's beginning.
const spare = 64 << 10

// sayPeriod sums up drops in the log.
const sayPeriod = time.Minute

// hold keeps requests until there is room.
func (q *Queue) hold(list ...*request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range list {
		q.taken[r.slot] = nil
		if err := r.ctx.Err(); err != nil { // who waits could not withdraw it, and does not try again
			r.answer(err)
			continue
		}
		q.held = append(q.held, r)
	}
}

// retry takes what was held and may be tried again now. Under mu.
func (q *Queue) retry(now time.Time) (work []*request) {
	if q.full == diskFull && now.Sub(q.probed) < probePeriod {
		return nil
	}
	letters := !q.deadFull || now.Sub(q.deadProbed) >= probePeriod
	left := q.held[:0]
	for _, r := range q.held {
		if letters || !r.hasLetters() {
			work = append(work, r)
		} else {
			left = append(left, r)
		}
	}
	clear(q.held[len(left):])
	q.held = left
	if q.deadFull && letters {
		q.deadProbed = now
		if !slices.ContainsFunc(work, (*request).hasLetters) { // who brought them has given up
			q.deadFull = false
			q.notices[noticeDead].leave()
		}
	}
	return work
}

// enterFull notes that requests wait for room in the queue.
func (q *Queue) enterFull(link string) {
	q.mu.Lock()
	entered := q.full == roomy && len(q.held) > 0
	if entered {
		q.full, q.fullAt = queueFull, time.Now()
	}
	q.mu.Unlock()
	if entered {
		q.notices[noticeQueue].come(q.cfg.Log, "queue is full, waiting", "bytes", q.cfg.MaxBytes, "source", link)
	}
}

// notFull ends the state of a full queue.
func (q *Queue) notFull() {
	q.mu.Lock()
	was := q.full == queueFull
	if was {
		q.full = roomy
	}
	q.mu.Unlock()
	if was {
		q.notices[noticeQueue].leave()
	}
}

func (q *Queue) isDiskFull() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.full == diskFull
}

// noLetters says whether dead letters find no room on a disk that they share with the queue.
func (q *Queue) noLetters() bool { return q.isDiskFull() && !q.letters.apart }

// enterDiskFull gives the reserve up to what must be written now. No event is stored until it can be taken back.
func (q *Queue) enterDiskFull() error {
	q.mu.Lock()
	entered := q.full != diskFull
	if entered {
		q.full, q.fullAt = diskFull, time.Now()
	}
	q.mu.Unlock()
	if entered {
		q.notices[noticeDisk].come(q.cfg.Log, "disk full: no event is stored until there is room again", "file", q.cfg.Path)
	}
	q.probed = time.Now()
	return q.reserve.give()
}

// probe looks once a second whether a full disk has room again, for the reserve and what was held first.
func (q *Queue) probe(now time.Time, work []*request) error {
	if !q.isDiskFull() || now.Sub(q.probed) < probePeriod {
		return nil
	}
	// What was delivered may be all that has filled it, and lie in the segment that is being written.
	if err := q.reclaimFull(); err != nil {
		return err
	}
	need := int64(0)
	if len(work) > 0 {
		need = int64(len(work[0].enc.rec) + len(work[0].letters))
	}
	return q.tryReserve(need)
}

// tryReserve ends the state of a full disk if it has room for the reserve, a new segment's beginning, and need.
func (q *Queue) tryReserve(need int64) error {
	q.probed = time.Now()
	err := q.reserve.take(need + spare)
	if errors.Is(err, errNoRoom) {
		return nil
	}
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.full = roomy
	q.mu.Unlock()
	q.notices[noticeDisk].leave()
	return nil
}

// enterDeadFull is a full disk that has the dead letters alone: what brings some waits, all else goes on.
func (q *Queue) enterDeadFull() error {
	q.setDeadFull(true)
	q.deadProbed = time.Now()
	q.notices[noticeDead].come(q.cfg.Log, "disk full: what brings dead letters is not stored until there is room again", "file", q.cfg.Dead.Path)
	return nil
}

func (q *Queue) setDeadFull(is bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if is && !q.deadFull {
		q.deadAt = time.Now()
	}
	q.deadFull = is
}

// dropping counts events that were dropped for want of room.
func (q *Queue) dropping(n int) {
	q.mu.Lock()
	q.dropped += uint64(n)
	q.unsaid += uint64(n)
	q.mu.Unlock()
}

// sayDrops logs what was dropped, the first at once and then summed up.
func (q *Queue) sayDrops(now time.Time) {
	q.mu.Lock()
	n := q.unsaid
	if n > 0 && now.Sub(q.dropSaid) >= sayPeriod {
		q.dropSaid, q.unsaid = now, 0
	} else {
		n = 0
	}
	q.mu.Unlock()
	if n > 0 {
		q.cfg.Log.Warn("events were dropped: the queue or the disk is full", "n", n)
	}
}

package queue

import (
	"errors"
	"time"
)

// A fullness is why an Append waits.
type fullness byte

const (
	roomy     fullness = iota
	queueFull          // MaxBytes
	diskFull
)

// sayPeriod sums up drops, and repeats of the same state, in the log.
const sayPeriod = time.Minute

// hold keeps requests until there is room.
func (q *Queue) hold(list ...*request) {
	q.mu.Lock()
	for _, r := range list {
		q.taken[r.slot] = nil
		if err := r.ctx.Err(); err != nil { // who waits could not withdraw it, and does not try again
			r.answer(err)
			continue
		}
		q.held = append(q.held, r)
	}
	full, link := len(q.held) > 0 && q.full == roomy, ""
	if full {
		q.full, q.fullAt, link = queueFull, time.Now(), q.held[0].link
	}
	q.mu.Unlock()
	if full {
		q.say("queue is full, waiting", "bytes", q.cfg.MaxBytes, "source", link)
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
	if was && q.told {
		q.told = false
		q.cfg.Log.Info("queue has room again", "dur", time.Since(q.fullAt))
	}
}

// say logs a change for the worse, once a minute at most.
func (q *Queue) say(text string, args ...any) {
	if now := time.Now(); q.fullSaid.IsZero() || now.Sub(q.fullSaid) >= sayPeriod {
		q.fullSaid, q.told = now, true
		q.cfg.Log.Warn(text, args...)
	}
}

func (q *Queue) isDiskFull() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.full == diskFull
}

// enterDiskFull gives the reserve up to what must be written now. No event is stored until it can be taken back.
func (q *Queue) enterDiskFull() error {
	q.mu.Lock()
	entered := q.full != diskFull
	if entered {
		q.full, q.fullAt = diskFull, time.Now()
	}
	q.mu.Unlock()
	if entered {
		q.say("disk full: no event is stored until there is room again", "file", q.cfg.Path)
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
	err := q.reserve.take(need + 64<<10)
	if errors.Is(err, errNoRoom) {
		return nil
	}
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.full = roomy
	q.mu.Unlock()
	if q.told {
		q.told = false
		q.cfg.Log.Info("disk has room again", "file", q.cfg.Path, "dur", time.Since(q.fullAt))
	}
	return nil
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

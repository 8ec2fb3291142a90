package queue

import (
	"errors"
	"math"
)

// admit holds those requests for which there is no room and makes room for others, as their links want it. What brings no
// events waits for no room: dead letters, checkpoints and counts must not depend on the platform; on a full disk dead
// letters do wait.
func (q *Queue) admit(work []*request) (ready []*request, err error) {
	planned := int64(0) // bytes of ready
	stopped := false    // a link waits: those behind it that would wait too do not overtake it
	for _, r := range work {
		if r.urgent || r.events == 0 && (r.count == 0 || !q.noLetters()) {
			ready = append(ready, r)
			continue
		}
		need := planned + int64(len(r.enc.rec))
		policy := q.cfg.WhenFull[r.link]
		ok, later := false, false
		if policy != StopReading || !stopped {
			if ok, err = q.room(need, policy, planned == 0); err != nil {
				return nil, err
			}
		}
		if !ok && policy == DropOldest && r.events > 0 {
			if ok, later, err = q.dropOldest(need, planned == 0); err != nil {
				return nil, err
			}
		}
		if later {
			q.hold(r)
			continue
		}
		if !ok && policy != StopReading && (r.count == 0 || !q.noLetters()) {
			q.dropping(r.slim())
			ok = true
		}
		if !ok {
			stopped = true
			link := r.link
			q.hold(r) // which may be its caller's again from now on
			q.enterFull(link)
			continue
		}
		planned += int64(len(r.enc.rec))
		ready = append(ready, r)
	}
	if !stopped {
		q.notFull()
	}
	return ready, nil
}

// room says whether need more bytes may be stored. An empty queue takes a batch of any size.
func (q *Queue) room(need int64, policy WhenFull, alone bool) (bool, error) {
	if q.isDiskFull() {
		return false, nil
	}
	limit := q.cfg.MaxBytes
	if policy == StopReading && q.someDrop {
		// The last eighth is left to the links that drop. Else what they give up would be taken by one that only waits.
		limit -= limit / 8
	}
	if q.log.bytes()+need <= limit {
		return true, nil
	}
	if err := q.reclaimFull(); err != nil {
		return false, err
	}
	if q.isDiskFull() {
		return false, nil
	}
	return q.log.bytes()+need <= limit || alone && q.idle(), nil
}

// idle says whether no event waits.
func (q *Queue) idle() bool {
	q.ackMu.Lock()
	defer q.ackMu.Unlock()
	return q.acked.waiting(q.mark.next) == 0
}

// reclaimFull removes what is drained, also the segment that is being written.
func (q *Queue) reclaimFull() error {
	s := q.log.last()
	q.ackMu.Lock()
	drained := s.records > 0 && s.end > s.base && q.acked.covers(s.base, s.end)
	q.ackMu.Unlock()
	if drained {
		if err := q.roll(); errors.Is(err, errNoRoom) {
			return q.enterDiskFull()
		} else if err != nil {
			return err
		}
	}
	q.rescan = true
	return q.reclaim()
}

// reclaim removes the segments of which nothing waits, once that is durable.
func (q *Queue) reclaim() error {
	if !q.rescan {
		return nil
	}
	q.rescan = false
	segs := q.log.segs[:len(q.log.segs)-1]
	var drained []*segment
	sure := true
	q.ackMu.Lock()
	for _, s := range segs {
		if q.acked.covers(s.base, s.end) {
			drained = append(drained, s)
			sure = sure && q.safe.covers(s.base, s.end)
		}
	}
	q.ackMu.Unlock()
	if !sure && !Planted(SegmentRemovedEarly) {
		if err := q.saveCursor(); err != nil {
			return err
		}
		if err := q.syncCursor(); err != nil {
			return err
		}
	}
	var gone []*segment
	for _, s := range drained {
		if q.safe.covers(s.base, s.end) || Planted(SegmentRemovedEarly) {
			gone = append(gone, s)
		}
	}
	if len(gone) > 0 && q.log.mustRoll {
		// The last segment may have no state, and the ones that go have it.
		if err := q.roll(); errors.Is(err, errNoRoom) {
			gone = nil
		} else if err != nil {
			return err
		}
	}
	if len(gone) > 0 {
		if err := q.log.remove(gone); err != nil {
			return err
		}
	}
	q.mu.Lock()
	left := make([]*segment, 0, len(q.log.segs))
	for _, s := range q.log.segs {
		if len(gone) > 0 && gone[0] == s {
			gone = gone[1:]
			continue
		}
		left = append(left, s)
	}
	q.log.segs = left
	q.ackMu.Lock()
	q.edge = math.MaxUint64
	if len(left) > 1 && !q.acked.covers(left[0].base, left[0].end) {
		q.edge = left[0].end // when it is reached, it is worth looking again
	}
	q.ackMu.Unlock()
	q.mu.Unlock()
	return nil
}

package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	savePeriod  = 100 * time.Millisecond // acknowledgements that a kill may undo, at a low rate
	saveAcks    = 64                     // and at a high one
	syncPeriod  = time.Second            // acknowledgements that a power cut may undo
	probePeriod = time.Second            // how soon room on a full disk is seen
	countPeriod = time.Minute            // counts that a kill may undo
	agePeriod   = time.Minute            // how often the age of events is looked at
)

// run is the committer: the one goroutine that writes records, makes room and removes segments.
func (q *Queue) run() {
	defer close(q.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-q.wake:
		case <-timer.C:
		}
		now := time.Now()
		end, err := q.turn(now)
		if err != nil {
			q.fail(err)
		}
		if end || q.Err() != nil {
			q.answerAll()
			return
		}
		timer.Reset(q.next(now))
	}
}

// turn does what is due. end says that the queue was closed and all is written.
func (q *Queue) turn(now time.Time) (end bool, err error) {
	q.mu.Lock()
	end = q.closing
	var reports []damage
	if q.full != diskFull && !q.deadFull {
		reports, q.reports = q.reports, nil
	}
	var work []*request
	if end || q.due(now) {
		work, q.pending, q.load = q.pending, nil, 0
	}
	work = append(q.retry(now), work...)
	q.mu.Unlock()
	for i, r := range work {
		r.slot = i
	}
	q.taken = slices.Clone(work)

	if err := q.probe(now, work); err != nil {
		return end, err
	}
	if err := q.mourn(reports); err != nil {
		return end, err
	}
	if err := q.reclaim(); err != nil {
		return end, err
	}
	if err := q.commit(work); err != nil {
		return end, err
	}
	if err := q.age(now); err != nil {
		return end, err
	}
	if err := q.count(now, end); err != nil {
		return end, err
	}
	q.sayDrops(now)
	q.sayGone(now)
	if err := q.tendCursor(now, end); err != nil || !end {
		return end, err
	}
	if err := q.log.trim(); err != nil {
		return end, fmt.Errorf("end segment: %w", err)
	}
	return end, nil
}

// due says whether the pending group is to be committed. Under mu.
func (q *Queue) due(now time.Time) bool {
	return len(q.pending) > 0 && (q.load >= groupEvents || now.Sub(q.since) >= q.cfg.Linger)
}

// next is when turn has something to do if nothing happens before.
func (q *Queue) next(now time.Time) time.Duration {
	at := q.aged.Add(agePeriod)
	sooner := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	q.mu.Lock()
	if len(q.pending) > 0 {
		if q.load >= groupEvents {
			sooner(now)
		}
		sooner(q.since.Add(q.cfg.Linger))
	}
	if q.full == diskFull {
		sooner(q.probed.Add(probePeriod))
	}
	if q.deadFull {
		sooner(q.deadProbed.Add(probePeriod))
	}
	if len(q.reports) > 0 && q.full != diskFull && !q.deadFull { // they waited for the disk, which has room since this turn
		sooner(now)
	}
	if len(q.lazy.rows) > 0 {
		sooner(q.lazyAt.Add(countPeriod))
	}
	if q.unsaid > 0 {
		sooner(q.dropSaid.Add(sayPeriod))
	}
	q.mu.Unlock()
	for i := range q.notices {
		if at := q.notices[i].due(calm[i]); !at.IsZero() {
			sooner(at)
		}
	}
	q.ackMu.Lock()
	if q.unsaved > 0 {
		sooner(q.unsavedAt.Add(savePeriod))
	}
	if q.unsynced {
		sooner(q.syncedAt.Add(syncPeriod))
	}
	q.ackMu.Unlock()
	return max(at.Sub(now), 0)
}

// commit stores requests, or holds those for which there is no room.
func (q *Queue) commit(work []*request) error {
	for range 2 {
		if len(work) == 0 {
			return nil
		}
		ready, err := q.admit(work)
		if err != nil {
			return err
		}
		if work, err = q.storeLetters(ready); err != nil {
			return err
		}
		err = q.store(work)
		if !errors.Is(err, errNoRoom) {
			return err
		}
		// Once more with the reserve, for what may use it.
		if err := q.enterDiskFull(); err != nil {
			return err
		}
	}
	q.hold(work...)
	return nil
}

// store writes the records of requests as one group, syncs it, and answers. errNoRoom: nothing happened.
func (q *Queue) store(work []*request) error {
	if len(work) == 0 {
		return nil
	}
	d := q.log
	size := 0
	for _, r := range work {
		size += len(r.enc.rec)
	}
	if d.full(size) {
		if err := q.roll(); err != nil {
			return err
		}
	}
	group := work[0].enc.rec
	if len(work) > 1 {
		group = q.group[:0]
	}
	next, off := d.next, d.last().size
	for i, r := range work {
		flags := byte(0)
		if i == 0 {
			flags = flagFirst
		}
		events := r.events // of the first record; what follows in one request has none
		for at := 0; at < len(r.enc.rec); {
			rec := r.enc.rec[at:]
			rec = rec[:frameSize(rec)]
			binary.LittleEndian.PutUint64(rec[frameHead:], next)
			next += uint64(events)
			seal(rec, d.last().place(), off, flags)
			events, flags, at, off = 0, 0, at+len(rec), off+int64(len(rec))
		}
		if len(work) > 1 {
			group = append(group, r.enc.rec...)
		}
	}
	if err := d.append(group); err != nil {
		return err
	}
	if q.group = group; len(work) == 1 || cap(group) > maxKept {
		q.group = nil
	}
	q.publish(work, next, off)
	return nil
}

// publish makes what was stored visible and answers.
func (q *Queue) publish(work []*request, next uint64, off int64) {
	q.mu.Lock()
	s := q.log.last()
	q.log.next, s.end, s.size = next, next, off
	for _, r := range work {
		s.note(r.now.UnixNano())
		q.books.apply(change{rows: r.enc.rows, lost: r.enc.lost})
		if r.what != 0 {
			q.books.commands.apply(r.what, r.command)
		}
		if r.checkpoint != nil {
			q.books.moveTo(r.link, r.checkpoint)
		}
	}
	q.ackMu.Lock()
	q.mark = q.log.mark()
	for _, r := range work {
		if len(r.gone) > 0 {
			q.acked.union(r.gone)
			q.safe.union(r.gone)
			q.gone.Add(1)
			q.rescan = true
		}
	}
	q.ackMu.Unlock()
	for _, r := range q.readers {
		select {
		case r.more <- struct{}{}:
		default:
		}
	}
	q.mu.Unlock()
	for _, r := range work {
		if r.done != nil {
			q.taken[r.slot] = nil // it is the caller's again, who may use it anew
			r.answer(nil)
		}
	}
}

// own stores a record of the queue's own: numbers that left it, and what that means for the ledger.
func (q *Queue) own(c change) error {
	r := &request{now: time.Now(), gone: c.gone, urgent: true}
	r.enc.rows, r.enc.lost = c.rows, c.lost
	r.enc.encode(r.now, "", nil, nil, c.gone)
	err := q.store([]*request{r})
	if errors.Is(err, errNoRoom) {
		if err := q.enterDiskFull(); err != nil {
			return err
		}
		err = q.store([]*request{r})
	}
	return err
}

// count stores the counts that no record holds.
func (q *Queue) count(now time.Time, end bool) error {
	q.mu.Lock()
	rows := q.lazy.rows
	if len(rows) == 0 || !end && now.Sub(q.lazyAt) < countPeriod {
		q.mu.Unlock()
		return nil
	}
	q.lazy, q.lazyAt = ledger{}, now
	q.mu.Unlock()
	err := q.own(change{rows: rows})
	if errors.Is(err, errNoRoom) {
		q.mu.Lock()
		q.lazy.add(rows)
		q.mu.Unlock()
		return nil
	}
	return err
}

// roll begins a new segment, with the books as they stand.
func (q *Queue) roll() error {
	q.ackMu.Lock()
	done := q.acked.clone()
	q.ackMu.Unlock()
	s, err := q.log.create(q.books.encode(&done))
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.log.segs = append(q.log.segs, s)
	q.ackMu.Lock()
	q.mark = q.log.mark()
	q.ackMu.Unlock()
	q.mu.Unlock()
	q.safe.union(append([]span{{0, done.first}}, done.above...))
	q.rescan = true
	return nil
}

func (d *folder) mark() mark {
	s := d.last()
	return mark{stream: s.stream, index: s.index, off: s.size, next: d.next}
}

package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"legacybridge/mapping"
)

// groupEvents commits a group before linger is over.
const groupEvents = 64

// A request is what one caller wants on disk. It is in pending or held, or the committer's, until it is answered.
type request struct {
	ctx        context.Context // of the caller, who waits: it may end while the committer has the request
	enc        encoder
	link       string
	checkpoint []byte // nil: none
	now        time.Time
	events     int
	letters    []byte // finished records of dead letters
	count      int    // how many
	drop       []span // dead letters to be dropped
	gone       []span // numbers that leave the queue
	urgent     bool   // not an Append: nothing to wait for, and allowed into the reserve
	what       byte   // not 0: what is to be remembered of command
	command    Command
	slot       int        // in Queue.taken
	done       chan error // nil: nobody waits
}

// maxKept is the memory that a request may keep for the next one.
const maxKept = 1 << 20

func (q *Queue) newRequest(link string) *request {
	r, ok := q.requests.Get().(*request)
	if !ok {
		r = &request{done: make(chan error, 1)}
	}
	r.link, r.now = link, time.Now()
	return r
}

func (q *Queue) free(r *request) {
	if cap(r.enc.rec) > maxKept || cap(r.letters) > maxKept {
		return
	}
	clear(r.enc.templates) // the events are the caller's
	r.ctx, r.link, r.checkpoint, r.events, r.count = nil, "", nil, 0, 0
	r.letters, r.drop, r.gone, r.urgent = r.letters[:0], nil, nil, false
	r.what, r.command = 0, Command{}
	q.requests.Put(r)
}

// Append stores events and the checkpoint behind them as one record, with one fsync, which it shares with what
// others append within Config.Linger; a nil error means on disk. Dead letters are fsynced before. A nil
// checkpoint leaves the stored one. Without room it waits, or drops and counts, as the link's WhenFull
// says. It fails only when ctx is done or the queue has failed.
//
// What has neither events nor dead letters nor a checkpoint is only counted, within a minute.
func (q *Queue) Append(ctx context.Context, link string, checkpoint []byte, out mapping.Output) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if Planted(CheckpointSecond) && checkpoint != nil {
		if err := q.Append(ctx, link, nil, out); err != nil {
			return err
		}
		out = mapping.Output{}
	}
	r := q.newRequest(link)
	r.enc.tally(link, &out)
	if checkpoint == nil && len(out.Events) == 0 && len(out.Dead) == 0 {
		err := q.countLater(r.now, r.enc.rows)
		q.free(r)
		return err
	}
	r.checkpoint, r.events, r.count = checkpoint, len(out.Events), len(out.Dead)
	r.enc.encode(r.now, link, checkpoint, out.Events, nil)
	if n := len(r.enc.rec); n > maxBody {
		return fmt.Errorf("a batch of %d bytes is more than a record takes (%d): make the batches of %s smaller", n, maxBody, link)
	}
	for i := range out.Dead {
		r.letters = putLetter(r.letters, r.now, link, &out.Dead[i], q.cfg.Dead.MaxBytes)
	}
	return q.submit(ctx, r)
}

func (q *Queue) countLater(now time.Time, rows []tally) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	if len(q.lazy.rows) == 0 && len(rows) > 0 {
		q.lazyAt = now
		defer q.kick()
	}
	q.lazy.add(rows)
	return nil
}

// submit hands r to the committer and waits for the answer. What is being written when ctx ends is waited for: it is
// known only then whether it is on disk.
func (q *Queue) submit(ctx context.Context, r *request) error {
	r.ctx = ctx
	q.mu.Lock()
	if q.err != nil || q.closing {
		err := q.err
		q.mu.Unlock()
		q.free(r)
		if err == nil {
			err = errClosed
		}
		return err
	}
	if len(q.pending) == 0 {
		q.since = r.now
	}
	q.pending = append(q.pending, r)
	before := q.load
	q.load += r.weight()
	wake := len(q.pending) == 1 || before < groupEvents && q.load >= groupEvents
	q.mu.Unlock()
	if wake {
		q.kick()
	}
	var err error
	select {
	case err = <-r.done:
	case <-ctx.Done():
		if q.withdraw(r) {
			err = ctx.Err()
		} else {
			err = <-r.done
		}
	}
	q.free(r)
	return err
}

// withdraw takes back a request that the committer has not begun with.
func (q *Queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.pending, r); i >= 0 {
		q.pending = slices.Delete(q.pending, i, i+1)
		q.load -= r.weight()
		return true
	}
	if i := slices.Index(q.held, r); i >= 0 {
		q.held = slices.Delete(q.held, i, i+1)
		return true
	}
	return false
}

func (r *request) answer(err error) {
	if r.done != nil {
		r.done <- err
	}
}

// weight is what r counts for a group.
func (r *request) weight() int {
	if r.urgent {
		return groupEvents
	}
	return r.events + r.count
}

// slim leaves the events out, as dropped, and keeps the rest: the position moves on without them.
func (r *request) slim() (dropped int) {
	for i := range r.enc.rows {
		row := &r.enc.rows[i]
		dropped += int(row.Queued)
		row.Dropped += row.Queued
		row.Queued = 0
	}
	r.events = 0
	r.enc.encode(r.now, r.link, r.checkpoint, nil, nil)
	return dropped
}

// kick wakes the committer.
func (q *Queue) kick() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

package queue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
)

// A Reader belongs to one goroutine.
type Reader struct {
	q    *Queue
	more chan struct{}

	seg  *segment // being read; nil: none yet
	f    File
	sc   scanner
	next uint64 // number that the next batch should begin with
	ev   events
	skip []span // numbers of the batch that do not wait
	seen uint64 // Queue.gone when skip was made
}

// NewReader reads the durable events from the oldest unacknowledged on, passing over acknowledged ones.
func (q *Queue) NewReader() *Reader {
	r := &Reader{q: q, more: make(chan struct{}, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.readers = append(q.readers, r)
	return r
}

// More receives a value after events were committed; it holds at most one.
func (r *Reader) More() <-chan struct{} { return r.more }

// Close gives the reader's file back.
func (r *Reader) Close() error {
	r.q.mu.Lock()
	r.q.readers = slices.DeleteFunc(r.q.readers, func(o *Reader) bool { return o == r })
	r.q.mu.Unlock()
	return r.leave()
}

func (r *Reader) leave() error {
	if r.f == nil {
		return nil
	}
	f := r.f
	r.f = nil
	return f.Close()
}

// Next returns the next event; ok is false when there is none yet. The payload is the caller's to keep.
func (r *Reader) Next() (e Entry, ok bool, err error) {
	for {
		for r.ev.left() {
			if r.q.gone.Load() != r.seen {
				r.look() // something was dropped
			}
			if err := r.ev.next(&e); err != nil {
				r.q.report(damage{seg: r.seg, from: 0, to: 0, lo: r.ev.b.base, hi: r.next, why: err.Error()})
				break
			}
			for len(r.skip) > 0 && r.skip[0].hi <= e.Number {
				r.skip = r.skip[1:]
			}
			if len(r.skip) == 0 || e.Number < r.skip[0].lo {
				return e, true, nil
			}
		}
		if ok, err := r.load(); !ok || err != nil {
			return Entry{}, false, err
		}
	}
}

// look finds out which events of the batch do not wait.
func (r *Reader) look() {
	r.q.ackMu.Lock()
	defer r.q.ackMu.Unlock()
	r.seen = r.q.gone.Load()
	r.skip = r.q.acked.within(r.ev.b.base, r.ev.b.base+uint64(r.ev.b.n))
}

// load reads the next batch that has an event which waits.
func (r *Reader) load() (bool, error) {
	for {
		end, err := r.position()
		if err != nil || end == 0 {
			return false, err
		}
		before := r.sc.off
		r.sc.end = end
		rec, ok, err := r.sc.next()
		if err != nil {
			return false, fmt.Errorf("read %s: %w", r.seg.path(r.q.log.dir), err)
		}
		if !ok { // up to the end of the segment there is no whole record
			r.q.mu.Lock()
			hi := r.seg.end
			r.q.mu.Unlock()
			r.report(before, end, hi)
			r.sc.off, r.next = end, max(r.next, hi)
			continue
		}
		if rec.kind != kindBatch {
			if rec.off > before {
				r.report(before, rec.off, r.next)
			}
			continue
		}
		lo, hi, _, _ := rec.numbers()
		if rec.off > before {
			r.report(before, rec.off, lo)
		}
		r.next = hi
		r.q.ackMu.Lock()
		waits := r.q.acked.missing(lo, hi) > 0
		r.q.ackMu.Unlock()
		if !waits {
			continue
		}
		// One copy for all payloads of the batch: they are the caller's to keep.
		b, err := parseBatch(bytes.Clone(rec.body))
		if err == nil {
			err = r.ev.open(b)
		}
		if err != nil {
			r.q.report(damage{seg: r.seg, from: rec.off, to: rec.off + rec.size, lo: lo, hi: hi, why: err.Error()})
			continue
		}
		r.look()
		return true, nil
	}
}

func (r *Reader) report(from, to int64, hi uint64) {
	r.q.report(damage{seg: r.seg, from: from, to: to, lo: r.next, hi: max(hi, r.next), why: "not a record, or its checksum is wrong"})
}

// report tells the committer of damage.
func (q *Queue) report(g damage) {
	q.mu.Lock()
	q.reports = append(q.reports, g)
	q.mu.Unlock()
	q.kick()
}

// position finds the segment to read on in. end is how far it may be read; 0 if there is nothing new.
func (r *Reader) position() (end int64, err error) {
	for {
		r.q.mu.Lock()
		if r.q.err != nil {
			r.q.mu.Unlock()
			return 0, r.q.Err()
		}
		if r.seg != nil && r.sc.off < r.seg.size {
			end = r.seg.size
			r.q.mu.Unlock()
			return end, nil
		}
		next := r.following()
		r.q.mu.Unlock()
		if next == nil {
			return 0, nil
		}
		if err := r.leave(); err != nil {
			return 0, fmt.Errorf("close segment: %w", err)
		}
		f, err := r.q.cfg.FS.Open(next.path(r.q.log.dir), os.O_RDONLY)
		r.seg, r.f = next, f
		r.sc = scanner{f: f, at: next.place(), off: headersSize, window: r.sc.window[:0]}
		if errors.Is(err, os.ErrNotExist) { // it was drained or dropped just now
			r.f, r.sc.off = nil, 1<<62
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("open segment: %w", err)
		}
		r.next = max(r.next, next.base)
	}
}

// following is the segment after the one that was read; at first the one of the oldest event that waits. Under mu.
func (r *Reader) following() *segment {
	r.q.ackMu.Lock()
	defer r.q.ackMu.Unlock()
	for _, s := range r.q.log.segs {
		if r.seg == nil && s.end > r.q.acked.first || r.seg != nil && s.index > r.seg.index {
			return s
		}
	}
	return nil
}

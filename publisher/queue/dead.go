package queue

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNoLetter means that there is no dead letter of that number.
var ErrNoLetter = errors.New("there is no such dead letter")

// A deadFolder is the log of the dead letters. It is the committer's, and made with the first letter.
type deadFolder struct {
	folder
	cfg     DeadConfig
	ages    ages
	done    ranges // dropped, replayed, or gone with age or size
	expired uint64 // gone with age or size
	apart   bool   // on another disk than the queue
	again   []byte // letters that a cut takes away although they are whole: they are written anew
}

func openDead(cfg *Config) (*deadFolder, error) {
	d := &deadFolder{cfg: cfg.Dead}
	d.folder = folder{fs: cfg.FS, dir: cfg.Dead.Path, log: cfg.Log, target: min(4<<20, max(cfg.Dead.MaxBytes/8, 1))}
	fd, err := d.recall()
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	err = d.rescue(fd.torn)
	if err == nil {
		err = d.mend(&fd, &d.done)
	}
	if err != nil {
		_ = d.close() // the first error stands
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	for _, g := range append(fd.headers, fd.damages...) {
		d.log.Warn("damaged bytes in the dead letters", "file", g.seg.path(d.dir), "offset", g.from, "bytes", g.to-g.from, "err", g.why)
	}
	if n := len(d.segs); n > 0 {
		d.stream = d.last().stream
	}
	if d.mustRoll = d.mustRoll || len(d.segs) == 0 || d.stream == 0; d.stream == 0 {
		var b [4]byte
		_, _ = rand.Read(b[:]) // it never fails
		d.stream = binary.LittleEndian.Uint32(b[:]) | 1
	}
	d.ages = ages{floor: cfg.ClockFloor, first: d.next}
	if len(d.segs) > 0 {
		if err = d.room(0); err == nil {
			err = d.store(nil)
		}
		if err != nil && !errors.Is(err, errNoRoom) {
			_ = d.close() // the first error stands
			return nil, fmt.Errorf("dead letters: %w", err)
		}
	}
	return d, nil
}

// recall reads the folder.
func (d *deadFolder) recall() (found, error) {
	fd, err := d.load(mark{}, func(_ *segment, r *record) error {
		p := parser{b: r.body}
		switch r.kind {
		case kindLetter:
			_, err := parseLetter(r.body)
			return err
		case kindGone:
			p.u64()
			p.u64()
			expired, spans := p.uvarint(), p.spans()
			if p.bad || len(p.b) != 0 {
				return errShort
			}
			d.expired += expired
			d.done.union(spans)
		case kindState:
			expired, first, spans := p.uvarint(), p.uvarint(), p.spans()
			if p.bad || len(p.b) != 0 {
				return errShort
			}
			d.expired = expired
			d.done.add(0, first)
			d.done.union(spans)
		default:
			return fmt.Errorf("a record of kind %d, which is not known here", r.kind)
		}
		return nil
	})
	if err != nil {
		return fd, err
	}
	d.done.add(0, 1) // numbers begin at 1
	d.done.union(fd.gaps)
	d.done.union(fd.skipped)
	for _, g := range fd.damages {
		d.done.add(g.lo, g.hi)
	}
	return fd, nil
}

// rescue keeps the whole letters of a write that is cut off. It looks torn, but a byte of it may have been damaged; and a
// letter that was never promised does no harm, for its batch comes again.
func (d *deadFolder) rescue(torn damage) error {
	if torn.seg == nil {
		return nil
	}
	s := *torn.seg
	s.size = torn.to
	return d.records(&s, func(r *record) error {
		if r.off < torn.from || r.kind != kindLetter {
			return nil
		}
		at := len(d.again)
		d.again = append(append(d.again, make([]byte, frameHead)...), r.body...)
		d.again = finish(d.again, at, kindLetter)
		return nil
	})
}

// store writes finished letters as one group and syncs it.
func (d *deadFolder) store(group []byte) error {
	group = slices.Concat(d.again, group)
	if len(group) == 0 {
		return nil
	}
	if err := d.room(len(group)); err != nil {
		return err
	}
	s := d.last()
	next := d.next
	for at := 0; at < len(group); {
		rec := group[at : at+frameSize(group[at:])]
		binary.LittleEndian.PutUint64(rec[frameHead:], next)
		next++
		flags := byte(0)
		if at == 0 {
			flags = flagFirst
		}
		seal(rec, s.place(), s.size+int64(at), flags)
		at += len(rec)
	}
	if err := d.append(group); err != nil {
		return err
	}
	for n := d.next; n < next; n++ {
		s.note(int64(binary.LittleEndian.Uint64(group[frameHead+8:])))
	}
	d.next, s.end, s.size, d.again = next, next, s.size+int64(len(group)), nil
	err := d.cap()
	if errors.Is(err, errNoRoom) {
		return nil // the letters are stored; the old ones go later
	}
	return err
}

// room begins a new segment if n bytes do not fit into this one.
func (d *deadFolder) room(n int) error {
	if !d.full(n) {
		return nil
	}
	b := make([]byte, frameHead, 64)
	b = binary.AppendUvarint(b, d.expired)
	b = binary.AppendUvarint(b, d.done.first)
	b = putSpans(b, d.done.above)
	s, err := d.create(finish(b, 0, kindState))
	if err != nil {
		return err
	}
	d.segs = append(d.segs, s)
	return d.sweep()
}

func (d *deadFolder) has(n uint64) bool { return n > 0 && n < d.next && !d.done.has(n) }

// drop makes letters gone, durably, and removes the segments that have no other.
func (d *deadFolder) drop(spans []span, expired uint64) error {
	b := make([]byte, frameHead, 64)
	b = binary.LittleEndian.AppendUint64(b, d.next)
	b = binary.LittleEndian.AppendUint64(b, uint64(time.Now().UnixNano()))
	b = binary.AppendUvarint(b, expired)
	b = finish(putSpans(b, spans), 0, kindGone)
	if err := d.room(len(b)); err != nil {
		return err
	}
	s := d.last()
	binary.LittleEndian.PutUint64(b[frameHead:], d.next)
	seal(b, s.place(), s.size, flagFirst)
	if err := d.append(b); err != nil {
		return err
	}
	s.size += int64(len(b))
	d.expired += expired
	d.done.union(spans)
	return d.sweep()
}

// sweep removes the segments of which nothing is there.
func (d *deadFolder) sweep() error {
	var gone, left []*segment
	for _, s := range d.segs[:len(d.segs)-1] {
		if d.done.covers(s.base, s.end) {
			gone = append(gone, s)
		} else {
			left = append(left, s)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := d.remove(gone); err != nil {
		return err
	}
	d.segs = append(left, d.last())
	return nil
}

// cap drops the oldest letters while all take more than they may.
func (d *deadFolder) cap() error {
	for d.bytes() > d.cfg.MaxBytes && len(d.segs) > 1 {
		s := d.segs[0]
		n := d.done.missing(s.base, s.end)
		if err := d.drop([]span{{s.base, max(s.end, s.base+1)}}, n); err != nil {
			return err
		}
		if n > 0 {
			d.log.Warn("the oldest dead letters were dropped: they take more than dead_letters.max_bytes", "n", n)
		}
		if len(d.segs) > 0 && d.segs[0] == s {
			return nil // no use in trying again
		}
	}
	return nil
}

// age drops letters that are older than MaxAge.
func (d *deadFolder) age(now time.Time) error {
	limit := now.Add(-d.cfg.MaxAge)
	dates := d.ages.date(now)
	for _, s := range append([]*segment(nil), d.segs...) {
		if s.records == 0 || d.done.covers(s.base, s.end) {
			continue
		}
		before := *dates
		if !dates.of(s.base, s.oldest).Before(limit) && !dates.of(s.end-1, s.newest).Before(limit) {
			continue
		}
		*dates = before
		var old []span
		err := scanLetters(&d.folder, s, &d.done, func(l Letter) bool {
			if dates.of(l.Number, l.Stored.UnixNano()).Before(limit) {
				old = append(old, span{l.Number, l.Number + 1})
			}
			return true
		})
		if err != nil {
			return err
		}
		if len(old) == 0 {
			continue
		}
		if err := d.drop(old, uint64(len(old))); err != nil {
			return err
		}
		d.log.Warn("dead letters older than dead_letters.max_age were dropped", "n", len(old))
	}
	return nil
}

// storeLetters makes the dead letters of all requests durable. Those whose letters find no room are held.
func (q *Queue) storeLetters(work []*request) (left []*request, err error) {
	var group []byte
	for _, r := range work {
		group = append(group, r.letters...)
	}
	if len(group) > 0 {
		err = q.letters.store(group)
	}
	full := errors.Is(err, errNoRoom)
	if err != nil && !full {
		return nil, err
	}
	stored := len(group) > 0 && !full
	var held []*request
	for _, r := range work {
		wait := full && r.count > 0
		if len(r.drop) > 0 && !q.letters.has(r.drop[0].lo) {
			q.taken[r.slot] = nil
			r.answer(ErrNoLetter)
			continue
		}
		if !wait && len(r.drop) > 0 {
			err := q.letters.drop(r.drop, 0)
			if wait = errors.Is(err, errNoRoom); err != nil && !wait {
				return nil, err
			}
			stored = stored || !wait
		}
		if wait {
			held = append(held, r)
			continue
		}
		r.count, r.letters, r.drop = 0, r.letters[:0], nil
		left = append(left, r)
	}
	if len(held) == 0 {
		if stored && q.deadFull {
			q.setDeadFull(false)
			q.notices[noticeDead].leave()
		}
		return left, nil
	}
	q.hold(held...)
	if q.letters.apart {
		return left, q.enterDeadFull()
	}
	return left, q.enterDiskFull()
}

// hasLetters says whether something is to be written among the dead letters.
func (r *request) hasLetters() bool { return r.count > 0 || len(r.drop) > 0 }

// DropLetter takes a dead letter away, durably; ErrNoLetter if there is none of that number.
func (q *Queue) DropLetter(ctx context.Context, number uint64) error {
	r := q.newRequest("")
	r.urgent, r.drop = true, []span{{number, number + 1}}
	r.enc.rows = r.enc.rows[:0]
	r.enc.encode(r.now, "", nil, nil, nil)
	return q.submit(ctx, r)
}

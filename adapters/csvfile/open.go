package csvfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"legacybridge/adapters"
)

// openNext opens the first file that waits. A file that cannot be opened holds up the others for a while only.
func (f *follower) openNext() error {
	for f.cur == nil && len(f.waiting) > 0 {
		m := f.waiting[0]
		file, info, err := f.folder.open(m.name)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && !f.asLooked(m, info):
			if err == nil {
				file.Close()
			}
			f.waiting = nil // it was renamed or replaced since the look: the ones after it may not be next
			return nil
		case err != nil && f.s.cfg.Once:
			return err
		case err != nil:
			if f.held(m.name, err) < lockedAfter {
				return nil
			}
		default:
			delete(f.locked, m.name)
			f.trouble = nil
			if err := f.take(file, newMatch(m.name, info)); err != nil {
				file.Close()
				return err
			}
		}
		f.waiting = f.waiting[1:]
	}
	if f.cur != nil {
		f.cur.behind = len(f.waiting) > 0
	}
	return nil
}

// held remembers since when a file or the folder cannot be opened, and says so: at once, or after a minute if the writer may
// be holding it for a moment only.
func (f *follower) held(name string, err error) time.Duration {
	f.trouble = err
	since, known := f.locked[name]
	if !known {
		since = time.Now()
		f.locked[name] = since
	}
	held := time.Since(since)
	switch {
	case errors.Is(err, errTooMany):
		f.s.status.is(adapters.Down, "CSV013", err.Error())
	case held >= lockedAfter:
		f.s.status.is(adapters.Down, "CSV011", fmt.Sprintf("%v; for %v now: does another program hold it, or are its rights missing?", err, lockedAfter))
	case !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EBUSY):
		f.s.status.is(adapters.Down, "CSV011", err.Error())
	}
	return held
}

// asLooked tells whether an opened file is the one that the look found, and still the next one. The newest is where files are
// renamed and replaced, and the id of a file that was replaced is used again at once: so the folder must be the same too.
func (f *follower) asLooked(m match, info os.FileInfo) bool {
	if newMatch("", info).id != m.id || info.Size() < m.size {
		return false
	}
	if f.folder.parts == nil || len(f.waiting) > 1 {
		return true
	}
	files, err := f.folder.look()
	return err == nil && sameFiles(files, f.looked)
}

// take goes on with a file that was opened, where it was left if it is the same.
func (f *follower) take(file *os.File, m match) error {
	k, id, err := f.recognise(file, m)
	if err != nil {
		return err
	}
	pos, layout := position{line: 1}, f.last
	switch {
	case k == nil && m.id == f.passID:
		pos.mute = f.passTo
	case k == nil:
	case k.compact:
		pos.mute = k.offset
	default:
		pos = k.position
		if k.layout != nil {
			layout = k.layout
		}
	}
	if f.cur, err = newReader(f.s.decoder, file, m, pos, layout); err != nil {
		return err
	}
	f.cur.fromEnd = k == nil && pos.mute > 0
	f.cur.again = k != nil && m.id != f.newest
	if k != nil && id == f.resume || m.id == f.resume {
		f.resume = 0
	}
	f.passID = 0
	delete(f.marks.files, id)
	delete(f.marks.files, m.id)
	f.marks.packed = nil
	return nil
}

// recognise finds what is known of a file: by its id, or else by its content, if the file that had it is gone. It was then
// rewritten with the same rows and more, or the file system gives out other ids since it was mounted again.
func (f *follower) recognise(file *os.File, m match) (*known, fileID, error) {
	if k := f.marks.files[m.id]; k != nil {
		same, err := k.standsIn(file, m.size)
		if same || err != nil {
			return k, m.id, err
		}
		f.reopened() // truncated or replaced in place, or the id is used again
	}
	same := stamp(m.size, m.mtime)
	for id, k := range f.marks.files {
		if k.alive || id != f.marks.id && id != f.resume && k.stamp != same || f.stillThere(id, k) {
			continue
		}
		if same, err := k.standsIn(file, m.size); same || err != nil {
			return k, id, err
		}
	}
	return nil, 0, nil
}

// stillThere tells whether a known file is there. Its id alone does not say it: ids are used again at once.
func (f *follower) stillThere(id fileID, k *known) bool {
	i := slices.IndexFunc(f.looked, func(m match) bool { return m.id == id })
	return i >= 0 && f.reads(f.looked[i], k)
}

// reads tells whether what was read of a file is in m.
func (f *follower) reads(m match, k *known) bool {
	file, info, err := f.folder.open(m.name)
	if err != nil {
		return false
	}
	defer file.Close()
	same, err := k.standsIn(file, info.Size())
	return same && err == nil && newMatch("", info).id == m.id
}

// standsIn tells whether what was read is still there.
func (k *known) standsIn(file *os.File, size int64) (bool, error) {
	if size < k.offset {
		return false, nil
	}
	p, err := printsOf(file, k.offset)
	return p == k.prints, err
}

func (f *follower) reopened() {
	f.s.status.state.Counts.Reopened++
	f.moved = true
}

// read reads all there is in the file.
func (f *follower) read(ctx context.Context) error {
	for {
		r := f.cur
		for r.take(f.builder) {
			r.lent = true
			if len(f.builder.readings) >= f.s.cfg.Batch {
				if err := f.store(ctx); err != nil {
					return err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		more, err := r.more()
		if more {
			if r.lent { // the buffer that the readings are cut from is filled again
				if err := f.store(ctx); err != nil {
					return err
				}
			}
			f.builder.at = time.Now()
			more, err = r.fill()
		}
		if errors.Is(err, errChanged) {
			if err := f.startOver(); err != nil {
				return err
			}
			continue
		}
		if err != nil || !more {
			return err
		}
	}
}

// startOver reads a file from its beginning that was truncated or replaced in place.
func (f *follower) startOver() error {
	r := f.cur
	r.takeRest(f.builder, false) // half a row that is there no more
	f.place()
	info, err := r.f.Stat()
	if err != nil {
		return err
	}
	f.reopened()
	f.cur, err = newReader(f.s.decoder, r.f, newMatch(r.name, info), position{line: 1}, f.last)
	return err
}

// mayLeave tells whether the file that was read to its end may give way to the next one.
func (f *follower) mayLeave() bool {
	r := f.cur
	if f.s.once() || r.again || time.Since(f.since) >= newerAfter {
		return true
	}
	if r.behind && f.old(r) {
		return true
	}
	quiet := 2 * f.s.cfg.Poll
	return time.Since(r.grown) >= quiet && time.Since(f.since) >= quiet
}

// old tells whether a file was not written for two looks, by its own time or, for clocks differ, by what we saw.
func (f *follower) old(r *reader) bool {
	return max(time.Since(r.grown), time.Since(time.Unix(0, r.mtime))) >= 2*f.s.cfg.Poll
}

// leave closes the file. If a newer one follows, half a row at its end will not be finished any more.
func (f *follower) leave() {
	r := f.cur
	final := f.folder.parts == nil || len(f.waiting) == 0 ||
		f.old(r) && compareMatches(f.waiting[0], match{mtime: r.mtime, name: r.name}) > 0
	if info, err := r.f.Stat(); err == nil {
		r.links = links(info)
	}
	if final && !f.s.once() && !f.rewritten(r) {
		r.takeRest(f.builder, f.s.cfg.FlushPartial > 0)
	}
	f.place()
	k := &known{position: r.position(), layout: r.layout, name: r.name, alive: r.links > 0}
	if r.used == len(r.buf) && !r.unfinished() {
		k.stamp = stamp(r.size, r.mtime)
	}
	f.marks.files[r.id] = k
	f.marks.packed = nil
	f.moved = true
	r.f.Close()
	f.cur = nil
}

// rewritten tells whether a file was replaced by one with the same rows and more.
func (f *follower) rewritten(r *reader) bool {
	if r.links > 0 {
		return false
	}
	k := &known{position: r.position()}
	return slices.ContainsFunc(f.waiting, func(m match) bool { return f.reads(m, k) })
}

func (f *follower) close() {
	if f.cur != nil {
		f.cur.f.Close()
	}
}

// endOfLook is where nothing more is to be read for now.
func (f *follower) endOfLook() {
	r := f.cur
	if r == nil {
		if len(f.waiting) == 0 && f.trouble == nil {
			f.s.status.is(adapters.Down, "CSV012", f.folder.missing())
		}
		return
	}
	f.s.status.found()
	if r.fromEnd {
		r.fromEnd, r.pos.mute, f.moved = false, 0, true
	}
	if flush := f.s.cfg.FlushPartial; flush > 0 && r.layout != nil && r.unfinished() {
		quiet := time.Since(r.grown)
		if f.s.cfg.Once { // nobody waits
			quiet = time.Since(time.Unix(0, r.mtime))
		}
		if quiet >= flush {
			r.takeRest(f.builder, true)
			r.lent = true
		}
	}
	// A file that was deleted takes room on the disk as long as we hold it.
	if r.links == 0 && time.Since(r.grown) >= 2*f.s.cfg.Poll && !f.s.once() {
		f.leave()
	}
}

// done tells whether a source that reads once has read all there is.
func (f *follower) done() (bool, error) {
	switch {
	case !f.s.once():
		return false, nil
	case f.cur != nil:
		return f.s.cfg.Once || f.s.cfg.FlushPartial == 0 || !f.cur.unfinished(), nil
	case f.s.cfg.Once && len(f.present) == 0:
		return true, errors.New(f.folder.missing())
	}
	return f.s.cfg.Once, nil
}

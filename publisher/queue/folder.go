package queue

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
)

// errNoRoom means that the disk is full: nothing was written, and it may work later.
var errNoRoom = errors.New("no room on the disk")

// A folder is a log in segments. One goroutine writes; it holds its owner's lock where it changes segs, which readers
// look at. A method that does so says "locked".
type folder struct {
	fs      FS
	dir     string
	log     *slog.Logger
	target  int64  // bytes after which a segment is full
	most    int64  // bytes that all may take; 0: room is not laid ahead
	machine uint64 // this machine, 0: not known
	stream  uint32

	segs     []*segment // oldest first; the last is being written
	f        File       // of the last
	next     uint64     // number that comes next
	index    uint64     // of the next segment
	mustRoll bool       // nothing may be written behind what is in the last segment
	cut      int64      // where the last segment ends, to be done after the roll; -1: it is whole
	laid     int64      // bytes of the last segment's file: zero behind what is written
	tight    bool       // the disk had no room since the last roll
}

func (d *folder) last() *segment { return d.segs[len(d.segs)-1] }

func (d *folder) bytes() int64 {
	n := int64(0)
	for _, s := range d.segs {
		n += s.size
	}
	return n
}

// full says whether n more bytes belong into a new segment. One without a batch is not full, however small segments are; and
// one that began with much must grow by half of it first, or every write would begin a segment and write all that anew.
func (d *folder) full(n int) bool {
	if d.mustRoll {
		return true
	}
	s := d.last()
	return s.records > 0 && s.size+int64(n) > max(d.target, s.begun+s.begun/2)
}

// create writes a new segment that begins with state, durably, and makes it the one that append writes to. The caller
// puts it into segs, locked.
func (d *folder) create(state []byte) (*segment, error) {
	s := &segment{header: header{index: d.index, base: d.next, stream: d.stream, machine: d.machine}, end: d.next, stated: true}
	d.index++ // also if it fails: a name is not used twice
	name := s.path(d.dir)
	f, err := d.fs.Open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if isFull(err) {
		return nil, errNoRoom
	}
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	b := s.encode(make([]byte, 0, headersSize+2*len(state)))
	for i := range byte(2) { // twice, for it is the only place of old checkpoints
		at := len(b)
		b = append(b, state...)
		seal(b[at:], s.place(), int64(at), flagFirst*(1-i))
	}
	if err := write(f, b, 0); err != nil {
		_ = f.Close() // nothing in it counts
		if !isFull(err) {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		// Durably: its state would replace what is written into the old segment from now on.
		if err := errors.Join(d.fs.Remove(name), d.syncDir()); err != nil {
			return nil, fmt.Errorf("remove a segment for which there was no room: %w", err)
		}
		return nil, errNoRoom
	}
	s.size, s.begun = int64(len(b)), int64(len(b))
	if err := errors.Join(f.Sync(), d.syncDir()); err != nil {
		_ = f.Close() // the first error stands
		return nil, fmt.Errorf("sync %s: %w", name, err)
	}
	err = errors.Join(d.trim(), d.close())
	d.f, d.laid, d.mustRoll, d.tight = f, s.size, false, false
	if err != nil {
		return nil, fmt.Errorf("end segment: %w", err)
	}
	if d.cut >= 0 && len(d.segs) > 0 {
		if err := d.truncate(d.last(), d.cut); err != nil {
			return nil, err
		}
		d.cut = -1
	}
	return s, nil
}

// truncate cuts what is no record off the end of a segment.
func (d *folder) truncate(s *segment, size int64) error {
	f, err := d.fs.Open(s.path(d.dir), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("cut segment: %w", err)
	}
	if err := errors.Join(f.Truncate(size), f.Sync(), f.Close()); err != nil { // the first error stands
		return fmt.Errorf("cut %s: %w", s.path(d.dir), err)
	}
	return nil
}

// append writes a group of sealed records to the end of the last segment and syncs it. The segment's size is the
// caller's to change, locked. errNoRoom leaves the file as it was; any other error is the end: what the file holds then
// is not known.
func (d *folder) append(group []byte) error {
	s := d.last()
	if err := write(d.f, group, s.size); err != nil {
		if !isFull(err) {
			return fmt.Errorf("write %s: %w", s.path(d.dir), err)
		}
		if err := d.f.Truncate(s.size); err != nil {
			return fmt.Errorf("cut %s after the disk was full: %w", s.path(d.dir), err)
		}
		d.laid, d.tight = s.size, true
		return errNoRoom
	}
	if err := d.lay(s.size+int64(len(group)), int64(len(group))); err != nil {
		return fmt.Errorf("write %s: %w", s.path(d.dir), err)
	}
	if Planted(MissingFileSync) {
		return nil
	}
	if err := d.f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path(d.dir), err)
	}
	return nil
}

// syncDir makes the names of the folder durable: of files that were made, renamed or removed.
func (d *folder) syncDir() error {
	if Planted(MissingDirectorySync) {
		return nil
	}
	return d.fs.SyncDir(d.dir)
}

// write does not trust a short count without an error.
func write(f File, b []byte, off int64) error {
	n, err := f.WriteAt(b, off)
	if err == nil && n < len(b) && !Planted(ShortWriteIgnored) {
		return io.ErrShortWrite
	}
	return err
}

// remove deletes the files of segments, durably.
func (d *folder) remove(segs []*segment) error {
	for _, s := range segs {
		if err := d.fs.Remove(s.path(d.dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove segment: %w", err)
		}
	}
	if err := d.syncDir(); err != nil {
		return fmt.Errorf("sync %s: %w", d.dir, err)
	}
	return nil
}

// compact writes a segment anew with only the batches that keep wants, in place of the old file. The caller puts what it
// returns in place of s, locked. Not for the last segment.
func (d *folder) compact(s *segment, keep func(lo, hi uint64) bool) (*segment, error) {
	f, err := d.fs.Open(s.path(d.dir), os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("compact: %w", err)
	}
	defer func() { _ = f.Close() }() // it only reads
	n := *s
	n.flags |= flagCompacted
	n.oldest, n.newest, n.records = 0, 0, 0
	b := n.encode(nil)
	sc := scanner{f: f, at: s.place(), off: headersSize, end: s.size}
	for {
		r, ok, err := sc.next()
		if err != nil {
			return nil, fmt.Errorf("compact %s: %w", s.path(d.dir), err)
		}
		if !ok {
			break
		}
		if lo, hi, stored, numbered := r.numbers(); numbered {
			if !keep(lo, hi) {
				continue
			}
			n.note(stored)
		}
		at := len(b)
		b = append(b, make([]byte, frameHead)...)
		b = finish(append(b, r.body...), at, r.kind)
		seal(b[at:], n.place(), int64(at), r.flags)
	}
	n.size = int64(len(b))
	return &n, d.replace(s, b)
}

// replace puts b in the place of a segment's content: all of it or nothing.
func (d *folder) replace(s *segment, b []byte) error {
	name := s.path(d.dir)
	tmp := name + ".tmp"
	if err := d.fs.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("compact: %w", err)
	}
	w, err := d.fs.Open(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if isFull(err) {
		return errNoRoom
	}
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	if err := write(w, b, 0); err != nil {
		_, _ = w.Close(), d.fs.Remove(tmp) // the next start removes it too
		if isFull(err) {
			return errNoRoom
		}
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	if err := errors.Join(w.Sync(), w.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", tmp, err)
	}
	if err := errors.Join(d.fs.Rename(tmp, name), d.syncDir()); err != nil {
		return fmt.Errorf("compact %s: %w", name, err)
	}
	return nil
}

// note counts a batch or letter that was stored.
func (s *segment) note(stored int64) {
	if s.records == 0 {
		s.oldest = stored
	}
	s.newest = stored
	s.records++
}

// numbers of a record that takes some: batches and letters.
func (r *record) numbers() (lo, hi uint64, stored int64, ok bool) {
	n := 1
	switch r.kind {
	case kindBatch:
		lo, n, stored = numbers(r.body)
	case kindLetter, kindGone:
		p := parser{b: r.body}
		lo, stored = p.u64(), int64(p.u64())
		if r.kind == kindGone {
			n = 0
		}
	default:
		return 0, 0, 0, false
	}
	return lo, lo + uint64(n), stored, true
}

func (d *folder) close() error {
	if d.f == nil {
		return nil
	}
	f := d.f
	d.f = nil
	return f.Close()
}

// unfinished says whether a name in the folder is left over from a compaction.
func unfinished(name string) bool {
	return filepath.Ext(name) == ".tmp"
}

package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// A Fault is bytes that are not as they were written.
type Fault struct {
	File   string
	Offset int64
	Bytes  int64
	What   string
	Torn   bool // it may be a write that a crash cut off, or one that is under way: the next start sees to it
}

// A Report is what Verify read.
type Report struct {
	Files   int
	Bytes   int64
	Records int
	Events  int
	Letters int
	Faults  []Fault // by file and offset
}

// Verify reads every byte of both folders: headers, records with what is in them, cursor and reserve. It takes no lock
// and changes nothing. Beside a running service a fault counts if it is there in each of some looks: a write that is under way
// is over by then, for what takes long, its sync, is not seen.
func Verify(cfg Config) (Report, error) {
	cfg = cfg.withDefaults()
	const looks = 4
	rep, err := verify(&cfg)
	for i := 1; i < looks && err == nil && len(rep.Faults) > 0; i++ {
		before := rep.Faults
		rep, err = verify(&cfg)
		rep.Faults = slices.DeleteFunc(rep.Faults, func(f Fault) bool { return !slices.Contains(before, f) })
	}
	return rep, err
}

func verify(cfg *Config) (Report, error) {
	var rep Report
	for _, dir := range []string{cfg.Path, cfg.Dead.Path} {
		if err := rep.folder(cfg, dir); err != nil && (dir == cfg.Path || !errors.Is(err, os.ErrNotExist)) {
			return rep, fmt.Errorf("verify: %w", err)
		}
	}
	return rep, nil
}

func (r *Report) folder(cfg *Config, dir string) error {
	st, err := r.cursor(cfg.FS, filepath.Join(dir, "cursor"))
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = r.reserve(cfg.FS, filepath.Join(dir, "reserve"))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) { // the dead letters have neither, and a full disk no reserve
		return err
	}
	held, err := holdStill(cfg.FS, dir) // after the cursor, which is never ahead of the segments
	if err != nil {
		return err
	}
	defer func() { _ = held.close() }() // it only reads
	d := &folder{fs: held, dir: dir, log: cfg.Log}
	see := func(rec *record) error {
		r.Records++
		return r.record(rec)
	}
	var fd found
	if dir == cfg.Path {
		fd, err = recall(d, st, new(books), new(ranges), see)
	} else {
		fd, err = d.load(mark{}, func(_ *segment, rec *record) error { return see(rec) })
	}
	if err != nil {
		return err
	}
	for _, g := range slices.Concat(fd.headers, fd.damages) {
		r.fault(g.seg.path(dir), g.from, g.to-g.from, g.why, false)
	}
	if g := fd.torn; g.seg != nil {
		r.fault(g.seg.path(dir), g.from, g.to-g.from, "not a record, or its checksum is wrong; at the end, so it may be a write that was cut off", true)
	}
	// What a kill left of a compaction (fd.junk) is no fault: nothing of it counted, and the next start removes it.
	for _, name := range fd.unread {
		r.fault(name, 0, length(cfg.FS, name), "nothing in it can be read", false)
	}
	for _, s := range d.segs {
		// The cursor may be older than a compaction, which made the segment shorter.
		if sure := st.mark; sure.index == s.index && sure.off > s.size && s.flags&flagCompacted == 0 {
			r.fault(s.path(dir), s.size, sure.off-s.size, "the file is too short", false)
		}
		r.Files++
		r.Bytes += s.size
	}
	slices.SortStableFunc(r.Faults, func(a, b Fault) int {
		switch {
		case a.File < b.File, a.File == b.File && a.Offset < b.Offset:
			return -1
		case a.File == b.File && a.Offset == b.Offset:
			return 0
		}
		return 1
	})
	return nil
}

func (r *Report) fault(file string, off, n int64, what string, torn bool) {
	r.Faults = append(r.Faults, Fault{File: file, Offset: off, Bytes: n, What: what, Torn: torn})
}

// length of a file, 0 if it is not known.
func length(fsys FS, name string) int64 {
	f, err := fsys.Open(name, os.O_RDONLY)
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }() // it was not written
	size, err := f.Size()
	if err != nil {
		return 0
	}
	return size
}

// record reads all that is in a record whose checksum is right.
func (r *Report) record(rec *record) error {
	switch rec.kind {
	case kindBatch:
		b, err := parseBatch(rec.body)
		if err == nil {
			_, err = b.change()
		}
		var ev events
		if err == nil {
			err = ev.open(b)
		}
		for err == nil && ev.left() {
			var e Entry
			err = ev.next(&e)
			r.Events++
		}
		if err == nil && b.n > 0 && len(ev.p.b) > 0 {
			err = errShort
		}
		return err
	case kindLetter:
		r.Letters++
		_, err := parseLetter(rec.body)
		return err
	case kindCommand:
		_, _, err := parseCommand(rec.body)
		return err
	case kindState, kindGone:
		return nil
	}
	return fmt.Errorf("a record of kind %d, which is not known here", rec.kind)
}

func (r *Report) cursor(fsys FS, name string) (cursorState, error) {
	f, err := fsys.Open(name, os.O_RDONLY)
	if err != nil {
		return cursorState{broken: true}, err
	}
	defer func() { _ = f.Close() }() // it only reads
	for slot := range int64(2) {
		b := make([]byte, slotSize)
		if err := readAll(f, b, slot*slotSize); err != nil {
			return cursorState{}, fmt.Errorf("read %s: %w", name, err)
		}
		_, _, n, ok := decodeSlot(b)
		switch end := used(b); {
		case end <= n:
		case ok:
			r.fault(name, slot*slotSize+int64(n), int64(end-n), "bytes behind a slot of the cursor", false)
		default:
			r.fault(name, slot*slotSize, slotSize, "a damaged slot of the cursor; the other one serves", true)
		}
	}
	size, err := f.Size()
	if err != nil {
		return cursorState{}, fmt.Errorf("size of %s: %w", name, err)
	}
	if size != 2*slotSize {
		r.fault(name, size, 0, "the file has not the length that it should have", false)
	}
	r.Files++
	r.Bytes += size
	return (&cursor{f: f, name: name}).load()
}

func (r *Report) reserve(fsys FS, name string) error {
	f, err := fsys.Open(name, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) { // given up just now
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it only reads
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", name, err)
	}
	r.Files++
	r.Bytes += size
	b := make([]byte, windowSize)
	for off := int64(0); off < size; off += windowSize {
		part := b[:min(size-off, windowSize)]
		if err := readAll(f, part, off); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if n := used(part); n > 0 {
			i := slices.IndexFunc(part, func(c byte) bool { return c != 0 })
			r.fault(name, off+int64(i), int64(n-i), "it should be empty; nothing is lost with it", false)
		}
	}
	return nil
}

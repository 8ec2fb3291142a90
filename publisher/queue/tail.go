package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// tail finds where the last segment ends: a crash may have left a write there that was never promised. Each write is
// followed by a sync before the next one begins, so that only the last write can be torn. Bytes that are no record are
//
//   - damage, if the cursor knows them to be durable, or if a later write is behind them;
//   - torn, if only records of the same write are behind them, which go with them;
//   - room that was laid, or a write of which nothing came to the disk, if they are zero: what comes next goes there.
//
// A last segment without any record is a roll that was cut off; so is one without a header, in which there is only its
// state, if there are others: they go only behind a roll that is durable.
func (d *folder) tail(fd *found, durable mark) (end int64, err error) {
	for len(d.segs) > 0 {
		s := d.last()
		sure := int64(0)
		switch {
		case durable.index == s.index:
			sure = durable.off
		case durable.index > s.index:
			sure = s.size
		}
		t, err := d.scanTail(s, sure)
		if err != nil {
			return 0, err
		}
		headless := s.flags&flagNoHeader != 0 && t.whole == t.states && len(d.segs) > 1
		if (t.whole == 0 || headless) && sure <= headersSize {
			name := s.path(d.dir)
			if t.zero || s.stream != 0 {
				fd.junk = append(fd.junk, name)
			} else {
				fd.unread = append(fd.unread, name)
			}
			fd.headers = without(fd.headers, s)
			d.segs = d.segs[:len(d.segs)-1]
			continue
		}
		end, d.laid = t.used, s.size
		if t.cut >= 0 && !Planted(TornTailKept) {
			d.mustRoll, d.cut, end = true, t.cut, t.cut
			fd.torn = damage{seg: s, from: t.cut, to: t.used, why: "a write that was cut off"}
			fd.passed = t.used - t.cut
		} else if t.end < t.used {
			d.mustRoll = true // damage at the very end: nothing is written behind it
			fd.passed = t.used - t.end
		}
		if t.second[1] > 0 {
			d.mustRoll, fd.second = true, t.second
		}
		if sure < end {
			fd.rewrite = [2]int64{t.write, end}
		}
		return end, nil
	}
	return 0, nil
}

func without(list []damage, s *segment) []damage {
	kept := list[:0]
	for _, d := range list {
		if d.seg != s {
			kept = append(kept, d)
		}
	}
	return kept
}

// A tailScan is what the end of a segment looks like.
type tailScan struct {
	records int
	whole   int      // of them before cut
	states  int      // of these
	zero    bool     // nothing but zeros
	cut     int64    // where a torn write begins; -1: none
	end     int64    // behind the last record
	used    int64    // behind that there are only zeros, and nothing that is durable
	second  [2]int64 // offset and end of the copy of its state, if the first is damaged
	write   int64    // where the last write begins
}

func (d *folder) scanTail(s *segment, sure int64) (tailScan, error) {
	t := tailScan{cut: -1, zero: true}
	f, err := d.fs.Open(s.path(d.dir), os.O_RDONLY)
	if err != nil {
		return t, fmt.Errorf("open segment: %w", err)
	}
	defer func() { _ = f.Close() }() // it only reads
	sc := scanner{f: f, at: s.place(), off: headersSize, end: s.size}
	for {
		before := sc.off
		r, ok, err := sc.next()
		if err != nil {
			return t, fmt.Errorf("read %s: %w", s.path(d.dir), err)
		}
		if ok && r.flags&flagFirst != 0 {
			t.cut = -1 // the write before was synced, whatever it looks like now
			if t.write = r.off; t.records == 0 {
				t.write = 0 // the header is part of it
			}
		} else if ok && t.records == 0 && r.kind == kindState {
			if r.off > before { // its second copy serves: it may be all that is left of older segments
				t.second = [2]int64{r.off, r.off + r.size}
			}
		} else if before >= sure && t.cut < 0 && (ok && r.off > before || !ok && before < s.size) {
			t.cut = before
		}
		if !ok {
			t.end = before
			break
		}
		if t.records++; t.cut < 0 {
			t.whole = t.records
			if r.kind == kindState {
				t.states++
			}
		}
	}
	t.zero = t.records == 0 && usedTo(f, 0, s.size) == 0
	t.used = min(max(usedTo(f, t.end, s.size), sure), s.size)
	if t.cut == t.used {
		t.cut = -1
	}
	return t, nil
}

// usedTo is where the zeros begin that a part of a file ends with, at a multiple of frameAlign; from, if there is nothing
// else. What cannot be read does not count as zero.
func usedTo(f File, from, to int64) int64 {
	if from >= to {
		return from
	}
	end := from
	b := make([]byte, min(to-from, windowSize))
	for off := from; off < to; off += windowSize {
		part := b[:min(to-off, windowSize)]
		n, err := f.ReadAt(part, off)
		if n < len(part) && err != io.EOF {
			end = off + int64(len(part))
		} else if n := used(part[:n]); n > 0 {
			end = off + int64(padded(n))
		}
	}
	return min(end, to)
}

// isRoom says whether what lies behind the last record of an older segment was laid, and not given back when the next one
// began: zeros, and no number is missing.
func (d *folder) isRoom(i int, end int64) (bool, error) {
	if i+1 >= len(d.segs) || d.segs[i+1].base == 0 || d.segs[i+1].base > d.next {
		return false, nil
	}
	s := d.segs[i]
	f, err := d.fs.Open(s.path(d.dir), os.O_RDONLY)
	if err != nil {
		return false, fmt.Errorf("open segment: %w", err)
	}
	defer func() { _ = f.Close() }() // it only reads
	return usedTo(f, end, s.size) == end, nil
}

// repair writes the headers of a segment once more, one of which was damaged.
func (d *folder) repair(s *segment) error {
	f, err := d.fs.Open(s.path(d.dir), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("repair header: %w", err)
	}
	err = write(f, s.encode(nil), 0)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("repair header of %s: %w", s.path(d.dir), err)
	}
	return nil
}

// restate writes the first copy of a segment's state anew, from the second: another segment, which would bring both, has no
// room on a full disk.
func (d *folder) restate(s *segment, f File, second [2]int64) error {
	from, to := second[0], second[1]
	if to == 0 || from-headersSize != to-from {
		return nil // the first is whole; or its place is not known
	}
	rec := make([]byte, to-from)
	if _, err := f.ReadAt(rec, from); err != nil {
		return err
	}
	seal(rec, s.place(), headersSize, flagFirst)
	return errors.Join(write(f, rec, headersSize), f.Sync())
}

// mend makes the folder ready to be written after load. What the last write left in memory of the system is written once
// more: had its sync failed, it would be read back now and still be lost in a power cut.
//
// done are the numbers that do not wait: damage at the end of an older segment that lost none of the others is a cut that
// was not done any more, or matters to nobody, and is cut off.
func (d *folder) mend(fd *found, done *ranges) error {
	for _, name := range fd.junk {
		if err := d.fs.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove what a crash left: %w", err)
		}
	}
	for _, name := range fd.unread {
		d.log.Error("a segment cannot be read at all and was put aside; what was in it is lost", "file", name+".damaged")
		if err := d.fs.Rename(name, name+".damaged"); err != nil {
			return fmt.Errorf("put segment aside: %w", err)
		}
	}
	if err := d.syncDir(); err != nil {
		return fmt.Errorf("sync %s: %w", d.dir, err)
	}
	for _, g := range fd.headers {
		if g.seg.flags&flagNoHeader != 0 {
			continue // neither is whole
		}
		if err := d.repair(g.seg); err != nil {
			return err
		}
	}
	if len(d.segs) == 0 {
		return nil
	}
	s := d.last()
	f, err := d.fs.Open(s.path(d.dir), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	d.f = f
	if err := d.restate(s, f, fd.second); err != nil {
		return fmt.Errorf("repair the state of %s: %w", s.path(d.dir), err)
	}
	if from, to := fd.rewrite[0], fd.rewrite[1]; from < to {
		b := make([]byte, to-from)
		if _, err := f.ReadAt(b, from); err != nil {
			return fmt.Errorf("read %s: %w", s.path(d.dir), err)
		}
		if err := write(f, b, from); err != nil {
			return fmt.Errorf("write the last batch again: %w", err)
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", s.path(d.dir), err)
		}
	}
	if fd.torn.seg != nil {
		d.log.Info("a write that was cut off is left out", "file", s.path(d.dir), "offset", fd.torn.from, "bytes", fd.torn.to-fd.torn.from)
	}
	for _, s := range fd.loose {
		if err := d.truncate(s, s.size); err != nil {
			return err
		}
	}
	left := fd.damages[:0]
	for _, g := range fd.damages {
		if g.seg == s || g.to != g.seg.size || g.from < headersSize || done.missing(g.lo, g.hi) > 0 {
			left = append(left, g)
			continue
		}
		if err := d.truncate(g.seg, g.from); err != nil {
			return err
		}
		g.seg.size = g.from
	}
	fd.damages = left
	return nil
}

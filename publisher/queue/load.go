package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// A mark is how far a log is known to be durable.
type mark struct {
	stream uint32
	index  uint64 // segment
	off    int64  // bytes of it
	next   uint64 // number that comes next
}

// A damage is bytes of a segment that are no record, and the numbers that were in them.
type damage struct {
	seg      *segment
	from, to int64
	lo, hi   uint64
	why      string
}

// What load found.
type found struct {
	damages []damage
	headers []damage   // damaged headers that do no harm, for the other one is whole
	gaps    []span     // numbers between records that no record has, or between the last one and the durable mark
	skipped []span     // numbers that are passed over, for a write that was cut off might have had them
	junk    []string   // files of an unfinished create or compact
	unread  []string   // files of which nothing can be read
	rewrite [2]int64   // bytes of the last segment, from and to, that may not be durable
	second  [2]int64   // offset and end of the copy of the last segment's state, if the first is damaged
	passed  int64      // bytes at the end of the last segment that are no record: in them was a number for each, at most
	torn    damage     // a write that was cut off at the end of the last segment
	loose   []*segment // older ones with laid room that was not given back
}

// load reads the whole folder and changes nothing in it. visit is called for every good record, in order; an error of
// its makes the record a damaged one. What is behind the durable mark and was cut off by a crash does not count.
func (d *folder) load(durable mark, visit func(s *segment, r *record) error) (found, error) {
	d.cut = -1
	var fd found
	if err := d.list(&fd, durable); err != nil {
		return fd, err
	}
	ends := make([]int64, len(d.segs))
	for i, s := range d.segs {
		ends[i] = s.size
	}
	if n := len(d.segs); n > 0 {
		end, err := d.tail(&fd, durable)
		if err != nil {
			return fd, err
		}
		if n = len(d.segs); n > 0 {
			ends[n-1] = end
		}
	}
	unknown := -1 // first damage whose numbers are not known yet
	known := func(lo uint64) {
		if unknown >= 0 {
			fd.damages[unknown].hi = max(lo, d.next)
			unknown = -1
		} else if lo > d.next {
			fd.gaps = append(fd.gaps, span{d.next, lo})
		}
		d.next = max(d.next, lo)
	}
	bad := func(s *segment, from, to int64, why string) {
		fd.damages = append(fd.damages, damage{seg: s, from: from, to: to, lo: d.next, hi: d.next, why: why})
		if unknown < 0 {
			unknown = len(fd.damages) - 1
		}
	}
	for i, s := range d.segs {
		if s.base > 0 {
			known(s.base)
		} else {
			s.base = d.next
		}
		if s.stream == 0 {
			bad(s, 0, ends[i], "neither of its headers is whole")
		} else if end, err := d.read(s, ends[i], known, bad, visit); err != nil {
			return fd, err
		} else if end < ends[i] {
			room, err := d.isRoom(i, end)
			if err != nil {
				return fd, err
			}
			if room {
				fd.loose = append(fd.loose, s)
				ends[i] = end
			} else {
				bad(s, end, ends[i], "not a record, or its checksum is wrong")
			}
		}
		s.size = ends[i]
	}
	if unknown >= 0 {
		known(durable.next)
	}
	for i, s := range d.segs { // what is missing at the end of a segment is its own
		if s.end = d.next; i+1 < len(d.segs) {
			s.end = max(s.base, d.segs[i+1].base)
		}
	}
	if durable.next > d.next {
		fd.gaps = append(fd.gaps, span{d.next, durable.next})
	}
	d.next = max(d.next, durable.next, 1)
	// Without a state in the last segment the ones before it must stay.
	d.mustRoll = d.mustRoll || len(d.segs) > 0 && !d.last().stated
	if d.mustRoll && !Planted(SequenceReuse) {
		// What was cut off may have been read by someone after all, if it was damaged rather than torn: its numbers are
		// not used again. It held fewer events than bytes.
		lo := d.next
		d.next += uint64(fd.passed)
		if d.next > lo {
			fd.skipped = append(fd.skipped, span{lo, d.next})
		}
	}
	return fd, nil
}

// read visits the records of one segment, and gives the end of the last one.
func (d *folder) read(s *segment, end int64, known func(uint64), bad func(*segment, int64, int64, string), visit func(*segment, *record) error) (int64, error) {
	f, err := d.fs.Open(s.path(d.dir), os.O_RDONLY)
	if err != nil {
		return 0, fmt.Errorf("open segment: %w", err)
	}
	defer func() { _ = f.Close() }() // it only reads
	sc := scanner{f: f, at: s.place(), off: headersSize, end: end}
	for {
		before := sc.off
		r, ok, err := sc.next()
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", s.path(d.dir), err)
		}
		if !ok {
			return before, nil
		}
		if r.off > before {
			bad(s, before, r.off, "not a record, or its checksum is wrong")
		}
		lo, hi, stored, numbered := r.numbers()
		if numbered && (lo < d.next || lo > 1<<62) {
			bad(s, r.off, r.off+r.size, "its number was used before")
			continue
		}
		if err := visit(s, &r); err != nil {
			bad(s, r.off, r.off+r.size, err.Error())
			continue
		}
		s.stated = s.stated || r.kind == kindState
		if numbered {
			known(lo)
			d.next = hi
			s.note(stored)
		}
	}
}

// list finds the segments and reads their headers.
func (d *folder) list(fd *found, durable mark) error {
	names, err := d.fs.List(d.dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", d.dir, err)
	}
	for _, name := range names {
		index, ok := segmentIndex(name)
		if !ok {
			if unfinished(name) {
				fd.junk = append(fd.junk, filepath.Join(d.dir, name))
			}
			continue
		}
		s := &segment{header: header{index: index}}
		if err := d.open(s, fd); err != nil {
			return err
		}
		d.segs = append(d.segs, s)
		d.index = max(d.index, index+1)
	}
	d.index = max(d.index, durable.index+1, 1)
	slices.SortFunc(d.segs, func(a, b *segment) int {
		if a.index < b.index {
			return -1
		}
		return 1
	})
	// The stream of a segment with a damaged header is that of its neighbours, or of the cursor.
	streams := []uint32{durable.stream}
	for _, s := range d.segs {
		streams = append(streams, s.stream)
	}
	for _, s := range d.segs {
		for _, stream := range streams {
			if s.stream == 0 && stream != 0 {
				if err := d.guess(s, stream); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (d *folder) open(s *segment, fd *found) error {
	name := s.path(d.dir)
	f, err := d.fs.Open(name, os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	defer func() { _ = f.Close() }() // it only reads
	if s.size, err = f.Size(); err != nil {
		return fmt.Errorf("size of %s: %w", name, err)
	}
	h, ok, faults, err := readHeader(f, name, s.index)
	if err != nil {
		return err
	}
	if ok {
		s.header = h
	} else {
		s.flags = flagNoHeader
	}
	for _, off := range faults {
		fd.headers = append(fd.headers, damage{seg: s, from: off, to: off + headerSize, why: "a damaged segment header"})
	}
	return nil
}

// guess gives s a stream under which it has a record.
func (d *folder) guess(s *segment, stream uint32) error {
	f, err := d.fs.Open(s.path(d.dir), os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	defer func() { _ = f.Close() }() // it only reads
	sc := scanner{f: f, at: place{stream, s.index}, off: headersSize, end: s.size}
	_, ok, err := sc.next()
	if err != nil {
		return fmt.Errorf("read %s: %w", s.path(d.dir), err)
	}
	if ok {
		s.stream, d.mustRoll = stream, true // nothing is written behind a damaged header
	}
	return nil
}

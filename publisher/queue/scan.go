package queue

import (
	"errors"
	"fmt"
	"os"
)

// records visits the whole records of a segment, in order; what is damaged is passed over. An error of visit ends it.
func (d *folder) records(s *segment, visit func(r *record) error) error {
	f, err := d.fs.Open(s.path(d.dir), os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	defer func() { _ = f.Close() }() // it only reads
	sc := scanner{f: f, at: s.place(), off: headersSize, end: s.size}
	for {
		r, ok, err := sc.next()
		if err != nil {
			return fmt.Errorf("read %s: %w", s.path(d.dir), err)
		}
		if !ok {
			return nil
		}
		if err := visit(&r); err != nil {
			return err
		}
	}
}

// errFound ends a visit early.
var errFound = errors.New("found")

// scan visits the batches of a segment.
func scan(d *folder, s *segment, visit func(b *batch, r *record) error) error {
	return d.records(s, func(r *record) error {
		if r.kind != kindBatch {
			return nil
		}
		b, err := parseBatch(r.body)
		if err != nil {
			return nil // load or a reader says so
		}
		return visit(&b, r)
	})
}

// scanLetters visits the letters of a segment that are there, until visit wants no more.
func scanLetters(d *folder, s *segment, done *ranges, visit func(Letter) bool) error {
	err := d.records(s, func(r *record) error {
		if r.kind != kindLetter {
			return nil
		}
		l, err := parseLetter(r.body)
		if err != nil || done.has(l.Number) || visit(l) {
			return nil
		}
		return errFound
	})
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}

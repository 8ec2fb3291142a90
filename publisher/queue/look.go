package queue

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// A View is a look into a folder. It takes no lock and changes nothing, so it may be taken beside a running service. It
// shows one moment, however the service goes on, and is to be closed.
type View struct {
	Stream      string
	Waiting     uint64    // numbers: events, of chunked ones the parts
	Bytes       int64     // of the segments on disk
	Oldest      time.Time // when the oldest event that waits was stored; zero if none does
	Since       time.Time // when the folder was made
	Segments    int
	Damaged     uint64 // records that were damaged, since the folder was made
	Lost        uint64 // events that were in them
	Letters     int
	LetterBytes int64
	Expired     uint64 // dead letters that went with age or size

	still *still
	log   *folder
	books books
	done  ranges
}

// Look reads the whole folder of cfg, and that of the dead letters.
func Look(cfg Config) (*View, error) {
	cfg = cfg.withDefaults()
	v, err := look(&cfg)
	if err != nil {
		return nil, fmt.Errorf("look into the queue: %w", err)
	}
	return v, nil
}

// Close gives the files back that the view reads from.
func (v *View) Close() error { return v.still.close() }

// lookDead reads the dead letters' folder; there need not be one. What it returns is to be closed.
func lookDead(cfg *Config) (*deadFolder, *still, error) {
	d := &deadFolder{folder: folder{fs: cfg.FS, dir: cfg.Dead.Path, log: cfg.Log}}
	held, err := holdStill(cfg.FS, cfg.Dead.Path)
	if errors.Is(err, os.ErrNotExist) {
		return d, &still{}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("dead letters: %w", err)
	}
	d.fs = held
	if _, err := d.recall(); err != nil {
		_ = held.close() // it only reads
		return nil, nil, fmt.Errorf("dead letters: %w", err)
	}
	return d, held, nil
}

func look(cfg *Config) (*View, error) {
	st, err := readCursor(cfg.FS, filepath.Join(cfg.Path, "cursor"))
	if err != nil {
		return nil, err
	}
	held, err := holdStill(cfg.FS, cfg.Path) // after the cursor, which is never ahead of the segments
	if err != nil {
		return nil, err
	}
	v := &View{log: &folder{fs: held, dir: cfg.Path, log: cfg.Log}, still: held}
	if err := v.read(cfg, st); err != nil {
		_ = v.Close() // it only reads
		return nil, err
	}
	return v, nil
}

func (v *View) read(cfg *Config, st cursorState) error {
	fd, err := recall(v.log, st, &v.books, &v.done, nil)
	if err != nil {
		return err
	}
	for _, g := range fd.damages {
		v.done.add(g.lo, g.hi)
	}
	v.Waiting, v.Bytes, v.Segments = v.done.waiting(v.log.next), v.log.bytes(), len(v.log.segs)
	v.Since, v.Damaged, v.Lost = v.books.since, v.books.damaged, v.books.lost
	if len(v.log.segs) > 0 {
		v.Stream = fmt.Sprintf("%08x", v.log.last().stream)
	}
	for e, err := range v.Entries() {
		if err != nil {
			return err
		}
		v.Oldest = e.Stored
		break
	}
	for l, err := range Letters(*cfg) {
		if err != nil {
			return err
		}
		v.Letters++
		v.LetterBytes += l.Bytes
	}
	dead, held, err := lookDead(cfg)
	if err != nil {
		return err
	}
	v.Expired = dead.expired
	return held.close()
}

// readCursor reads the newer slot; without a file it gives nothing.
func readCursor(fsys FS, name string) (cursorState, error) {
	f, err := fsys.Open(name, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return cursorState{}, nil
	}
	if err != nil {
		return cursorState{}, fmt.Errorf("open cursor: %w", err)
	}
	defer func() { _ = f.Close() }() // it only reads
	return (&cursor{f: f, name: name}).load()
}

// Checkpoint returns the stored position of a link, nil if there is none.
func (v *View) Checkpoint(link string) []byte { return bytes.Clone(v.books.checkpoint(link)) }

// Entries are the events that wait, the oldest first.
func (v *View) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var ev events
		for _, s := range v.log.segs {
			if v.done.covers(s.base, s.end) {
				continue
			}
			err := scan(v.log, s, func(b *batch, r *record) error {
				lo, hi := b.base, b.base+uint64(b.n)
				if v.done.missing(lo, hi) == 0 {
					return nil
				}
				own, err := parseBatch(bytes.Clone(r.body))
				if err == nil {
					err = ev.open(own)
				}
				if err != nil {
					return nil // verify says so
				}
				done := v.done.within(lo, hi)
				for ev.left() {
					var e Entry
					if ev.next(&e) != nil {
						return nil
					}
					for len(done) > 0 && done[0].hi <= e.Number {
						done = done[1:]
					}
					if len(done) > 0 && done[0].lo <= e.Number {
						continue
					}
					if !yield(e, nil) {
						return errFound
					}
				}
				return nil
			})
			switch {
			case errors.Is(err, errFound):
				return
			case err != nil:
				yield(Entry{}, err)
				return
			}
		}
	}
}

// Find returns the event of a number that waits.
func (v *View) Find(number uint64) (Entry, bool, error) {
	for e, err := range v.Entries() {
		if err != nil {
			return Entry{}, false, err
		}
		if e.Number == number {
			return e, true, nil
		}
		if e.Number > number {
			break
		}
	}
	return Entry{}, false, nil
}

// Accounts are the ledger per device, by name.
func (v *View) Accounts() ([]Account, error) {
	var waiting ledger
	var segs []segment
	for _, s := range v.log.segs {
		segs = append(segs, *s)
	}
	if err := countWaiting(v.log, segs, &v.done, &waiting); err != nil {
		return nil, err
	}
	return v.books.ledger.accounts(&waiting), nil
}

// Letters are the dead letters of cfg.Dead.Path, the oldest first. No lock is taken and nothing changed.
func Letters(cfg Config) iter.Seq2[Letter, error] {
	cfg = cfg.withDefaults()
	return func(yield func(Letter, error) bool) {
		d, held, err := lookDead(&cfg)
		if err != nil {
			yield(Letter{}, err)
			return
		}
		defer func() { _ = held.close() }() // it only reads
		for _, s := range d.segs {
			more := true
			err := scanLetters(&d.folder, s, &d.done, func(l Letter) bool {
				more = yield(l, nil)
				return more
			})
			if !more {
				return
			}
			if err != nil {
				yield(Letter{}, fmt.Errorf("dead letters: %w", err))
				return
			}
		}
	}
}

package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	maxReserve   = 16 << 20
	reserveShare = 20 // a twentieth of a small file system
)

// A reserve is a file that only takes room, to be given up when the disk is full: what must be written even then, for
// dropping events or setting one aside, has room in its place.
type reserve struct {
	fs        FS
	dir, name string
	size      int64
	there     bool
}

func newReserve(fsys FS, dir string) *reserve {
	r := &reserve{fs: fsys, dir: dir, name: filepath.Join(dir, "reserve"), size: maxReserve}
	if size, err := fsys.Size(dir); err == nil && size > 0 {
		r.size = min(r.size, size/reserveShare)
	}
	return r
}

// take makes the file, if there is room for it and for more bytes beside it; errNoRoom if not.
func (r *reserve) take(more int64) error {
	f, err := r.fs.Open(r.name, os.O_RDWR)
	if err == nil {
		size, err := f.Size()
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("reserve: %w", err)
		}
		if r.there = size == r.size; r.there {
			return nil
		}
	}
	if err := r.give(); err != nil {
		return err
	}
	f, err = r.fs.Open(r.name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if isFull(err) {
		return errNoRoom
	}
	if err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	err = f.Allocate(r.size + more)
	if err == nil {
		err = f.Truncate(r.size)
	}
	if err != nil {
		_ = f.Close() // it goes anyway
		if err := r.fs.Remove(r.name); err != nil {
			return fmt.Errorf("reserve: %w", err)
		}
		if isFull(err) {
			return errNoRoom
		}
		return fmt.Errorf("reserve of %d bytes: %w", r.size, err)
	}
	if err := errors.Join(f.Sync(), f.Close(), r.fs.SyncDir(r.dir)); err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	r.there = true
	return nil
}

// give gives the room back to the disk.
func (r *reserve) give() error {
	r.there = false
	if err := r.fs.Remove(r.name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reserve: %w", err)
	}
	return nil
}

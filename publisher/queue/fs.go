package queue

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// FS is all the queue asks of a file system. A test may put one in its place that loses what was not synced.
//
// Names are paths as package filepath makes them. Errors say why as package os would: errors.Is with fs.ErrNotExist,
// syscall.ENOSPC and syscall.EDQUOT must work. It is used by several goroutines at once.
type FS interface {
	// MkdirAll makes dir and what is missing above it, durably.
	MkdirAll(dir string) error
	// Lock takes the file for this process until it is closed; ErrBusy if another has it.
	Lock(name string) (io.Closer, error)
	// Open opens with os.O_RDONLY, os.O_RDWR, or os.O_RDWR|os.O_CREATE|os.O_EXCL. A new file is durable after SyncDir.
	Open(name string, flag int) (File, error)
	// Remove and Rename are durable after SyncDir.
	Remove(name string) error
	Rename(from, to string) error
	// List names what is in dir, in the order of the names.
	List(dir string) ([]string, error)
	SyncDir(dir string) error
	// Size is of the file system that dir is on.
	Size(dir string) (int64, error)
	// Apart says whether two folders are on different file systems.
	Apart(a, b string) (bool, error)
}

// File is an open file. What was written is durable after Sync; until then a crash may keep any part of it.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Allocate makes the file that long, all of it on the disk, and zero where it was not written.
	Allocate(size int64) error
	Sync() error
}

// disk is the real file system.
type disk struct{}

func (disk) MkdirAll(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &os.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if err := (disk{}).MkdirAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return disk{}.SyncDir(parent)
}

func (disk) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = again(func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) })
	if err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return f, nil
}

func (disk) Open(name string, flag int) (File, error) {
	// Not blocking: a pipe that lies where a file should be must not hang the start.
	f, err := os.OpenFile(name, flag|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, &os.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	return diskFile{f}, nil
}

func (disk) Remove(name string) error     { return os.Remove(name) }
func (disk) Rename(from, to string) error { return os.Rename(from, to) }

func (disk) List(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	_ = d.Close() // only read
	slices.Sort(names)
	return names, err
}

func (disk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (disk) Size(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := again(func() error { return syscall.Statfs(dir, &st) }); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Blocks) * int64(st.Bsize), nil
}

func (disk) Apart(a, b string) (bool, error) {
	var at, bt syscall.Stat_t
	for name, st := range map[string]*syscall.Stat_t{a: &at, b: &bt} {
		if err := again(func() error { return syscall.Stat(name, st) }); err != nil {
			return false, &os.PathError{Op: "stat", Path: name, Err: err}
		}
	}
	return at.Dev != bt.Dev, nil
}

type diskFile struct{ *os.File }

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f diskFile) Allocate(size int64) error {
	err := again(func() error { return syscall.Fallocate(int(f.Fd()), 0, 0, size) })
	if !errors.Is(err, syscall.EOPNOTSUPP) {
		return err
	}
	zero := make([]byte, 1<<16)
	for off := int64(0); off < size; off += int64(len(zero)) {
		if _, err := f.WriteAt(zero[:min(size-off, int64(len(zero)))], off); err != nil {
			return err
		}
	}
	return nil
}

func (f diskFile) Sync() error {
	// The length is metadata that fdatasync writes too; the times are not needed.
	err := again(func() error { return syscall.Fdatasync(int(f.Fd())) })
	if err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

// again calls f until no signal interrupts it.
func again(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}

// isFull tells a disk without room, which passes, from one that fails.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, io.ErrShortWrite)
}

package queue_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"legacybridge/publisher/queue"
)

// errCut is what every call answers after the power went.
var errCut = errors.New("the power is off")

// A fakeFS is a file system in memory that knows what is durable and what a power cut takes away: writes since the last
// sync of a file, in whole or in part, and the names that were made or removed since the last sync of their folder, from
// some moment on. It counts operations, and can end or fail at any one of them.
type fakeFS struct {
	mu      sync.Mutex
	names   map[string]*inode // as the running system sees them
	durable map[string]*inode
	pending []dirOp
	locks   map[string]bool
	size    int64 // of the disk; 0: as much as is needed
	ops     int   // that change something
	cutAt   int   // the power goes before that one; 0: never
	failAt  int   // that one fails, and those after it; 0: never
	how     failure
	once    bool // only that one does: a second sync would succeed, and have lost what the first had to write
	short   bool // a write for which there is no room comes back short, without an error
	off     bool
	trouble bool      // something was cut or fails
	ended   time.Time // when the power went, or the disk failed first
	handles int

	cursorWritten, cursorSynced time.Time
	mute                        func(op, name string) bool // planted bugs: true: the call does nothing and says that it did
}

// A failure is how an operation fails.
type failure int

const (
	eio    failure = iota
	enospc         // only what takes room
	short          // a write that says so in its count alone
)

type dirOp struct {
	name    string
	node    *inode // nil: removed
	renamed string
}

func newFakeFS() *fakeFS {
	return &fakeFS{names: map[string]*inode{}, durable: map[string]*inode{}, locks: map[string]bool{}}
}

// op counts an operation that changes something.
func (f *fakeFS) op() error {
	if f.off {
		return errCut
	}
	f.ops++
	if f.cutAt > 0 && f.ops >= f.cutAt {
		f.off = true
		f.end()
		return errCut
	}
	return nil
}

func (f *fakeFS) end() {
	if f.ended.IsZero() {
		f.ended = time.Now()
	}
}

// cursorTimes are the last moments at which the cursor was written, and at which what was synced of it was written.
func (f *fakeFS) cursorTimes() (written, synced time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cursorWritten, f.cursorSynced
}

// endedAt is when the process could no longer write.
func (f *fakeFS) endedAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end()
	return f.ended
}

// fault is the error of the operation that was counted last. grows says that it takes room.
func (f *fakeFS) fault(op, name string, grows bool) error {
	if f.failAt == 0 || f.ops < f.failAt || f.ops > f.failAt && f.once {
		return nil
	}
	switch {
	case f.how == eio:
		f.end()
		return &fs.PathError{Op: op, Path: name, Err: syscall.EIO}
	case f.how == enospc && grows:
		return &fs.PathError{Op: op, Path: name, Err: syscall.ENOSPC}
	case f.how == short && op == "write":
		return errShort
	}
	return nil
}

// errShort is what WriteAt does not say.
var errShort = errors.New("a short write")

// cutAfter lets the power go before the n-th change from now; 0: never. Errors are expected then.
func (f *fakeFS) cutAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutAt, f.trouble = f.ops+n, true
	if n == 0 {
		f.cutAt = 0
	}
}

// failAfter lets changes fail from the n-th on, or only that one; 0: never.
func (f *fakeFS) failAfter(n int, how failure, once bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failAt, f.how, f.once, f.trouble = f.ops+n, how, once, true
	if n == 0 {
		f.failAt = 0
	}
}

// state says whether errors are to be expected, whether the power is off, and how many changes are left before that.
func (f *fakeFS) state() (trouble, off bool, left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trouble, f.off, f.cutAt - f.ops
}

func (f *fakeFS) isOff() bool {
	_, off, _ := f.state()
	return off
}

// expected says whether an error is no surprise.
func (f *fakeFS) expected() bool {
	trouble, _, _ := f.state()
	return trouble
}

// leftOpen is how many files are open.
func (f *fakeFS) leftOpen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.handles
}

// changes is how many there were.
func (f *fakeFS) changes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

func sorted(m map[string]*inode) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (op dirOp) apply(m map[string]*inode) {
	switch {
	case op.renamed != "":
		m[op.renamed] = m[op.name]
		delete(m, op.name)
	case op.node == nil:
		delete(m, op.name)
	default:
		m[op.name] = op.node
	}
}

func (f *fakeFS) used() int64 {
	n := int64(0)
	for _, name := range sorted(f.names) {
		n += int64(len(f.names[name].data))
	}
	return n
}

func (f *fakeFS) usedNow() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used()
}

func (f *fakeFS) setShort(short bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.short = short
}

func (f *fakeFS) isSmall() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size > 0
}

func (f *fakeFS) setSize(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = size
}

func (f *fakeFS) MkdirAll(string) error { return nil }

func (f *fakeFS) Size(string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return 40 << 10, nil // for a small reserve
}

func (f *fakeFS) Apart(a, b string) (bool, error) { return false, nil }

type fakeLock struct {
	f    *fakeFS
	name string
}

func (l fakeLock) Close() error {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	delete(l.f.locks, l.name)
	return nil
}

func (f *fakeFS) Lock(name string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off {
		return nil, errCut
	}
	if f.locks[name] {
		return nil, queue.ErrBusy
	}
	f.locks[name] = true
	return fakeLock{f, name}, nil
}

func (f *fakeFS) Open(name string, flag int) (queue.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off {
		return nil, errCut
	}
	node := f.names[name]
	switch {
	case flag&os.O_CREATE != 0 && node != nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case flag&os.O_CREATE != 0:
		if err := errors.Join(f.op(), f.fault("open", name, true)); err != nil {
			return nil, err
		}
		node = &inode{}
		f.names[name] = node
		f.pending = append(f.pending, dirOp{name: name, node: node})
	case node == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f.handles++
	return &fakeFile{f: f, node: node, name: name}, nil
}

func (f *fakeFS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if err := errors.Join(f.op(), f.fault("remove", name, false)); err != nil {
		return err
	}
	delete(f.names, name)
	f.pending = append(f.pending, dirOp{name: name})
	return nil
}

func (f *fakeFS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(f.op(), f.fault("rename", from, true)); err != nil {
		return err
	}
	f.names[to] = f.names[from]
	delete(f.names, from)
	f.pending = append(f.pending, dirOp{name: from, renamed: to})
	return nil
}

func (f *fakeFS) List(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off {
		return nil, errCut
	}
	var list []string
	for _, name := range sorted(f.names) {
		if filepath.Dir(name) == dir {
			list = append(list, filepath.Base(name))
		}
	}
	return list, nil
}

func (f *fakeFS) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(); err != nil {
		return err
	}
	if err := f.fault("sync", dir, false); err != nil {
		return err
	}
	if f.mute != nil && f.mute("syncdir", dir) {
		return nil
	}
	// Of this folder alone. A journal would write the others too, but nobody promises that.
	left := f.pending[:0]
	for _, op := range f.pending {
		if filepath.Dir(op.name) == dir {
			op.apply(f.durable)
		} else {
			left = append(left, op)
		}
	}
	f.pending = left
	return nil
}

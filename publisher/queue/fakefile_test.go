package queue_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"
)

type inode struct {
	data    []byte
	durable []byte
	writes  []fakeWrite // since the last sync
}

type fakeWrite struct {
	off  int64
	data []byte
	size int64 // of a truncate; -1: a write
}

func (w fakeWrite) apply(data []byte) []byte {
	if w.size >= 0 {
		return resize(data, w.size)
	}
	if end := w.off + int64(len(w.data)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[w.off:], w.data)
	return data
}

// flush makes the first n writes durable.
func (n *inode) flush(writes int) {
	for _, w := range n.writes[:writes] {
		n.durable = w.apply(n.durable)
	}
	n.writes = slices.Delete(n.writes, 0, writes)
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// A fakeFile is an open file of a fakeFS.
type fakeFile struct {
	f      *fakeFS
	node   *inode
	name   string
	closed bool
}

func (h *fakeFile) ReadAt(b []byte, off int64) (int, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.f.off {
		return 0, errCut
	}
	if h.closed {
		return 0, fs.ErrClosed
	}
	if off >= int64(len(h.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.node.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *fakeFile) WriteAt(b []byte, off int64) (int, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.closed {
		return 0, fs.ErrClosed
	}
	if h.f.off {
		return 0, errCut
	}
	w := fakeWrite{off: off, data: bytes.Clone(b), size: -1}
	if err := h.f.op(); err != nil { // the write may have begun
		h.apply(w)
		return 0, err
	}
	if err := h.f.fault("write", h.name, true); err != nil {
		w.data = w.data[:len(b)/2]
		h.apply(w)
		if err == errShort {
			err = nil
		}
		return len(w.data), err
	}
	if grow := off + int64(len(b)) - int64(len(h.node.data)); h.f.size > 0 && grow > 0 {
		if free := h.f.size - h.f.used(); free < grow { // what fits is written
			w.data = w.data[:max(0, int64(len(b))-grow+max(free, 0))]
			h.apply(w)
			if h.f.short {
				return len(w.data), nil
			}
			return len(w.data), &fs.PathError{Op: "write", Path: h.name, Err: syscall.ENOSPC}
		}
	}
	h.apply(w)
	if strings.HasSuffix(h.name, "cursor") {
		h.f.cursorWritten = time.Now()
	}
	return len(b), nil
}

func (h *fakeFile) apply(w fakeWrite) {
	h.node.data = w.apply(h.node.data)
	h.node.writes = append(h.node.writes, w)
}

func (h *fakeFile) Truncate(size int64) error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := errors.Join(h.f.op(), h.f.fault("truncate", h.name, false)); err != nil {
		return err
	}
	h.apply(fakeWrite{size: size})
	return nil
}

func (h *fakeFile) Allocate(size int64) error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := errors.Join(h.f.op(), h.f.fault("fallocate", h.name, true)); err != nil {
		return err
	}
	if grow := size - int64(len(h.node.data)); h.f.size > 0 && grow > h.f.size-h.f.used() {
		return &fs.PathError{Op: "fallocate", Path: h.name, Err: syscall.ENOSPC}
	}
	h.apply(fakeWrite{size: size})
	return nil
}

// Sync makes all of the file durable. One that fails leaves it in the memory of the system only, where a second one
// finds nothing to write: it would succeed.
func (h *fakeFile) Sync() error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := h.f.op(); err != nil {
		return err
	}
	if h.f.mute != nil && h.f.mute("sync", h.name) {
		return nil
	}
	if err := h.f.fault("sync", h.name, true); err != nil {
		h.node.writes = nil
		return err
	}
	if strings.HasSuffix(h.name, "cursor") {
		h.f.cursorSynced = h.f.cursorWritten
	}
	h.node.flush(len(h.node.writes)) // only what was written since: not what a failed sync has lost
	return nil
}

func (h *fakeFile) Size() (int64, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	return int64(len(h.node.data)), nil
}

func (h *fakeFile) Close() error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	h.closed = true
	h.f.handles--
	return nil
}

// flip changes one byte of a file, on the disk and in memory.
func (f *fakeFS) flip(name string, off int, mask byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[name]
	n.data[off] ^= mask
	if off < len(n.durable) && &n.durable[0] != &n.data[0] {
		n.durable[off] ^= mask
	}
}

// files are the names below dir with a suffix.
func (f *fakeFS) files(suffix string) (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range sorted(f.names) {
		if strings.HasSuffix(name, suffix) {
			list = append(list, name)
		}
	}
	return list
}

func (f *fakeFS) length(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.names[name].data)
}

func (f *fakeFS) has(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names[name] != nil
}

func (f *fakeFS) content(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.names[name].data)
}

func (f *fakeFS) String() string {
	var b strings.Builder
	for _, name := range sorted(f.names) {
		fmt.Fprintf(&b, "%s:%d ", name, len(f.names[name].data))
	}
	return b.String()
}

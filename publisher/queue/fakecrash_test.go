package queue_test

import (
	"bytes"
	"slices"
	"time"
)

// crash takes away what was not durable, as choose decides: choose(n) is a number below n.
func (f *fakeFS) crash(choose func(n int) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keepNames(choose(len(f.pending) + 1))
	f.pending = nil
	f.names = map[string]*inode{}
	for _, name := range sorted(f.durable) {
		node := f.durable[name]
		data := node.crash(choose)
		f.names[name] = &inode{data: data, durable: slices.Clone(data)}
	}
	f.durable = map[string]*inode{}
	for _, name := range sorted(f.names) {
		f.durable[name] = f.names[name]
	}
	f.reboot()
}

// keepNames makes the first n changes of names durable that are not yet.
func (f *fakeFS) keepNames(n int) {
	for _, op := range f.pending[:n] {
		op.apply(f.durable)
	}
	f.pending = slices.Delete(f.pending, 0, n)
}

// writeBack is what a system does by itself from time to time: some of what was not synced gets to the disk.
func (f *fakeFS) writeBack(choose func(n int) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keepNames(choose(len(f.pending) + 1))
	for _, name := range sorted(f.names) {
		if node := f.names[name]; len(node.writes) > 0 {
			node.flush(choose(len(node.writes) + 1))
		}
	}
}

// powerOff ends all that the process does.
func (f *fakeFS) powerOff() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off = true
}

// kill is what the end of a process does: nothing to the files, and its locks are free.
func (f *fakeFS) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reboot()
}

func (f *fakeFS) reboot() {
	f.locks = map[string]bool{}
	f.ended = time.Time{}
	f.off, f.trouble, f.cutAt, f.failAt, f.ops = false, false, 0, 0, 0
}

// crash is what the disk holds after the power went: what was durable, and any part of what was written since. choose(n)
// is a number below n.
func (n *inode) crash(choose func(n int) int) []byte {
	data := slices.Clone(n.durable)
	if len(n.writes) == 0 {
		return data
	}
	whole := choose(len(n.writes) + 1) // so many writes came to the disk; of the next one a part may have
	for i, w := range n.writes {
		switch {
		case i < whole:
			data = w.apply(data)
		case i == whole && w.size < 0:
			data = w.tear(data, choose)
		case i > whole && choose(3) == 0: // a later one overtook it
			data = w.apply(data)
		}
	}
	return data
}

// tear puts onto data what is left of a write that was cut off. What is missing is as it was before; zeros where the file
// was shorter.
func (w fakeWrite) tear(data []byte, choose func(n int) int) []byte {
	n := len(w.data)
	keep := func(from, to int) {
		data = fakeWrite{off: w.off + int64(from), data: w.data[from:to], size: -1}.apply(data)
	}
	switch a := choose(n + 1); choose(5) {
	case 0: // a beginning of it
		keep(0, a)
	case 1: // and the length of all of it
		keep(0, a)
		data = resize(data, max(int64(len(data)), w.off+int64(n)))
	case 2: // the end, but not a beginning
		keep(a, n)
	case 3: // all but a hole
		keep(0, a)
		keep(a+choose(n-a+1), n)
	}
	return data
}

// copy is another one with the same files.
func (f *fakeFS) copy() *fakeFS {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := newFakeFS()
	for _, name := range sorted(f.names) {
		n := &inode{data: slices.Clone(f.names[name].data), durable: slices.Clone(f.names[name].durable)}
		o.names[name], o.durable[name] = n, n
	}
	return o
}

// graft puts a file of another one in the place of ours.
func (f *fakeFS) graft(o *fakeFS, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names[name], f.durable[name] = o.names[name], o.names[name]
}

// blank makes a part of a file zero, on the disk and in memory.
func (f *fakeFS) blank(name string, from, to int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[name]
	clear(n.data[from:to])
	clear(n.durable[min(from, len(n.durable)):min(to, len(n.durable))])
}

// spoil makes the rest of what was written into a file something else.
func (f *fakeFS) spoil(name string, from int) {
	end := len(bytes.TrimRight(f.content(name), "\x00"))
	for off := from; off < end; off++ {
		f.flip(name, off, 0x55)
	}
}

// cutTo makes a file shorter.
func (f *fakeFS) cutTo(name string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.names[name]
	node.data, node.durable = node.data[:n], node.durable[:min(n, len(node.durable))]
}

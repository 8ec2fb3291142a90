package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
)

const (
	cursorMagic = "lbcursor"
	cursorHead  = 24
	slotSize    = 24 << 10 // room for maxRanges, whatever their size
	maxRanges   = 1000     // that a cursor holds
)

// A cursor says which numbers do not wait any more, and how far the log is durable. Its file has two slots. Writes go
// into one of them until that is synced, and then into the other, so that there is always a whole one that was synced.
type cursor struct {
	f    File
	name string
	slot int // that is written now
	seq  uint64
	used [2]int // bytes of each slot that may not be zero
	buf  []byte
}

// A cursorState is what a slot holds.
type cursorState struct {
	mark   mark
	done   ranges // as far as it fits
	broken bool   // one of the slots is not whole, and may have been the newer one; or there is no cursor
}

// openCursor opens the file, which is made with both slots on the disk, so that a full one does not hold it up.
func openCursor(fsys FS, dir, name string) (*cursor, cursorState, error) {
	f, err := fsys.Open(name, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		f, err = fsys.Open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	}
	if err != nil {
		return nil, cursorState{}, fmt.Errorf("open cursor: %w", err)
	}
	c := &cursor{f: f, name: name}
	st, err := c.load()
	if err == nil {
		if c.seq == 0 {
			// New, or lost. Zeros are written, not only allocated: writing into space that was never written may need more.
			c.buf = make([]byte, 2*slotSize)
			err = errors.Join(write(f, c.buf, 0), fsys.SyncDir(dir))
		} else {
			// The newer slot may never have been synced, or in vain: it is, before the other one is given up.
			c.fill(1 - c.slot)
			err = write(f, c.buf, int64(1-c.slot)*slotSize)
		}
		err = errors.Join(err, f.Sync())
	}
	if err != nil {
		_ = f.Close() // the first error stands
		return nil, cursorState{}, fmt.Errorf("cursor %s: %w", name, err)
	}
	return c, st, nil
}

// load finds the newer slot. The next write goes into the other one.
func (c *cursor) load() (best cursorState, err error) {
	broken := false
	for i := range 2 {
		b := make([]byte, slotSize)
		if err := readAll(c.f, b, int64(i)*slotSize); err != nil {
			return cursorState{}, err
		}
		st, seq, n, ok := decodeSlot(b)
		c.used[i] = used(b) // a torn write may have left the end of an older one
		broken = broken || !ok && c.used[i] > 0
		if ok && seq > c.seq {
			best, c.seq, c.slot, c.buf = st, seq, 1-i, b[:n]
		}
	}
	best.broken = broken || c.seq == 0
	return best, nil
}

// used is how many bytes are not the zeros at the end.
func used(b []byte) int {
	for n := len(b) - len(zeros); n >= 0 && bytes.Equal(b[n:], zeros[:]); n = len(b) - len(zeros) {
		b = b[:n]
	}
	return len(bytes.TrimRight(b, "\x00"))
}

var zeros [512]byte

// encode puts the state into c.buf. done is cut to maxRanges.
func (c *cursor) encode(m mark, done *ranges) {
	b := append(c.buf[:0], make([]byte, cursorHead)...)
	b = binary.LittleEndian.AppendUint32(b, m.stream)
	b = binary.LittleEndian.AppendUint64(b, m.index)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.off))
	b = binary.LittleEndian.AppendUint64(b, m.next)
	b = binary.AppendUvarint(b, done.first)
	b = putSpans(b, done.above[:min(len(done.above), maxRanges)])
	c.buf = b
}

// write writes what was encoded.
func (c *cursor) write() error {
	c.seq++
	b := c.buf
	copy(b, cursorMagic)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(b)))
	binary.LittleEndian.PutUint64(b[16:], c.seq)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	c.fill(c.slot)
	if err := write(c.f, c.buf, int64(c.slot)*slotSize); err != nil {
		return fmt.Errorf("write %s: %w", c.name, err)
	}
	return nil
}

// fill puts zeros behind c.buf where a slot has more, so that nothing of what it held stays behind.
func (c *cursor) fill(slot int) {
	n := len(c.buf)
	if old := c.used[slot]; old > n {
		c.buf = append(c.buf, make([]byte, old-n)...)
	}
	c.used[slot] = n
}

// sync makes what was written durable and turns to the other slot. Nothing may be written meanwhile.
func (c *cursor) sync() error {
	if err := c.f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", c.name, err)
	}
	if !Planted(CursorInPlace) {
		c.slot = 1 - c.slot
	}
	return nil
}

// decodeSlot reads a slot; n is how many of its bytes were used.
func decodeSlot(b []byte) (st cursorState, seq uint64, n int, ok bool) {
	if string(b[:8]) != cursorMagic {
		return st, 0, 0, false
	}
	size := binary.LittleEndian.Uint32(b[12:])
	if size < cursorHead || size > uint32(len(b)) || crc32.Checksum(b[12:size], castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return st, 0, 0, false
	}
	p := parser{b: b[cursorHead:size]}
	st.mark = mark{stream: p.u32(), index: p.u64(), off: int64(p.u64()), next: p.u64()}
	st.done.first = p.uvarint()
	st.done.union(p.spans())
	if p.bad || len(p.b) != 0 || st.mark.off < 0 {
		return cursorState{}, 0, 0, false
	}
	return st, binary.LittleEndian.Uint64(b[16:]), int(size), true
}

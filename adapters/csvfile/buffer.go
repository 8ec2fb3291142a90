package csvfile

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// more tells whether there is something to read. It fails with errChanged if the file is shorter than what was read.
func (r *reader) more() (bool, error) {
	info, err := r.f.Stat()
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", r.name, err)
	}
	m := newMatch(r.name, info)
	r.links = links(info)
	end := r.at + int64(len(r.buf))
	if m.size < end {
		return false, errChanged
	}
	if m.size == r.size && m.mtime == r.mtime {
		return false, nil
	}
	r.size, r.mtime = m.size, m.mtime
	return true, nil
}

// fill reads what more has found, into the buffer, and tells whether it was anything. It fails with errChanged if what was
// read before is there no more. That is looked at after reading: bytes of other rows are never taken for what follows ours.
func (r *reader) fill() (bool, error) {
	end := r.at + int64(len(r.buf))
	r.makeRoom(r.size - end)
	got := r.buf[len(r.buf):cap(r.buf)]
	n, err := readAt(r.f, got, end)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", r.name, err)
	}
	same, err := r.unchanged()
	if err != nil {
		return false, fmt.Errorf("read %s: %w", r.name, err)
	}
	if !same {
		return false, errChanged
	}
	if room := headBytes - len(r.first); room > 0 && end == int64(len(r.first)) {
		r.first = append(r.first, got[:min(room, n)]...)
	}
	r.buf = r.buf[:len(r.buf)+n]
	if end+int64(n) < r.size {
		r.size = -1 // there is more
	}
	if n > 0 {
		r.grown = time.Now()
		r.decode()
	}
	return n > 0, nil
}

// unchanged holds what was read before against the file.
func (r *reader) unchanged() (bool, error) {
	var b [headBytes]byte
	first := b[:len(r.first)]
	if n, err := readAt(r.f, first, 0); err != nil || !bytes.Equal(first[:n], r.first) {
		return false, err
	}
	last := r.buf[max(0, len(r.buf)-tailBytes):]
	n, err := readAt(r.f, b[:len(last)], r.at+int64(len(r.buf)-len(last)))
	return bytes.Equal(b[:n], last), err
}

// readAt reads what there is: the end of the file is no error.
func readAt(f io.ReaderAt, b []byte, at int64) (int, error) {
	n, err := f.ReadAt(b, at)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// makeRoom forgets what was taken, but for the tail, and makes the buffer larger for a backlog or a long record.
func (r *reader) makeRoom(waiting int64) {
	r.text = ""
	if drop := r.used - tailBytes; drop > 0 {
		r.buf = r.buf[:copy(r.buf, r.buf[drop:])]
		r.at += int64(drop)
		r.used = tailBytes
	}
	want := smallBuffer / 2
	if waiting > smallBuffer/2 {
		want = int(min(waiting, largeBuffer))
	}
	room := cap(r.buf) - len(r.buf)
	if room < want*3/4 || want < smallBuffer && room > 4*smallBuffer {
		r.buf = append(make([]byte, 0, len(r.buf)+want+tailBytes), r.buf...)
	}
}

// decode makes one string of all that is new, if it is the same bytes: the values are then cut from it.
func (r *reader) decode() {
	r.text = ""
	if r.split == nil {
		return
	}
	whole := r.buf[r.used : r.used+bytes.LastIndexByte(r.buf[r.used:], '\n')+1]
	if r.enc.Plain(whole) {
		r.text, r.textAt = string(whole), r.used
	}
}

// position is where the file is to be read on, with the prints of what stands before.
func (r *reader) position() position {
	if r.printed != r.pos.offset {
		r.printed = r.pos.offset
		tail := r.buf[max(0, r.used-tailBytes):r.used]
		r.pos.prints = prints{
			head: crc32.Checksum(r.first[:min(r.pos.offset, headBytes)], castagnoli),
			tail: crc32.Checksum(tail, castagnoli),
		}
	}
	return r.pos
}

// unfinished tells whether a line stands behind the last line end.
func (r *reader) unfinished() bool {
	if r.used == len(r.buf) || r.split == nil {
		return r.split != nil && r.split.long != nil
	}
	end, _ := r.split.newline(r.buf[r.used:])
	return end < 0
}

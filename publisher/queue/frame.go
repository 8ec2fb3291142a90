package queue

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

const (
	frameHead  = 16
	frameAlign = 8
	frameMagic = 0x3172424c // "LBr1"
	maxBody    = 1 << 28    // a length above it is damage; a batch above it is refused
	windowSize = 128 << 10  // bytes read at once
)

// A kind says what a record holds.
type kind byte

const (
	kindState   kind = 1 + iota // all that the segments before this one would have told
	kindBatch                   // one Append: events, checkpoint, ledger; or numbers that are gone
	kindLetter                  // one dead letter
	kindGone                    // dead letters that were dropped
	kindCommand                 // a command was accepted, or has ended
)

// flagFirst marks the first record of a write: all before it was synced.
const flagFirst = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// place is a segment, as checksums see it: a record that was copied or written elsewhere does not count as one.
type place struct {
	stream uint32
	index  uint64
}

func (p place) seed(off int64) uint32 {
	var b [20]byte
	binary.LittleEndian.PutUint32(b[0:], p.stream)
	binary.LittleEndian.PutUint64(b[4:], p.index)
	binary.LittleEndian.PutUint64(b[12:], uint64(off))
	return crc32.Checksum(b[:], castagnoli)
}

func padded(n int) int { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// finish completes the record that begins at start of b, with frameHead bytes of room, but for its checksums.
func finish(b []byte, start int, k kind) []byte {
	body := len(b) - start - frameHead
	for len(b)-start < frameHead+padded(body) {
		b = append(b, 0)
	}
	h := b[start:]
	binary.LittleEndian.PutUint32(h[0:], frameMagic)
	binary.LittleEndian.PutUint32(h[8:], uint32(body))
	h[12], h[13] = byte(k), 0
	return b
}

// frameSize is the length of a finished record.
func frameSize(rec []byte) int {
	return frameHead + padded(int(binary.LittleEndian.Uint32(rec[8:])))
}

// seal writes the checksums of a finished record for its place. It may be sealed again for another.
func seal(rec []byte, p place, off int64, flags byte) {
	rec[13] = flags
	seed := p.seed(off)
	binary.LittleEndian.PutUint32(rec[4:], sum(rec, seed))
	binary.LittleEndian.PutUint16(rec[14:], headSum(rec, seed))
}

// sum is over all of the record but the magic and the sums.
func sum(rec []byte, seed uint32) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, rec[8:14]), castagnoli, rec[frameHead:])
}

// headSum guards the head by itself: of a record with a damaged body the end is still known, and bytes that only look
// like a head are not worth reading further.
func headSum(head []byte, seed uint32) uint16 {
	sum := crc32.Update(seed, castagnoli, head[4:14])
	return uint16(sum ^ sum>>16)
}

// A record is one that was read.
type record struct {
	off   int64
	size  int64
	kind  kind
	flags byte
	body  []byte // valid until the next one is read
}

// A scanner reads the records of a segment one after another, up to end.
type scanner struct {
	f      File
	at     place
	off    int64 // where the next record should begin
	end    int64
	window []byte // bytes of the file from pos on
	pos    int64
}

// next returns the next whole record. If it does not begin where s.off was, what lies between is damaged: a record whose
// body is damaged is passed over by its length, and after a damaged head the next one is looked for every 8 bytes.
// Without a further record ok is false and s.off stays.
func (s *scanner) next() (r record, ok bool, err error) {
	for off := s.off; off+frameHead <= s.end; {
		r, step, err := s.try(off)
		if err != nil {
			return record{}, false, err
		}
		if r.size > 0 {
			s.off = off + r.size
			return r, true, nil
		}
		off += step
	}
	return record{}, false, nil
}

// try reads the record at off; without one there r.size is 0 and step leads to where one may be.
func (s *scanner) try(off int64) (r record, step int64, err error) {
	head, err := s.read(off, frameHead)
	if err != nil {
		return record{}, 0, err
	}
	body := binary.LittleEndian.Uint32(head[8:])
	if binary.LittleEndian.Uint32(head) != frameMagic || body > maxBody {
		return record{}, frameAlign, nil
	}
	size := int64(frameHead + padded(int(body)))
	seed := s.at.seed(off)
	if off+size > s.end || headSum(head, seed) != binary.LittleEndian.Uint16(head[14:]) {
		return record{}, frameAlign, nil
	}
	rec, err := s.read(off, int(size))
	if err != nil {
		return record{}, 0, err
	}
	if sum(rec, seed) != binary.LittleEndian.Uint32(rec[4:]) && !Planted(ChecksumNotChecked) {
		return record{}, size, nil
	}
	return record{off: off, size: size, kind: kind(rec[12]), flags: rec[13], body: rec[frameHead : frameHead+int(body)]}, 0, nil
}

// read returns n bytes from off on, valid until the next call. What the file does not have is zero.
func (s *scanner) read(off int64, n int) ([]byte, error) {
	if off >= s.pos && off+int64(n) <= s.pos+int64(len(s.window)) {
		return s.window[off-s.pos:][:n], nil
	}
	want := int(min(int64(max(n, windowSize)), s.end-off))
	if cap(s.window) < want || cap(s.window) > 4*windowSize && want <= windowSize {
		s.window = make([]byte, want)
	}
	s.window, s.pos = s.window[:want], off
	if err := readAll(s.f, s.window, off); err != nil {
		s.window = s.window[:0]
		return nil, err
	}
	return s.window[:n], nil
}

// readAll fills b. Blocks that cannot be read count as zero, and so as damage, so that one bad spot of a disk does not
// hold back all that is behind it; if none can be read, that is an error.
func readAll(f File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		clear(b[n:])
		return nil
	}
	const block = 4096
	read := 0
	for at := 0; at < len(b); {
		part := b[at:min(len(b), at+block-int((off+int64(at))%block))]
		if n, e := f.ReadAt(part, off+int64(at)); n == len(part) || e == io.EOF {
			clear(part[n:])
			read++
		} else {
			clear(part)
		}
		at += len(part)
	}
	if read == 0 {
		return err
	}
	return nil
}

package csvfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"

	"legacybridge/adapters"
)

// A position is how far one file has been read.
type position struct {
	offset int64  // first byte that was not taken
	line   int64  // its line, from 1
	mark   mark   // how the file is encoded
	headed bool   // the header line was passed, or there is none
	other  []byte // another header line than the first above offset, with its mark; nil: none
	cut    bool   // offset is inside a row whose first part was given
	mute   int64  // rows that end up to here were given before, or are passed over
	prints
}

// prints are checksums of what stands in a file before a position. They tell whether it is still the same file.
type prints struct {
	head uint32 // of the first KiB, or up to the position
	tail uint32 // of the bytes before the position
}

// A known is a file that was read, or passed over.
type known struct {
	position
	compact bool    // only offset and prints are known: line and header are found by reading again in silence
	stamp   uint32  // of size and time when there was nothing more to read; 0: look into it
	name    string  // where it was read last; not stored with a compact one
	layout  *layout // nil: the one of the bookmark
	alive   bool    // it had a name when it was left: a file that is now found there is another one
}

// A bookmark is a place in the files of a link, as it is stored:
//
//	1 byte   version
//	the file that is being read: id, name, position; id 0 if there is none
//	the last header line, with its mark
//	count, then of every other known file: id, offset, stamp, prints
//
// Numbers are uvarints, texts have their length before them, ids and checksums are little-endian.
type bookmark struct {
	id     fileID
	cur    known
	head   []byte
	files  map[fileID]*known
	packed []byte // files as they are stored; nil: they have changed since
}

const checkpointVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (b *bookmark) encode() adapters.Checkpoint {
	p := make([]byte, 0, 80+len(b.cur.name)+len(b.cur.other)+len(b.head)+len(b.packed))
	p = append(p, checkpointVersion)
	p = binary.LittleEndian.AppendUint64(p, uint64(b.id))
	if b.id != 0 {
		c := &b.cur
		p = appendText(p, []byte(c.name))
		p = binary.AppendUvarint(p, uint64(c.offset))
		p = binary.AppendUvarint(p, uint64(c.line))
		p = binary.AppendUvarint(p, uint64(c.mute))
		var flags byte
		if c.headed {
			flags |= 1
		}
		if c.cut {
			flags |= 2
		}
		p = append(p, byte(c.mark), flags)
		p = appendText(p, c.other)
		p = c.prints.append(p)
	}
	p = appendText(p, b.head)
	if b.packed == nil {
		b.packed = b.pack()
	}
	return append(p, b.packed...)
}

// pack is kept, for thousands of files may lie beside the one that is read.
func (b *bookmark) pack() []byte {
	p := binary.AppendUvarint(make([]byte, 0, 8+24*len(b.files)), uint64(len(b.files)))
	for _, id := range slices.Sorted(maps.Keys(b.files)) {
		k := b.files[id]
		p = binary.LittleEndian.AppendUint64(p, uint64(id))
		p = binary.AppendUvarint(p, uint64(k.offset))
		p = binary.LittleEndian.AppendUint32(p, k.stamp)
		p = k.prints.append(p)
	}
	return p
}

func (s prints) append(p []byte) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(p, s.head), s.tail)
}

func appendText(p, text []byte) []byte {
	return append(binary.AppendUvarint(p, uint64(len(text))), text...)
}

// decodeBookmark reads what encode wrote.
func decodeBookmark(c adapters.Checkpoint) (bookmark, error) {
	b := bookmark{files: map[fileID]*known{}}
	if len(c) == 0 || c[0] != checkpointVersion {
		return b, errors.New("the stored position is of another version of legacybridge")
	}
	p := parser{rest: c[1:]}
	if b.id = fileID(p.fixed(8)); b.id != 0 {
		k := &b.cur
		k.name = string(p.text())
		k.offset, k.line, k.mute = p.number(), p.number(), p.number()
		k.mark = mark(p.fixed(1))
		flags := p.fixed(1)
		k.headed, k.cut = flags&1 != 0, flags&2 != 0
		k.other = p.text()
		k.prints = prints{uint32(p.fixed(4)), uint32(p.fixed(4))}
		p.bad = p.bad || k.mark > markBE || k.line < 1
	}
	b.head = p.text()
	for n := p.number(); n > 0 && !p.bad; n-- {
		k := &known{compact: true}
		id := fileID(p.fixed(8))
		k.offset = p.number()
		k.stamp = uint32(p.fixed(4))
		k.prints = prints{uint32(p.fixed(4)), uint32(p.fixed(4))}
		b.files[id] = k
	}
	if p.bad || len(p.rest) > 0 {
		return b, errors.New("the stored position is damaged")
	}
	return b, nil
}

// A parser takes things off the front of a checkpoint; bad is checked at the end.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) fixed(n int) uint64 {
	if len(p.rest) < n {
		p.rest, p.bad = nil, true
		return 0
	}
	var b [8]byte
	copy(b[:], p.rest[:n])
	p.rest = p.rest[n:]
	return binary.LittleEndian.Uint64(b[:])
}

func (p *parser) number() int64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 || int64(v) < 0 {
		p.rest, p.bad = nil, true
		return 0
	}
	p.rest = p.rest[n:]
	return int64(v)
}

func (p *parser) text() []byte {
	n := p.number()
	if n > int64(len(p.rest)) {
		p.bad = true
		return nil
	}
	if n == 0 {
		return nil
	}
	t := p.rest[:n:n]
	p.rest = p.rest[n:]
	return t
}

// stamp is what a checkpoint keeps of size and time.
func stamp(size, mtime int64) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], uint64(size))
	binary.LittleEndian.PutUint64(b[8:], uint64(mtime))
	return max(1, crc32.Checksum(b[:], castagnoli))
}

// printsOf reads the prints of a file for a position.
func printsOf(f io.ReaderAt, offset int64) (prints, error) {
	head, err := sumAt(f, 0, min(offset, headBytes))
	if err != nil {
		return prints{}, err
	}
	n := min(offset, tailBytes)
	tail, err := sumAt(f, offset-n, n)
	return prints{head, tail}, err
}

func sumAt(f io.ReaderAt, at, n int64) (uint32, error) {
	b := make([]byte, n)
	if _, err := f.ReadAt(b, at); err != nil {
		return 0, fmt.Errorf("read %d bytes at %d: %w", n, at, err)
	}
	return crc32.Checksum(b, castagnoli), nil
}

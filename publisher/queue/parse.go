package queue

import (
	"encoding/binary"
	"errors"
	"time"
)

var errShort = errors.New("its content does not fit its form")

// A parser takes a record apart. After the first fault it gives zeros; bad says so.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) fail() {
	p.b, p.bad = nil, true
}

func (p *parser) u64() uint64 {
	if len(p.b) < 8 {
		p.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(p.b)
	p.b = p.b[8:]
	return v
}

func (p *parser) u32() uint32 {
	if len(p.b) < 4 {
		p.fail()
		return 0
	}
	v := binary.LittleEndian.Uint32(p.b)
	p.b = p.b[4:]
	return v
}

func (p *parser) byte() byte {
	if len(p.b) == 0 {
		p.fail()
		return 0
	}
	v := p.b[0]
	p.b = p.b[1:]
	return v
}

func (p *parser) uvarint() uint64 {
	if len(p.b) > 0 && p.b[0] < 0x80 {
		v := p.b[0]
		p.b = p.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) varint() int64 {
	v := p.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// count is a uvarint that announces at least that many further bytes.
func (p *parser) count() int {
	v := p.uvarint()
	if v > uint64(len(p.b)) {
		p.fail()
		return 0
	}
	return int(v)
}

func (p *parser) bytes() []byte {
	n := p.count()
	v := p.b[:n:n]
	p.b = p.b[n:]
	return v
}

func (p *parser) string() string { return string(p.bytes()) }

// time reads what putTime wrote.
func (p *parser) time(from int64) (time.Time, int64) {
	sec := from + p.varint()
	ns := p.uvarint()
	if ns&1 == 0 {
		ns = ns >> 1 * uint64(time.Millisecond)
	} else {
		ns >>= 1
	}
	if ns >= uint64(time.Second) {
		p.fail()
		ns = 0
	}
	return time.Unix(sec, int64(ns)).UTC(), sec
}

func (p *parser) spans() []span {
	n := p.count()
	list := make([]span, 0, n)
	at := uint64(0)
	for range n {
		lo := at + p.uvarint()
		hi := lo + p.uvarint()
		if lo < at || hi <= lo {
			p.fail()
			return nil
		}
		list = append(list, span{lo, hi})
		at = hi
	}
	return list
}

func putBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func putString(b []byte, v string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// putTime writes seconds as the difference to from, then milliseconds where they suffice, else nanoseconds.
// Any time.Time keeps its moment, the zero time too.
func putTime(b []byte, t time.Time, from int64) ([]byte, int64) {
	sec, ns := t.Unix(), uint64(t.Nanosecond())
	b = binary.AppendVarint(b, sec-from)
	if ms := ns / uint64(time.Millisecond); ms*uint64(time.Millisecond) == ns {
		return binary.AppendUvarint(b, ms<<1), sec
	}
	return binary.AppendUvarint(b, ns<<1|1), sec
}

// putSpans writes sorted spans as gaps and lengths.
func putSpans(b []byte, spans []span) []byte {
	b = binary.AppendUvarint(b, uint64(len(spans)))
	at := uint64(0)
	for _, s := range spans {
		b = binary.AppendUvarint(b, s.lo-at)
		b = binary.AppendUvarint(b, s.hi-s.lo)
		at = s.hi
	}
	return b
}

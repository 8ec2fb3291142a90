package csvfile

import (
	"bytes"
	"encoding/binary"

	"legacybridge/adapters"
)

// A splitter cuts the bytes of one file into records: lines, or several lines where a quoted value goes on over the line end.
// It is pure: any chunking of the same bytes gives the same records, and it holds no more than max bytes of a record.
type splitter struct {
	enc     adapters.Encoding // settled
	width   int               // bytes of a code unit
	big     bool              // high byte first
	sep     string
	quote   byte
	comment byte // 0: none
	max     int
	raw     bool // quotes can be told on the bytes as they are

	long *longLine // a line longer than max, so far; nil: none
}

// A longLine is what is kept of a line that does not fit.
type longLine struct {
	kept  []byte
	size  int
	cut   bool // not all was kept
	nul   bool // NULs were among it
	inNUL bool // the last unit was one
}

// A record is one line or quoted group of lines. Its bytes are good until the buffer is filled again.
type record struct {
	raw   []byte // without the line end; shortened if it has a flaw
	size  int    // bytes to the next record, line end included
	lines int    // line ends in it
	open  bool   // its line end is missing
	flaw  flaw
}

var (
	flawNUL      = flaw{"CSV007", "NUL bytes stand in the row, as after a power cut; what they replaced is lost"}
	flawLong     = flaw{"CSV003", "the row is longer than max_record and was cut"}
	flawUnclosed = flaw{"CSV002", "a quote is opened and not closed; the line is set aside and the lines after it are read on"}
)

func newSplitter(f Format, enc adapters.Encoding) *splitter {
	s := &splitter{enc: enc, sep: string(f.Separator), quote: byte(f.Quote), comment: byte(f.Comment), max: f.MaxRecord}
	s.width, s.big = enc.Width()
	// Below 0x40 a byte is never the second half of a character, in all encodings that we know.
	s.raw = s.width == 1 && f.Separator < 0x40 && f.Quote < 0x40
	return s
}

// next cuts the first record off b. Without one it says how many bytes of b were taken nevertheless: b is then a part of a
// line that does not fit. A title line has no quotes.
func (s *splitter) next(b []byte, title bool) (r record, taken int, ok bool) {
	end, past := s.newline(b)
	if s.long != nil {
		if end < 0 {
			return record{}, s.swallow(b), false
		}
		s.swallow(b[:end])
		return s.endLong(past-end, 1), past, true
	}
	if end < 0 {
		if len(b)-(s.width-1) > s.max {
			s.long = &longLine{}
			return record{}, s.swallow(b), false
		}
		return record{}, 0, false
	}
	line := b[:end]
	if end > s.max || s.hasNUL(line) {
		s.long = &longLine{}
		s.swallow(line)
		return s.endLong(past-end, 1), past, true
	}
	first := record{raw: s.trimCR(line), size: past, lines: 1}
	if title || !s.opens(line) {
		return first, past, true
	}
	return s.quotedLines(b, first, past)
}

// quotedLines goes on from line to line until the quote is closed.
func (s *splitter) quotedLines(b []byte, first record, from int) (r record, taken int, ok bool) {
	unclosed := first
	unclosed.flaw = flawUnclosed
	for lines := 2; ; lines++ {
		if lines > maxLines {
			return unclosed, unclosed.size, true
		}
		end, past := s.newline(b[from:])
		if end < 0 {
			if len(b)-(s.width-1) > s.max || s.hasNUL(b[from:]) {
				return unclosed, unclosed.size, true
			}
			return record{}, 0, false
		}
		line := b[from : from+end]
		if from+end > s.max || s.hasNUL(line) {
			return unclosed, unclosed.size, true
		}
		if !s.open(line, true) {
			return record{raw: s.trimCR(b[:from+end]), size: from + past, lines: lines}, from + past, true
		}
		from += past
	}
}

// rest is asked when no more bytes will come and next has nothing: it gives the line that was not finished, or the line
// that opened a quote nobody closed; then next is asked again.
func (s *splitter) rest(b []byte) (r record, ok bool) {
	if s.long == nil {
		if len(b) == 0 {
			return record{}, false
		}
		whole := b[:len(b)-len(b)%s.width]
		end, past := s.newline(b)
		if end >= 0 && (s.hasNUL(whole) || s.open(whole, false)) {
			return record{raw: s.trimCR(b[:end]), size: past, lines: 1, flaw: flawUnclosed}, true
		}
		if !s.hasNUL(whole) {
			return record{raw: s.trimCR(whole), size: len(b), lines: s.lineEnds(whole), open: true}, true
		}
		s.long = &longLine{}
	}
	taken := s.swallow(b)
	r = s.endLong(len(b)-taken, 0)
	r.open = true
	return r, true
}

// newline finds the first line end: where it begins and where the next line does.
func (s *splitter) newline(b []byte) (end, past int) {
	if s.width == 1 {
		i := bytes.IndexByte(b, '\n')
		return i, i + 1
	}
	for i := 0; ; i++ {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return -1, 0
		}
		i += j
		unit := i &^ 1
		if unit+1 < len(b) && s.isUnit(b[unit:], '\n') {
			return unit, unit + 2
		}
	}
}

func (s *splitter) lineEnds(b []byte) int {
	n := 0
	for end, past := s.newline(b); end >= 0; end, past = s.newline(b) {
		b = b[past:]
		n++
	}
	return n
}

// isUnit tells whether the code unit at the start of b is the ASCII character c.
func (s *splitter) isUnit(b []byte, c byte) bool {
	if s.width == 1 {
		return len(b) > 0 && b[0] == c
	}
	if len(b) < 2 {
		return false
	}
	if s.big {
		return b[0] == 0 && b[1] == c
	}
	return b[0] == c && b[1] == 0
}

func (s *splitter) trimCR(line []byte) []byte {
	if n := len(line) - s.width; n >= 0 && s.isUnit(line[n:], '\r') {
		return line[:n]
	}
	return line
}

func (s *splitter) hasNUL(b []byte) bool {
	if s.width == 1 {
		return bytes.IndexByte(b, 0) >= 0
	}
	for i := 0; i+1 < len(b); i += 2 {
		if b[i] == 0 && b[i+1] == 0 {
			return true
		}
	}
	return false
}

// opens tells whether a line leaves a quoted value open. A comment never does.
func (s *splitter) opens(line []byte) bool {
	if bytes.IndexByte(line, s.quote) < 0 {
		return false
	}
	return !(s.comment != 0 && s.isUnit(line, s.comment)) && s.open(line, false)
}

func (s *splitter) open(line []byte, open bool) bool {
	if s.raw {
		return leavesOpen(line, s.sep, s.quote, open)
	}
	text, _ := s.enc.Decode(line)
	return leavesOpen(text, s.sep, s.quote, open)
}

// swallow takes part of a line that does not fit or has NULs: at most max bytes are kept, each run of NULs as one. It
// returns how many bytes it took, which are whole code units.
func (s *splitter) swallow(b []byte) int {
	l := s.long
	b = b[:len(b)-len(b)%s.width]
	taken := len(b)
	l.size += taken
	for len(b) > 0 {
		n := zeros(b)
		if n -= n % s.width; n > 0 {
			if !l.inNUL {
				l.keep(b[:s.width], s.max)
			}
			l.nul, l.inNUL = true, true
			b = b[n:]
			continue
		}
		l.inNUL = false
		n = s.width
		if s.width == 1 {
			if n = bytes.IndexByte(b, 0); n < 0 {
				n = len(b)
			}
		}
		l.keep(b[:n], s.max)
		b = b[n:]
	}
	return taken
}

func (l *longLine) keep(b []byte, limit int) {
	if room := limit - len(l.kept); len(b) > room {
		b, l.cut = b[:room], true
	}
	l.kept = append(l.kept, b...)
}

// endLong makes the record of a line that did not fit. What was cut off is shown by a NUL, so that the record is never
// taken for a row when it is decoded again.
func (s *splitter) endLong(lineEnd, lines int) record {
	l := s.long
	s.long = nil
	r := record{raw: l.kept, size: l.size + lineEnd, lines: lines, flaw: flawLong}
	if l.nul {
		r.flaw = flawNUL
	}
	if l.cut {
		r.raw = append(r.raw[:len(r.raw)-len(r.raw)%s.width], make([]byte, s.width)...)
		return r
	}
	r.raw = s.trimCR(r.raw)
	return r
}

// zeros counts the zero bytes at the start of b: a hole in a file may be gigabytes long.
func zeros(b []byte) int {
	n := 0
	for n+8 <= len(b) && binary.LittleEndian.Uint64(b[n:]) == 0 {
		n += 8
	}
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

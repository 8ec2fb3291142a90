package csvfile

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"legacybridge/adapters"
)

// A reader reads one open file from a position on. Its buffer holds the bytes before the position that are part of the
// file's identity, the record under way, and what was read ahead.
type reader struct {
	d    *decoder
	f    *os.File
	id   fileID
	name string // path
	base string // for Origin

	pos      position
	fromEnd  bool    // pos.mute is the size at the start: a row that goes on beyond it is new
	last     *layout // of the file read before, for one that begins without a header
	layout   *layout // nil: the header line was not read yet
	split    *splitter
	enc      adapters.Encoding
	replaced uint64 // rows with characters that could not be decoded

	buf     []byte
	used    int    // buf[:used] was taken
	at      int64  // where buf begins in the file
	first   []byte // the first KiB of the file, as far as it was read
	text    string // buf as text from textAt on, where that is the same bytes
	textAt  int
	printed int64 // offset that pos.prints are for

	size, mtime int64     // when all was read
	grown       time.Time // when there was something new last

	links  uint64 // names that the file has
	lent   bool   // readings that are not stored yet are cut from buf
	again  bool   // the file was read and left before
	behind bool   // newer files waited when it was opened
}

const (
	smallBuffer = 32 << 10  // of a file that grows by rows
	largeBuffer = 512 << 10 // of a file with a backlog
)

// errChanged says that what was read before stands in the file no more.
var errChanged = errors.New("the file was truncated or replaced")

// newReader reads f on from pos, whose prints the caller has checked, or from the beginning.
func newReader(d *decoder, f *os.File, m match, pos position, last *layout) (*reader, error) {
	r := &reader{d: d, f: f, id: m.id, name: m.name, base: filepath.Base(m.name), pos: pos, last: last, size: -1, grown: time.Now()}
	r.buf = make([]byte, 0, smallBuffer)
	before := min(pos.offset, tailBytes)
	r.at = pos.offset - before
	r.first = make([]byte, min(pos.offset, headBytes))
	_, err := f.ReadAt(r.first, 0)
	if err == nil {
		r.buf = r.buf[:before]
		r.used = int(before)
		_, err = f.ReadAt(r.buf, r.at)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", m.name, err)
	}
	if pos.mark != unsettled {
		r.settled()
	}
	if pos.headed && r.layout == nil {
		r.layout = last
	}
	return r, nil
}

// settle decides on the encoding once the first line is there.
func (r *reader) settle(whole bool) bool {
	b := r.buf[r.used:]
	i := bytes.IndexByte(b, '\n')
	if i < 0 && len(b) <= r.d.cfg.Format.MaxRecord && !whole {
		return false
	}
	if i >= 0 {
		b = b[:i]
	}
	var n int
	r.pos.mark, n = settleMark(r.d.enc, b)
	r.pos.offset += int64(n)
	r.used += n
	r.settled()
	r.decode()
	return true
}

func (r *reader) settled() {
	r.enc, _ = r.d.enc.Settle(r.pos.mark.bytes())
	r.split = newSplitter(r.d.cfg.Format, r.enc)
	if !r.d.cfg.Format.Header {
		r.layout, r.pos.headed = r.d.layout(r.pos.mark.bytes(), ""), true
	}
}

// take takes the next record from the buffer and gives its readings to b. It returns false if there is no whole one.
func (r *reader) take(b *builder) bool {
	if r.split == nil && !r.settle(false) {
		return false
	}
	rec, taken, ok := r.split.next(r.buf[r.used:], r.title())
	if !ok {
		if taken > 0 {
			r.position() // what stands before the record is about to go
			r.used += taken
		}
		return false
	}
	r.accept(b, rec)
	r.used += taken
	return true
}

// takeRest takes what stands behind the last line end, as a row or as what remained of one.
func (r *reader) takeRest(b *builder, asRow bool) {
	if r.split == nil && (len(r.buf) == r.used || !r.settle(true)) {
		return
	}
	for {
		if r.take(b) {
			continue
		}
		rec, ok := r.split.rest(r.buf[r.used:])
		if !ok {
			return
		}
		if rec.open && !asRow && r.layout != nil && rec.flaw.code == "" && !r.pos.cut && !r.title() {
			rec.flaw = flaw{"CSV006", "the file ended, or was left, in the middle of the row: it has no line end; if it is whole, replay it, and set flush_partial_after"}
		}
		r.accept(b, rec)
		r.used = min(r.used+rec.size, len(r.buf))
		r.pos.cut = r.pos.cut || rec.open
	}
}

// title tells whether the next line stands above the header.
func (r *reader) title() bool { return r.pos.line <= int64(r.d.cfg.Format.Skip) }

// accept moves the position behind rec and gives its readings to b, unless they were given before.
func (r *reader) accept(b *builder, rec record) {
	pos := &r.pos
	title, cut, line, start := r.title(), pos.cut, pos.line, pos.offset
	pos.offset += int64(rec.size)
	pos.line += int64(rec.lines)
	pos.cut = false
	if title {
		return
	}
	muted := pos.offset <= pos.mute
	if !muted && start < pos.mute && !r.fromEnd { // its first part was given before
		cut = true
		rec.raw = rec.raw[min(len(rec.raw), int(min(pos.mute-start, math.MaxInt32))):]
	}
	before := b.counts()
	switch {
	case cut:
		if len(rec.raw) > 0 {
			rec.flaw = flaw{"CSV006", "this is the rest of a row whose first part was given before its line end came"}
			b.add(r.layoutOr(), rec, "", pos.other)
		}
	case rec.flaw.code != "":
		b.add(r.layoutOr(), rec, "", pos.other)
	default:
		r.row(b, rec)
	}
	if muted {
		b.forget(before)
	}
	b.stamp(r.base, line)
}

// row takes a record without a flaw: the header line, or a row.
func (r *reader) row(b *builder, rec record) {
	text := trimMark(r.textOf(rec.raw))
	if r.layout == nil && !r.header(rec, text) {
		return
	}
	if text == r.layout.text && r.d.cfg.Format.Header {
		r.pos.other = nil
		return
	}
	if r.d.skips(text, r.layout) {
		return
	}
	if header := b.add(r.layout, rec, text, r.pos.other); header {
		r.pos.other = append(r.pos.mark.bytes(), rec.raw...)
	}
}

// header takes the header line. It returns true if there is none and rec is a row already.
func (r *reader) header(rec record, text string) bool {
	if r.d.skips(text, nil) {
		return false
	}
	r.pos.headed = true
	if r.last != nil {
		before, _ := settleMark(r.d.enc, r.last.head)
		cells, bad := fields(nil, text, r.d.sep, r.d.quote)
		if before == r.pos.mark && bad.code == "" && r.d.succeeds(r.last, cells) {
			r.layout = r.last
			return true
		}
	}
	r.layout = r.d.layout(append(r.pos.mark.bytes(), rec.raw...), text)
	return false
}

// layoutOr is the layout, or an empty one above the header line.
func (r *reader) layoutOr() *layout {
	if r.layout != nil {
		return r.layout
	}
	return &layout{head: r.pos.mark.bytes()}
}

func (r *reader) textOf(raw []byte) string {
	if from := r.used - r.textAt; r.text != "" && from >= 0 && from+len(raw) <= len(r.text) {
		return r.text[from : from+len(raw)]
	}
	text, replaced := r.enc.Decode(raw)
	if replaced > 0 {
		r.replaced++
	}
	return text
}

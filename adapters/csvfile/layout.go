package csvfile

import (
	"fmt"
	"slices"
	"strings"

	"legacybridge/adapters"
)

// A mark says how the encoding of a file was settled by its first bytes.
type mark byte

const (
	unsettled mark = iota
	noMark         // the configured encodings, row by row
	markUTF8
	markLE
	markBE
)

// bytes is the byte order mark. It leads every Head, so that a record can be decoded again on its own.
func (m mark) bytes() []byte {
	switch m {
	case markUTF8:
		return []byte{0xEF, 0xBB, 0xBF}
	case markLE:
		return []byte{0xFF, 0xFE}
	case markBE:
		return []byte{0xFE, 0xFF}
	}
	return nil
}

// settleMark looks at the first bytes of a file and says how many of them are the mark.
func settleMark(enc adapters.Encoding, start []byte) (mark, int) {
	settled, n := enc.Settle(start)
	width, big := settled.Width()
	switch {
	case width == 2 && big:
		return markBE, n
	case width == 2:
		return markLE, n
	case n == 3:
		return markUTF8, n
	}
	return noMark, n
}

// A layout is where the wanted columns stand under one header line.
type layout struct {
	head    []byte   // the mark and the header line as they came: Head of every reading
	text    string   // the header line
	columns []string // its cells, blanks around them removed
	time    []int    // columns of the time
	flaw    flaw     // no row can be read
	devices []place
}

// A place is where the columns of one device stand.
type place struct {
	name  string
	names []string
	index []int
	flaw  flaw // no row of this device can be read
}

// layout finds the wanted columns. head is nil and text empty if the file has no header.
func (d *decoder) layout(head []byte, text string) *layout {
	l := &layout{head: head, text: text, columns: d.cfg.Format.Columns}
	if d.cfg.Format.Header {
		l.columns = d.cells(text)
	}
	find := func(wanted []string) (index []int, bad flaw) {
		for _, name := range wanted {
			i := slices.Index(l.columns, strings.TrimSpace(name))
			switch {
			case i < 0:
				return nil, flaw{"CSV005", fmt.Sprintf("the header has no column %q; its columns are %s", name, clipTo(strings.Join(l.columns, ", "), 200))}
			case slices.Contains(l.columns[i+1:], l.columns[i]):
				return nil, flaw{"CSV005", fmt.Sprintf("the header has the column %q twice", name)}
			}
			index = append(index, i)
		}
		return index, flaw{}
	}
	if d.cfg.Format.Time != nil {
		l.time, l.flaw = find(d.cfg.Format.Time.Columns)
	}
	for i, dev := range d.cfg.Devices {
		p := place{name: dev.Name, names: d.names[i]}
		p.index, p.flaw = find(d.wanted[i])
		l.devices = append(l.devices, p)
	}
	return l
}

// cells are the names in a header line.
func (d *decoder) cells(text string) []string {
	cells, _ := fields(nil, text, d.sep, d.quote)
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// isOtherHeader tells a second header line, which differs from the first, from a row.
func (l *layout) isOtherHeader(cells []string) bool {
	shared := false
	for _, c := range cells {
		c = strings.TrimSpace(c)
		if c == "" || numberLike(c) {
			return false
		}
		shared = shared || slices.Contains(l.columns, c)
	}
	return shared
}

// succeeds tells whether a file that begins with cells is the headerless continuation of one under l: a logger whose file
// was truncated by someone else does not write the header again. Its first row has the same number of columns, and a time
// where that belongs or, where rows have none, a number somewhere.
func (d *decoder) succeeds(l *layout, cells []string) bool {
	number := false
	for _, c := range cells {
		c = strings.TrimSpace(c)
		if c != "" && slices.Contains(l.columns, c) {
			return false
		}
		number = number || c != "" && strings.Trim(c, "0123456789+-.,:/ ") == ""
	}
	if len(cells) != len(l.columns) || l.flaw.code != "" {
		return false
	}
	if d.clock == nil {
		return number
	}
	d.row = append(d.row[:0], cells...)
	_, bad := d.when(l)
	return bad.code != "CSV008"
}

// numberLike is what no name of a column looks like: numbers, times, and signs for "no value".
func numberLike(s string) bool {
	return s != "" && (s[0] >= '0' && s[0] <= '9' || strings.IndexByte("+-.,", s[0]) >= 0)
}

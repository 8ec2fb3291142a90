package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

// Limits of one file. A hostile or mistaken file must cost neither memory nor time; a site of a thousand devices stays
// far below them.
const (
	maxFile  = 4 << 20 // bytes
	maxDepth = 40      // brackets inside one another
	maxParts = 40      // parts of a dotted key
)

// A source is the text of one file and where its keys stand.
type source struct {
	name  string // as it is named in messages
	text  string
	lines []int // offset of the first byte of each line
	rank  int   // in the order of reading
}

func newSource(name, text string, rank int) *source {
	s := &source{name: name, text: text, lines: []int{0}, rank: rank}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// A span is a stretch of the text; off is -1 where the place is not known.
type span struct{ off, len int }

var nowhere = span{off: -1}

func (p span) known() bool { return p.off >= 0 }

// A place is a span of one file.
type place struct {
	src *source
	span
}

// line returns the number of the line at off, from 1, and the offset of its first byte.
func (s *source) line(off int) (number, start int) {
	n := sort.SearchInts(s.lines, off+1)
	return n, s.lines[n-1]
}

// row returns the text of a line without its end.
func (s *source) row(number int) string {
	start, end := s.lines[number-1], len(s.text)
	if number < len(s.lines) {
		end = s.lines[number] - 1
	}
	row := strings.TrimSuffix(s.text[start:end], "\r")
	if number == 1 {
		row = strings.TrimPrefix(row, byteOrderMark)
	}
	return row
}

// cells returns line, and first column and the column after the last in display cells, both from 1. A span over several
// lines ends with its first.
func (p place) cells() (line, column, end int) {
	if p.src == nil || !p.known() {
		return 0, 0, 0
	}
	line, start := p.src.line(p.off)
	row := p.src.row(line)
	if line == 1 && strings.HasPrefix(p.src.text, byteOrderMark) {
		start += len(byteOrderMark)
	}
	from := min(max(p.off-start, 0), len(row))
	to := min(from+max(p.len, 0), len(row))
	column = width(row[:from]) + 1
	return line, column, max(width(row[:to])+1, column+1)
}

// written is the text of the span.
func (p place) written() string {
	if p.src == nil || !p.known() || p.off+p.len > len(p.src.text) {
		return ""
	}
	return p.src.text[p.off : p.off+p.len]
}

const byteOrderMark = "\xef\xbb\xbf"

// parse decodes the text into a tree of nodes. The positions come from our own walk, the values from the TOML package;
// if the two see different keys, the tree has no positions rather than wrong ones.
func (s *source) parse() (root *node, w *walk, err error) {
	w = locate(s.text)
	if w.tooDeep || (w.failed && deep(s.text)) {
		return nil, w, fmt.Errorf("more than %d brackets inside one another, or a key of more than %d parts", maxDepth, maxParts)
	}
	values, keys, err := decode(s.text)
	if err != nil {
		return nil, w, err
	}
	if !w.matches(keys) {
		w.root = orderOnly(keys)
	}
	return build(s, "", w.root, values), w, nil
}

// decode keeps a panic of the TOML package inside: the text is not ours.
func decode(text string) (values map[string]any, keys []toml.Key, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the text cannot be read as TOML (%v)", p)
		}
	}()
	md, err := toml.Decode(text, &values)
	return values, md.Keys(), err
}

// deep is a rough look at a text that the walk did not understand: brackets and dots without regard to quotes.
func deep(text string) bool {
	open, dots := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '[', '{':
			open++
		case ']', '}':
			open = max(open-1, 0)
		case '.':
			dots++
		case '\n':
			dots = 0
		}
		if open > 10*maxDepth || dots > 10*maxParts {
			return true
		}
	}
	return false
}

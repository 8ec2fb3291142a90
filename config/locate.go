package config

import (
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// A mark says where a key and its value stand. Marks form the same tree as the values.
type mark struct {
	key    span // the key itself, one part of a dotted one
	head   span // the whole dotted key it was first written in
	val    span
	order  int // of first appearance among its siblings' file
	kids   map[string]*mark
	elems  []*mark // of an array
	tables bool    // the array is one of [[tables]]
	inline bool    // the value is a table in braces
	set    bool    // written itself, not only as part of a longer key
}

// A clash is a key that was written twice, or a table in braces that was opened again.
type clash struct {
	name          string
	first, second span
}

// A walk is our own pass over the text of a file, for positions alone: the TOML package has the last word on what is
// TOML. It visits keys in the order of MetaData.Keys().
type walk struct {
	text     string
	pos      int
	depth    int
	root     *mark
	names    []toml.Key // in the order of appearance
	twice    []clash
	reopened []clash
	failed   bool // the text is not TOML, as far as we see
	tooDeep  bool
}

func newMark(order int) *mark {
	return &mark{key: nowhere, head: nowhere, val: nowhere, order: order}
}

func locate(text string) *walk {
	w := &walk{text: text, root: newMark(0)}
	if strings.HasPrefix(text, byteOrderMark) {
		w.pos = len(byteOrderMark)
	}
	table, name := w.root, toml.Key(nil)
	for !w.failed {
		w.blank(true)
		switch {
		case w.pos >= len(w.text):
			return w
		case w.peek("["):
			table, name = w.header()
		default:
			w.pair(table, name)
		}
		w.blank(false)
		if w.pos < len(w.text) && !w.peek("\n") && !w.peek("\r\n") {
			w.failed = true
		}
	}
	return w
}

// matches tells whether the walk saw the same keys as the TOML package.
func (w *walk) matches(keys []toml.Key) bool {
	return !w.failed && slices.EqualFunc(w.names, keys, func(a, b toml.Key) bool { return slices.Equal(a, b) })
}

// orderOnly is what is known without a walk: the order.
func orderOnly(keys []toml.Key) *mark {
	root := newMark(0)
	for n, key := range keys {
		m := root
		for _, part := range key {
			m = m.kid(part, n)
		}
	}
	return root
}

func (m *mark) kid(name string, order int) *mark {
	if k := m.kids[name]; k != nil {
		return k
	}
	if m.kids == nil {
		m.kids = map[string]*mark{}
	}
	k := newMark(order)
	m.kids[name] = k
	return k
}

func (w *walk) peek(s string) bool { return strings.HasPrefix(w.text[w.pos:], s) }

func (w *walk) take(s string) bool {
	if w.peek(s) {
		w.pos += len(s)
		return true
	}
	return false
}

func (w *walk) fail() { w.failed = true }

// blank steps over blanks and a comment; with lines, over any number of lines of them.
func (w *walk) blank(lines bool) {
	for w.pos < len(w.text) {
		switch c := w.text[w.pos]; {
		case c == ' ' || c == '\t':
			w.pos++
		case c == '#':
			if n := strings.IndexByte(w.text[w.pos:], '\n'); n >= 0 {
				w.pos += n
			} else {
				w.pos = len(w.text)
			}
		case lines && (c == '\n' || c == '\r'):
			w.pos++
		default:
			return
		}
	}
}

func (w *walk) spaces() {
	for w.pos < len(w.text) && (w.text[w.pos] == ' ' || w.text[w.pos] == '\t') {
		w.pos++
	}
}

// A part is one name of a dotted key.
type part struct {
	name string
	span
}

// key reads a dotted key; whole is its span.
func (w *walk) key() (parts []part, whole span) {
	for {
		w.spaces()
		start := w.pos
		var name string
		switch {
		case w.peek(`"`):
			end := endOfString(w.text, w.pos)
			if end < 0 {
				w.fail()
				return nil, nowhere
			}
			name, _ = unquote(w.text[w.pos:end])
			w.pos = end
		case w.peek("'"):
			n := strings.IndexAny(w.text[w.pos+1:], "'\n")
			if n < 0 || w.text[w.pos+1+n] == '\n' {
				w.fail()
				return nil, nowhere
			}
			name = w.text[w.pos+1 : w.pos+1+n]
			w.pos += n + 2
		default:
			for w.pos < len(w.text) && isBare(w.text[w.pos]) {
				w.pos++
			}
			if name = w.text[start:w.pos]; name == "" {
				w.fail()
				return nil, nowhere
			}
		}
		parts = append(parts, part{name, span{start, w.pos - start}})
		if len(parts) > maxParts {
			w.tooDeep = true
			w.fail()
			return nil, nowhere
		}
		whole = span{parts[0].off, w.pos - parts[0].off}
		w.spaces()
		if !w.take(".") {
			return parts, whole
		}
	}
}

func isBare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// header reads [a.b] or [[a.b]] and returns the table that follows.
func (w *walk) header() (*mark, toml.Key) {
	array := w.take("[[")
	if !array {
		w.take("[")
	}
	parts, whole := w.key()
	closing := "]"
	if array {
		closing = "]]"
	}
	if w.failed || !w.take(closing) {
		w.fail()
		return w.root, nil
	}
	m, name := w.descend(w.root, nil, parts, whole)
	w.names = append(w.names, name)
	if array {
		m.tables = true
		w.place(m, parts, whole)
		elem := newMark(len(w.names))
		elem.key, elem.head, elem.set = m.key, whole, true
		m.elems = append(m.elems, elem)
		return elem, name
	}
	w.define(m, name, parts, whole, false)
	return m, name
}

// descend finds or makes the mark of a dotted key below m.
func (w *walk) descend(m *mark, name toml.Key, parts []part, whole span) (*mark, toml.Key) {
	full := slices.Clone(name)
	for i, p := range parts {
		if m.inline {
			w.reopened = append(w.reopened, clash{full.String(), m.key, whole})
		}
		full = append(full, p.name)
		m = m.kid(p.name, len(w.names))
		if i < len(parts)-1 {
			w.place(m, parts[:i+1], whole)
			if m.tables && len(m.elems) > 0 {
				m = m.elems[len(m.elems)-1]
			}
		}
	}
	return m, full
}

// place notes where m was first written, as the last of parts.
func (w *walk) place(m *mark, parts []part, whole span) {
	if !m.key.known() {
		m.key, m.head = parts[len(parts)-1].span, whole
	}
}

// define notes that m is written here, and whether it already was.
func (w *walk) define(m *mark, name toml.Key, parts []part, whole span, value bool) {
	if m.set || (value && len(m.kids) > 0) {
		w.twice = append(w.twice, clash{name.String(), m.key, parts[len(parts)-1].span})
		return
	}
	m.set, m.key, m.head = true, parts[len(parts)-1].span, whole
}

// pair reads key = value.
func (w *walk) pair(table *mark, name toml.Key) {
	parts, whole := w.key()
	if w.failed || !w.take("=") {
		w.fail()
		return
	}
	m, full := w.descend(table, name, parts, whole)
	w.names = append(w.names, full)
	w.define(m, full, parts, whole, true)
	w.spaces()
	w.value(m, full)
}

// value reads a value and notes where it stands.
func (w *walk) value(m *mark, name toml.Key) {
	if w.depth++; w.depth > maxDepth {
		w.tooDeep = true
		w.fail()
		return
	}
	defer func() { w.depth-- }()
	start := w.pos
	switch {
	case w.take("["):
		for w.blank(true); !w.failed && !w.take("]"); w.blank(true) {
			elem := newMark(len(w.names))
			m.elems = append(m.elems, elem)
			w.value(elem, name)
			if w.blank(true); !w.take(",") && !w.peek("]") {
				w.fail()
			}
		}
	case w.take("{"):
		for w.blank(true); !w.failed && !w.take("}"); w.blank(true) {
			w.pair(m, name)
			if w.blank(true); !w.take(",") && !w.peek("}") {
				w.fail()
			}
		}
		m.inline = true
	case w.peek(`"`), w.peek("'"):
		if w.pos = endOfString(w.text, w.pos); w.pos < 0 {
			w.pos = len(w.text)
			w.fail()
		}
	default:
		n := strings.IndexAny(w.text[w.pos:], ",]}#\r\n")
		if n < 0 {
			n = len(w.text) - w.pos
		}
		w.pos += len(strings.TrimRight(w.text[w.pos:w.pos+n], " \t"))
		if w.pos == start {
			w.fail()
		}
	}
	m.val = span{start, w.pos - start}
}

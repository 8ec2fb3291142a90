package config

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A node is one key of a file and its value: a table (kids), an array (elems), or a scalar.
type node struct {
	src    *source
	name   string
	kids   []*node // of a table, in file order
	elems  []*node // of an array
	table  bool
	scalar any // string, int64, float64, bool, time.Time; nil for tables and arrays
	mark   *mark

	parsed any  // what the schema made of it
	bad    bool // a problem was reported: what depends on it is not checked
}

// build joins values and positions. An unknown mark is an empty one.
func build(src *source, name string, m *mark, value any) *node {
	if m == nil {
		m = newMark(math.MaxInt)
	}
	n := &node{src: src, name: name, mark: m}
	elem := func(i int, v any) {
		var e *mark
		if i < len(m.elems) {
			e = m.elems[i]
		}
		n.elems = append(n.elems, build(src, name, e, v))
	}
	switch v := value.(type) {
	case map[string]any:
		n.table = true
		for key, below := range v {
			n.kids = append(n.kids, build(src, key, m.kids[key], below))
		}
		slices.SortFunc(n.kids, func(a, b *node) int {
			return cmp.Or(cmp.Compare(a.mark.order, b.mark.order), cmp.Compare(a.name, b.name))
		})
	case []map[string]any:
		n.elems = []*node{}
		for i, below := range v {
			elem(i, below)
		}
	case []any:
		n.elems = []*node{}
		for i, below := range v {
			elem(i, below)
		}
	default:
		n.scalar = value
	}
	return n
}

// kid returns the value of a key of a table, nil if it is not there. It may be asked of a nil node.
func (n *node) kid(name string) *node {
	if n == nil {
		return nil
	}
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

// sub returns a table below n if it is one and nothing is wrong with it.
func (n *node) sub(name string) *node {
	if k := n.kid(name); k != nil && k.table && !k.bad {
		return k
	}
	return nil
}

// has tells whether a key is there and good.
func (n *node) has(name string) bool {
	k := n.kid(name)
	return k != nil && !k.bad
}

// val is the parsed value of a key, or def where it is left out or bad.
func val[T any](n *node, name string, def T) T {
	if k := n.kid(name); k != nil && !k.bad {
		if v, ok := k.parsed.(T); ok {
			return v
		}
	}
	return def
}

// first is val of the first of nodes that has the key.
func first[T any](name string, def T, nodes ...*node) T {
	for _, n := range nodes {
		if n.has(name) {
			return val(n, name, def)
		}
	}
	return def
}

func (n *node) at(p span) place { return place{n.src, p} }

// key is where the key is written, value where its value is, head the whole header or dotted key.
func (n *node) key() place  { return n.at(n.mark.key) }
func (n *node) head() place { return n.at(n.mark.head) }
func (n *node) value() place {
	if !n.mark.val.known() {
		return n.head()
	}
	return n.at(n.mark.val)
}

// inside is the stretch of a string value that holds bytes off to off+length of its text; the whole value where
// that cannot be told.
func (n *node) inside(off, length int) place {
	written := n.value().written()
	switch {
	case off < 0 || written == "" || strings.HasPrefix(written, `"""`) || strings.HasPrefix(written, "'''"):
		return n.value()
	case strings.HasPrefix(written, "'"):
		if off+length > len(written)-2 {
			length = max(len(written)-2-off, 0)
		}
		return n.at(span{n.mark.val.off + 1 + off, max(length, 1)})
	case strings.HasPrefix(written, `"`):
		_, starts := unquote(written)
		from, to := min(off, len(starts)-1), min(off+length, len(starts)-1)
		return n.at(span{n.mark.val.off + starts[from], max(starts[to]-starts[from], 1)})
	}
	return n.value()
}

// decimal is a number as it was written, as plain decimal digits: 0x10 is "16", 1e-3 is "0.001". It is "" for anything
// else, also for nan and inf.
func (n *node) decimal() string {
	switch v := n.scalar.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return ""
		}
		if text := n.value().written(); text != "" && !strings.ContainsAny(text, "eE") {
			return strings.TrimPrefix(strings.ReplaceAll(text, "_", ""), "+")
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// text is a scalar as a raw text of equipment: strings as they are, numbers in decimal, bools as words.
func (n *node) text() string {
	switch v := n.scalar.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	}
	return n.decimal()
}

// typeName is what a value is, in words.
func (n *node) typeName() string {
	switch n.scalar.(type) {
	case string:
		return "a text"
	case int64:
		return "a whole number"
	case float64:
		return "a number"
	case bool:
		return "true or false"
	case nil:
		if n.table {
			return "a table"
		}
		return "a list"
	}
	return "a date or time"
}

package config

import (
	"fmt"
	"slices"
	"strings"
)

// The grammar is data (grammar.go): each table is a list of keys, each key has a kind. From it come unknown keys, keys
// that are not supported yet, wrong types, and the parsed values that the rest of the package reads.

// A kind is what may stand behind a key.
type kind byte

const (
	anyText     kind = iota // string
	yesNo                   // bool
	whole                   // int64 within lo..hi
	number                  // text of a decimal number
	fraction                // float64 within 0..1
	duration                // time.Duration within lo..hi, in milliseconds
	size                    // int64, bytes, at least lo
	silence                 // silent: a duration, or a number of periods
	word                    // one of words
	name                    // a name of class names
	texts                   // []string
	textOrTexts             // []string
	names                   // []string of names
	regex                   // *regexp.Regexp
	regexes                 // []*regexp.Regexp, from one or a list
	letter                  // rune
	letterOrNone
	zone     // *time.Location
	mode     // port.Mode
	hostPort // text
	hexBytes // []byte
	rawBytes // []byte of a text
	byteRange
	servers // []string
	encoding
	encodings
	enum   // []mapping.EnumValue
	raws   // []string, raw texts
	bitSet // []mapping.BitName
	change // mapping.Change
	unitOf // a unit, or where it stands
	secretTable
	tableOf // a table with the keys of sub
	named   // a table of names to tables with the keys of sub
	changes // a table of names or globs to changes
	users   // a table of API keys to tables with the keys of sub
	later   // whatever: it is not supported yet
)

// A medium is a kind of link, as a set. Zero: all.
type medium uint16

const (
	onSerial medium = 1 << iota
	onTCP
	onModbusTCP
	onModbusRTU
	onModbusRTUTCP
	onFile
	onModbusASCII
	onFolder

	lines       = onSerial | onTCP
	modbusLinks = onModbusTCP | onModbusRTU | onModbusRTUTCP | onModbusASCII
	rows        = onFile | onFolder
)

// A key is one entry of the grammar.
type key struct {
	name   string
	kind   kind
	on     medium
	lo, hi int64
	words  []string
	what   string // what a word is: "a byte order"
	code   string // of a wrong word; "" = TYP005
	class  class  // of a name, and of the names of named
	sub    []key
	need   bool
	soon   bool // in the grammar, and not built yet
}

// mediumNames says what a key belongs to.
func (m medium) String() string {
	switch {
	case m&^lines == 0:
		return "serial lines (serial, tcp)"
	case m&^modbusLinks == 0:
		return "Modbus links"
	case m&^rows == 0:
		return "files"
	case m == lines|modbusLinks:
		return "serial lines and Modbus links"
	}
	var kinds []string
	for i, k := range []string{"serial", "tcp", "modbus_tcp", "modbus_rtu", "modbus_rtu_tcp", "file", "modbus_ascii", "folder"} {
		if m&(1<<i) != 0 {
			kinds = append(kinds, k)
		}
	}
	return strings.Join(kinds, ", ") + " links"
}

// check holds a table against its keys. title names the table in messages; on is the link it is for, 0 if unknown.
func (l *loader) check(n *node, keys []key, on medium, title string) {
	for _, kid := range n.kids {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == kid.name })
		if i < 0 {
			l.unknown(kid, keys, on)
			continue
		}
		k := keys[i]
		switch {
		case k.soon:
			l.notYet(kid, k.name)
		case k.on != 0 && on != 0 && k.on&on == 0:
			p := l.errorf("KEY005", kid.key(), "%q has no meaning for %s", kid.name, title)
			p.label = "it is for " + k.on.String() + ", not for " + on.String()
			kid.bad = true
		default:
			l.checkValue(kid, k, on)
		}
	}
	for _, k := range keys {
		if k.need && k.kind != later && n.kid(k.name) == nil && (k.on == 0 || k.on&on != 0) {
			p := l.errorf("KEY002", n.head(), "%s has no %q", title, k.name)
			p.label = fmt.Sprintf("add  %s = …", k.name)
		}
	}
}

func (l *loader) unknown(n *node, keys []key, on medium) {
	n.bad = true
	var known, built []string
	for _, k := range keys {
		if on == 0 || k.on == 0 || k.on&on != 0 {
			known = append(known, k.name)
			if !k.soon {
				built = append(built, k.name)
			}
		}
	}
	p := l.errorf("KEY001", n.key(), "unknown key %q", n.name)
	meant := near(n.name, known)
	for _, k := range known {
		if strings.EqualFold(k, n.name) {
			meant = k
			p.note("note", "keys are written in small letters")
		}
	}
	if meant == "" {
		p.label = "known here: " + list(built)
		return
	}
	p.label = fmt.Sprintf("did you mean %q?", meant)
	p.replace(meant)
	if meant == "scale" {
		p.note("note", "without it the value would be sent %s", effectOfScale(n))
	}
}

// effectOfScale says what a misspelt scale would have done, for a wrong number looks as good as a right one.
func effectOfScale(n *node) string {
	switch n.decimal() {
	case "0.1":
		return "ten times too large"
	case "0.01":
		return "a hundred times too large"
	case "0.001":
		return "a thousand times too large"
	}
	return "as the equipment counts it, not scaled"
}

func (l *loader) notYet(n *node, name string) *Problem {
	n.bad = true
	p := l.errorf("KEY003", n.key(), "%q is not supported yet", name)
	p.label = "leave it out: this version would not heed it"
	return p
}

// maxList is how many words a message lists.
const maxList = 24

func list(words []string) string {
	if len(words) > maxList {
		words = append(slices.Clone(words[:maxList]), "…")
	}
	return strings.Join(words, ", ")
}

// or lists words as a choice: "A, B or C".
func or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// checkValue parses the value of a key as its kind, and marks the node bad if that cannot be.
func (l *loader) checkValue(n *node, k key, on medium) {
	switch k.kind {
	case tableOf:
		if l.isTable(n) {
			l.check(n, k.sub, on, "["+n.at(n.mark.head).writtenOr(n.name)+"]")
		}
	case named:
		if l.isTable(n) {
			for _, kid := range n.kids {
				l.checkName(kid, kid.key(), kid.name, k.class)
				if l.isTable(kid) {
					l.check(kid, k.sub, on, fmt.Sprintf("%s %q", k.what, kid.name))
				}
			}
		}
	case users:
		if l.isTable(n) {
			for _, kid := range n.kids {
				if l.isTable(kid) {
					l.check(kid, k.sub, 0, "this user")
				}
			}
		}
	case changes:
		if l.isTable(n) {
			for _, kid := range n.kids {
				l.scalar(kid, key{kind: change})
			}
		}
	case unitOf:
		if n.table {
			l.check(n, unitKeys, on, "read_unit")
			if slices.ContainsFunc(n.kids, func(k *node) bool { return k.bad }) {
				n.bad = true
				return
			}
		}
		l.scalar(n, k)
	default:
		l.scalar(n, k)
	}
}

func (l *loader) isTable(n *node) bool {
	if !n.table {
		l.wrongType(n, "a table", fmt.Sprintf("[%s], or  %s = { … }", n.name, n.name))
	}
	return n.table
}

// wrongType reports a value of another type than wanted.
func (l *loader) wrongType(n *node, want, example string) {
	n.bad = true
	p := l.errorf("TYP001", n.value(), "%q is %s, not %s", n.name, n.typeName(), want)
	p.label = "write it like this: " + example
}

func (p place) writtenOr(other string) string {
	if s := p.written(); s != "" {
		return s
	}
	return other
}

package wiotp

import "strings"

// Variables of a form. T and I are device type and device id, E an event or command id, F a format, A an application,
// L an interface, R a rule, X and Y what device management needs.
const variables = "TIEFALRXY"

// A form is the pattern of a topic, such as iot-2/type/T/id/I/mon: one capital letter is a variable.
type form struct {
	text   string
	levels []level
}

// A level is a literal, or a variable by its place in variables.
type level struct {
	literal string
	v       int8 // -1 for a literal
}

// values are the variables of one topic.
type values [len(variables)]string

const (
	vT = iota
	vI
	vE
	vF
	vA
	vL
	vR
)

func newForm(text string) form {
	f := form{text: text}
	for part := range strings.SplitSeq(text, "/") {
		l := level{literal: part, v: -1}
		if len(part) == 1 {
			l.v = int8(strings.Index(variables, part))
		}
		f.levels = append(f.levels, l)
	}
	return f
}

// cut splits s by the form. The values are parts of s and not checked.
func (f *form) cut(s string, into *values) bool {
	for i := range f.levels {
		l := &f.levels[i]
		end := strings.IndexByte(s, '/')
		if last := i == len(f.levels)-1; last != (end < 0) {
			return false
		}
		part := s
		if end >= 0 {
			part, s = s[:end], s[end+1:]
		}
		if l.v >= 0 {
			into[l.v] = part
		} else if part != l.literal {
			return false
		}
	}
	return true
}

// append builds the topic from its values.
func (f *form) append(b []byte, v *values) []byte {
	for i, l := range f.levels {
		if i > 0 {
			b = append(b, '/')
		}
		if l.v >= 0 {
			b = append(b, v[l.v]...)
		} else {
			b = append(b, l.literal...)
		}
	}
	return b
}

package mapping

import "strings"

// A valueKind is what a value is once it was read.
type valueKind byte

const (
	absent valueKind = iota
	number
	truth
	text
	set       // names of bits
	anyOfThem // of an enum of different kinds; only a type, no value has it
)

func (k valueKind) String() string {
	return [...]string{"absent", "a number", "true or false", "text", "a list of texts", "now this, now that"}[k]
}

// A value is what a point or a computed of one reading is. The zero value is absent.
type value struct {
	kind  valueKind
	truth bool
	num   decimal // what is sent
	full  decimal // before rounding: what is computed with and held against limits
	text  string
	bits  uint64
}

// same says whether a reader of the payload would see no difference.
func (v *value) same(w *value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case number:
		return v.num.cmp(w.num) == 0
	case truth:
		return v.truth == w.truth
	case text:
		return v.text == w.text
	case set:
		return v.bits == w.bits
	}
	return true
}

// keep is v for later: its text is no longer the reading's.
func (v *value) keep() value {
	kept := *v
	kept.text = strings.Clone(v.text)
	return kept
}

// A rounding is what is done to a number before it is sent.
type rounding struct {
	places   int // -1: as it comes
	min, max *decimal
}

// settle makes v the number d, or leaves it absent if that is outside the limits.
func (r *rounding) settle(v *value, d decimal, exact bool) {
	if r.min != nil && d.cmp(*r.min) < 0 || r.max != nil && d.cmp(*r.max) > 0 {
		return
	}
	v.kind, v.full, v.num = number, d, d
	switch {
	case r.places >= 0:
		v.num = d.round(r.places)
	case !exact:
		v.num = d.significant(sentDigits)
	}
}

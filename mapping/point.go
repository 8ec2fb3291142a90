package mapping

import (
	"math/big"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A fault is why a reading does not become events: code, and one sentence.
type fault struct{ code, why string }

// A point reads one text of a reading.
type point struct {
	Point
	rounding
	typ      valueKind
	scale    *decimal // nil: 1
	offset   *decimal // nil: 0
	convert  *conversion
	units    map[string]*conversion // by the text of UnitFrom
	absent   []match
	enum     []match
	bitNames []BitName // in the order of the bits
	named    uint64    // bits that have a name
}

// A match is a raw value of the configuration: it is the same text, or the same number.
type match struct {
	text   string
	number *decimal // nil: no number
	value  value    // of an enum
}

// read gives raw, the text of the reading, its meaning. It leaves v, which is absent, as it is if raw says nothing.
//
// The order is that of the data: absent compares the text as it was read (a register that holds 0xFFFF says nothing,
// whatever its mask), then mask or bit, then enum (whose values are final: neither scaled nor converted), or number.
func (p *point) read(v *value, raw, unit string) *fault {
	if p.find(p.absent, raw) != nil {
		return nil
	}
	switch {
	case p.Mask != 0 || p.Bit >= 0:
		word, ok := parseWord(raw)
		if !ok {
			return p.fault("MAP013", raw, "not a whole number of at most 64 bits")
		}
		if p.Bit >= 0 {
			return p.bool(v, word>>p.Bit&1 == 1)
		}
		word = word & p.Mask >> bits.TrailingZeros64(p.Mask)
		if p.enum != nil {
			return p.choose(v, strconv.FormatUint(word, 10))
		}
		return p.number(v, fromWord(word), raw, unit)
	case p.enum != nil:
		return p.choose(v, raw)
	case p.Kind == Text:
		v.kind, v.text = text, raw
		return nil
	case p.Kind == Bool:
		switch trimBlanks(raw) {
		case "true", "1":
			return p.bool(v, true)
		case "false", "0":
			return p.bool(v, false)
		}
		return p.fault("MAP014", raw, "neither true nor false")
	case p.Kind == Bits:
		word, ok := parseWord(raw)
		if !ok {
			return p.fault("MAP013", raw, "not a whole number of at most 64 bits")
		}
		v.kind, v.bits = set, word&p.named
		return nil
	}
	d, bad := parseDecimal(raw, p.Decimal, p.Thousands)
	switch bad {
	case notFinite:
		return nil
	case notNumber:
		return p.fault("MAP011", raw, "not a number")
	case outOfRange:
		return p.fault("MAP012", raw, "a number with too many digits, or too large or small, to be sent")
	}
	if p.Kind == Int {
		if !d.whole() {
			return p.fault("MAP013", raw, "not a whole number")
		}
		d = d.round(0)
	}
	return p.number(v, d, raw, unit)
}

func (p *point) number(v *value, d decimal, raw, unit string) *fault {
	if p.scale != nil {
		d = d.mul(*p.scale)
	}
	if p.offset != nil {
		d = d.add(*p.offset)
	}
	convert := p.convert
	if p.units != nil {
		var known bool
		if convert, known = p.units[trimBlanks(unit)]; !known {
			return &fault{"MAP015", p.Name + " is in " + quote(unit) + ", a unit that does not convert into " + p.Unit}
		}
	}
	exact := true
	if convert != nil {
		d, exact = convert.of(d)
	}
	if !d.finite() {
		return p.fault("MAP012", raw, "a number that is too large or small to be sent once it is scaled")
	}
	p.settle(v, d, exact)
	return nil
}

func (p *point) bool(v *value, b bool) *fault {
	if p.enum != nil {
		raw := "0"
		if b {
			raw = "1"
		}
		if found := p.find(p.enum, strconv.FormatBool(b)); found != nil {
			*v = found.value
			return nil
		}
		return p.choose(v, raw)
	}
	v.kind, v.truth = truth, b
	return nil
}

func (p *point) choose(v *value, raw string) *fault {
	if found := p.find(p.enum, raw); found != nil {
		*v = found.value
	}
	return nil
}

// find looks for the text as it is, then without the blanks around it, then for the same number.
func (p *point) find(in []match, raw string) *match {
	if len(in) == 0 {
		return nil
	}
	for i := range in {
		if in[i].text == raw {
			return &in[i]
		}
	}
	bare, numbers := trimBlanks(raw), false
	for i := range in {
		if in[i].text == bare {
			return &in[i]
		}
		numbers = numbers || in[i].number != nil
	}
	if !numbers {
		return nil
	}
	d, bad := parseDecimal(bare, p.Decimal, p.Thousands)
	if bad != noFault {
		return nil
	}
	for i := range in {
		if in[i].number != nil && in[i].number.cmp(d) == 0 {
			return &in[i]
		}
	}
	return nil
}

func (p *point) fault(code, raw, what string) *fault {
	why := p.Name + " is " + quote(raw) + ", " + what
	if strings.TrimSpace(raw) == "" {
		why += `; if that means no value, add "" to its absent`
	}
	return &fault{code, why}
}

// parseWord reads the bits of a register: an unsigned number, or a negative one in two's complement.
func parseWord(raw string) (uint64, bool) {
	if n, err := strconv.ParseUint(raw, 10, 64); err == nil {
		return n, true
	}
	d, ok := plain(raw)
	if !ok || !d.whole() {
		return 0, false
	}
	n := d.round(0).down(0).int()
	if n.IsInt64() {
		return uint64(n.Int64()), true
	}
	return n.Uint64(), n.IsUint64()
}

func fromWord(word uint64) decimal {
	return wide(new(big.Int).SetUint64(word), 0)
}

// quote shows hostile text: on one line, at most 256 bytes of it.
func quote(s string) string {
	const most = 256
	if len(s) <= most {
		return strconv.Quote(s)
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return strconv.Quote(s[:n]) + "…"
}

package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// ruleErrors gathers what is wrong with the rules of a mapper.
type ruleErrors struct{ all []error }

func (r *ruleErrors) add(device, code, why, help string, path ...string) {
	r.all = append(r.all, &RuleError{Device: device, Path: path, Offset: -1, Code: code, Why: why, Help: help})
}

func (r *ruleErrors) flaw(device string, f *flaw, path ...string) {
	if f.code == "" { // follows from another one
		return
	}
	r.all = append(r.all, &RuleError{Device: device, Path: path, Offset: f.offset, Length: f.length, Code: f.code, Why: f.why, Help: f.help})
}

func (r *ruleErrors) join() error { return errors.Join(r.all...) }

// A builder makes the rules of one device ready.
type builder struct {
	*device
	bad    *ruleErrors
	scope  scope
	byName map[string]int // points and computed: among the device's values
}

func newDevice(rules Device, bad *ruleErrors) *device {
	b := &builder{device: &device{Device: rules, units: max(1, len(rules.Events))}, bad: bad}
	b.scope.symbols = make(map[string]symbol)
	b.byName = make(map[string]int)
	for _, p := range rules.Points {
		b.addName(p.Name, "points")
		b.points = append(b.points, b.point(p))
	}
	for i := range b.points {
		p := &b.points[i]
		b.scope.symbols[p.Name] = symbol{index: i, kind: p.typ, unit: p.Unit, counter: p.Counter, names: p.bitNames}
	}
	for _, c := range rules.Computed {
		b.addName(c.Name, "computed")
	}
	b.compute(rules.Computed)
	for _, e := range rules.Events {
		b.events = append(b.events, b.event(e))
	}
	for _, c := range rules.Commands {
		b.commands = append(b.commands, b.command(c))
	}
	b.template()
	b.finish()
	return b.device
}

func (b *builder) fail(code, why, help string, path ...string) {
	b.bad.add(b.Name, code, why, help, path...)
}

// addName takes the next value's name.
func (b *builder) addName(name, table string) {
	_, taken := b.byName[name]
	switch {
	case !wellFormed(name):
		b.fail("MAP003", strconv.Quote(name)+" cannot be the name of a value", "write a-z, 0-9 and _, a letter first", table, name)
	case name == "ts" || name == "id" || name == "clock":
		b.fail("MAP003", name+" is a member of every event, so no value can have this name", "", table, name)
	case taken:
		b.fail("MAP003", "there are two values with the name "+name, "", table, name)
	default:
		b.byName[name] = len(b.byName)
		return
	}
	b.byName[fmt.Sprintf("%s (%d)", name, len(b.byName))] = len(b.byName) // values keep their places
}

func wellFormed(name string) bool {
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func (b *builder) point(rule Point) point {
	p := point{Point: rule}
	if p.Decimal == 0 {
		p.Decimal = '.'
	}
	if p.Thousands == p.Decimal {
		b.fail("MAP004", "the decimal character and the one that parts thousands are the same", "", "points", p.Name)
	}
	p.scale = b.number(p.Scale, "points", p.Name, "scale")
	p.offset = b.number(p.Offset, "points", p.Name, "offset")
	p.rounding = b.rounding(p.Decimals, p.Min, p.Max, "points", p.Name)
	b.convert(&p)
	switch {
	case p.Mask != 0 && p.Bit >= 0:
		b.fail("MAP004", "a point has a mask or a bit, not both", "", "points", p.Name, "mask")
	case p.Bit > 63:
		b.fail("MAP004", "a register has the bits 0 to 63", "", "points", p.Name, "bit")
	case (p.Mask != 0 || p.Bit >= 0) && (p.Kind == Text || p.Kind == Bits):
		b.fail("MAP004", "only a number has a mask or a bit", "", "points", p.Name)
	}
	for _, raw := range p.Absent {
		p.absent = append(p.absent, newMatch(raw))
	}
	for _, n := range p.Names {
		if n.Bit < 0 || n.Bit > 63 {
			b.fail("MAP004", "a register has the bits 0 to 63", "", "points", p.Name, "names")
			continue
		}
		p.bitNames = append(p.bitNames, n)
		p.named |= 1 << n.Bit
	}
	slices.SortStableFunc(p.bitNames, func(m, n BitName) int { return m.Bit - n.Bit })
	if bits.OnesCount64(p.named) < len(p.bitNames) {
		b.fail("MAP004", "a bit has two names", "", "points", p.Name, "names")
	}
	switch {
	case p.Bit >= 0 || p.Kind == Bool:
		p.typ = truth
	case p.Kind == Text:
		p.typ = text
	case p.Kind == Bits:
		p.typ = set
	default:
		p.typ = number
	}
	if rule.Enum != nil {
		b.enum(&p)
	}
	return p
}

func (b *builder) enum(p *point) {
	p.enum, p.typ = []match{}, absent
	for _, row := range p.Enum {
		m := newMatch(row.Raw)
		switch v := row.Value.(type) {
		case string:
			m.value = value{kind: text, text: v}
		case bool:
			m.value = value{kind: truth, truth: v}
		case json.Number:
			if d, ok := plain(v.String()); ok {
				p.settle(&m.value, d, true)
				break
			}
			b.fail("MAP001", quote(v.String())+" is not a number", "", "points", p.Name, "enum", row.Raw)
		default:
			b.fail("MAP004", "an enum gives texts, numbers, true or false", "", "points", p.Name, "enum", row.Raw)
		}
		kind := m.value.kind
		if _, isNumber := row.Value.(json.Number); isNumber {
			kind = number // also one that is outside min and max
		}
		switch {
		case p.typ == absent:
			p.typ = kind
		case p.typ != kind:
			p.typ = anyOfThem
		}
		p.enum = append(p.enum, m)
	}
}

func newMatch(raw string) match {
	m := match{text: raw}
	if d, ok := plain(raw); ok {
		m.number = &d
	}
	return m
}

func (b *builder) convert(p *point) {
	if p.UnitFrom == "" && (p.ReadUnit == "" || p.ReadUnit == p.Unit) {
		return
	}
	into := conversions(p.Unit)
	if into == nil && p.UnitFrom != "" {
		into = map[string]*conversion{p.Unit: nil}
	}
	help := ""
	if family := familyOf(p.Unit); family != "" {
		help = "into " + p.Unit + " convert " + family
	}
	if p.UnitFrom != "" {
		p.units = into
		if p.Unit == "" {
			b.fail("MAP002", "read_unit converts into unit, but there is no unit", `add unit = "…"`, "points", p.Name, "read_unit")
		}
		return
	}
	convert, known := into[p.ReadUnit]
	if !known {
		b.fail("MAP002", p.ReadUnit+" does not convert into "+strconv.Quote(p.Unit), help, "points", p.Name, "read_unit")
	}
	p.convert = convert
}

func (b *builder) rounding(places int, lowest, highest string, path ...string) rounding {
	r := rounding{places: places}
	r.min = b.number(lowest, append(slices.Clone(path), "min")...)
	r.max = b.number(highest, append(slices.Clone(path), "max")...)
	if r.min != nil && r.max != nil && r.min.cmp(*r.max) > 0 {
		b.fail("MAP001", "min is greater than max, so every value would be absent", "", append(slices.Clone(path), "min")...)
	}
	return r
}

// number reads an exact number of the configuration; nil if it is left out.
func (b *builder) number(s string, path ...string) *decimal {
	if s == "" {
		return nil
	}
	d, ok := plain(s)
	if !ok {
		b.fail("MAP001", quote(s)+" is not a number", "", path...)
		return nil
	}
	return &d
}

package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"legacybridge/adapters/serial"
	"legacybridge/mapping"
)

// A pointDef is one point of a device.
type pointDef struct {
	*node
	kind mapping.Kind
	typ  string // as the adapter knows it
}

// What may stand in type, by where the value is.
var (
	registerTypes = []string{"u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bits", "text"}
	byteTypes     = []string{"u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "ascii-int", "decimal", "text", "bits"}
	textTypes     = []string{"decimal", "int", "text"}
	bitTypes      = []string{"bool"}
)

// typeBytes is how many bytes a type takes; the others take as many as there are.
var typeBytes = map[string]int{"u8": 1, "i8": 1, "u16": 2, "i16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8, "f32": 4, "f64": 8}

// places are the keys that say where a value is; a point has exactly one that its link knows.
var places = []string{"holding", "input", "coil", "discrete", "from", "at", "column"}

// point checks one point and gives its meaning. What is wrong with the meaning alone, package mapping says.
func (b *linkBuilder) point(n *node, decimal, thousands rune) (*pointDef, mapping.Point) {
	p := &pointDef{node: n}
	m := mapping.Point{
		Name:      n.name,
		Scale:     val(n, "scale", ""),
		Offset:    val(n, "offset", ""),
		Unit:      val(n, "unit", ""),
		ReadUnit:  p.unitPlace().unit,
		Decimals:  int(val(n, "decimals", int64(-1))),
		Enum:      val(n, "enum", []mapping.EnumValue(nil)),
		Absent:    val(n, "absent", []string(nil)),
		Min:       val(n, "min", ""),
		Max:       val(n, "max", ""),
		Mask:      uint64(val(n, "mask", int64(0))),
		Bit:       int(val(n, "bit", int64(-1))),
		Names:     val(n, "names", []mapping.BitName(nil)),
		Counter:   val(n, "counter", false),
		Decimal:   decimal,
		Thousands: thousands,
	}
	if place := p.unitPlace(); place.group != "" {
		m.UnitFrom = "from." + place.group
	} else if place.column != "" {
		m.UnitFrom = "row." + place.column
	}
	if b.oneOf(n) {
		b.typeOf(p)
	}
	m.Kind = p.kind
	return p, m
}

// oneOf wants exactly one place.
func (b *linkBuilder) oneOf(n *node) bool {
	var here, possible []string
	for _, k := range linkPlaces(b.medium) {
		possible = append(possible, k)
		if n.kid(k) != nil {
			here = append(here, k)
		}
	}
	switch {
	case len(here) == 1:
		return true
	case len(here) > 1:
		p := b.errorf("KEY004", n.kid(here[1]).key(), "point %s is in two places at once", n.name)
		p.label = "leave out one of the two"
	case !slices.ContainsFunc(n.kids, func(k *node) bool { return k.bad }): // else that problem is about the place
		p := b.errorf("KEY004", n.key(), "point %s does not say where its value is", n.name)
		p.label = "add " + or(possible)
	}
	return false
}

func linkPlaces(m medium) []string {
	return slices.DeleteFunc(slices.Clone(places), func(name string) bool {
		i := slices.IndexFunc(pointKeys, func(k key) bool { return k.name == name })
		return pointKeys[i].on&m == 0
	})
}

// typeOf settles what the value is read as, and holds the keys that depend on it against it.
func (b *linkBuilder) typeOf(p *pointDef) {
	p.typ = val(p.node, "type", "")
	types, def, what := textTypes, "text", "texts"
	switch {
	case p.kid("holding") != nil, p.kid("input") != nil:
		types, def, what = registerTypes, "u16", "registers"
	case p.kid("coil") != nil, p.kid("discrete") != nil:
		types, def, what = bitTypes, "bool", "coils and discrete inputs"
	case p.kid("at") != nil:
		types, def, what = byteTypes, "u8", "bytes"
	}
	if p.typ == "" {
		p.typ = def
	}
	if !slices.Contains(types, p.typ) && !(p.typ == "bool" && p.has("bit")) {
		if t := p.kid("type"); !t.bad {
			t.bad = true
			pr := b.errorf("TYP015", t.value(), "%q is not a type of %s", p.typ, what)
			pr.label = "use " + or(types)
			if meant := near(p.typ, types); meant != "" {
				pr.replace(strconv.Quote(meant))
			}
		}
		p.typ = def
		return
	}
	switch {
	case p.typ == "bool", p.has("bit"):
		p.kind = mapping.Bool
	case p.typ == "text":
		p.kind = mapping.Text
	case p.typ == "bits":
		p.kind = mapping.Bits
	case p.typ == "int", p.typ == "ascii-int":
		p.kind = mapping.Int
	}
	if p.typ == "bool" {
		p.typ = def
	}
	b.only(p, []string{"length", "encoding"}, p.typ == "text" && p.kid("from") == nil, "texts from registers or bytes")
	b.only(p, []string{"names"}, p.typ == "bits", `type = "bits"`)
	b.only(p, []string{"bit", "mask"}, slices.Contains(types, "u16") && isWhole(p.typ), "whole numbers from registers or bytes")
	ordered := typeBytes[p.typ] > 1 || p.typ == "bits" || (p.typ == "text" && p.kid("at") == nil)
	b.only(p, []string{"order"}, slices.Contains(types, "u16") && ordered, "values of two bytes and more")
	if p.kind != mapping.Number && p.kind != mapping.Int {
		b.only(p, []string{"scale", "offset", "read_unit", "decimals", "min", "max", "counter"}, false, "numbers")
	}
	if p.has("enum") {
		b.only(p, []string{"scale", "offset", "read_unit"}, false, "points without enum, whose values are final")
	}
	if p.typ == "bits" && p.kid("names") == nil && p.kid("bit") == nil {
		pr := b.errorf("KEY006", p.key(), `point %s has type "bits" and no "names"`, p.name)
		pr.label = `add  names = { 0 = "…" }`
	}
	if p.has("bit") && p.has("mask") {
		p.kid("mask").bad = true
		b.errorf("KEY004", p.kid("mask").key(), "point %s takes a bit and a mask", p.name).label = "leave out one of the two"
	}
	b.bytesOf(p)
	b.inWidth(p)
	b.enumKeys(p)
}

// bytesOf wants as many bytes as the type takes. A single number is where they begin.
func (b *linkBuilder) bytesOf(p *pointDef) {
	at, isBytes := p.span("at")
	need, have := typeBytes[p.typ], at.length()
	if !isBytes || at.single || (need == 0 && p.typ != "bits") {
		return
	}
	var pr *Problem
	switch swaps := val(p.node, "order", "ABCD"); {
	case need > 0 && have != need:
		pr = b.errorf("FRM025", p.kid("at").value(), "a %s takes %s", p.typ, count(need, "byte"))
		pr.label = fmt.Sprintf("write  at = %d", at.from)
		if p.kid("type") == nil {
			pr.label = "add  type = …: " + or(byteTypes)
		}
	case p.typ == "bits" && (have < 1 || have > 8):
		pr = b.errorf("FRM025", p.kid("at").value(), "bits take 1 to 8 bytes")
		pr.label = "counted from one side of the frame"
	case p.typ == "bits" && have%2 == 1 && have > 1 && (swaps == "CDAB" || swaps == "BADC"):
		pr = b.errorf("MOD004", p.kid("order").value(), "%d bytes have no words to swap", have)
		pr.label = "use ABCD or DCBA"
	default:
		return
	}
	p.kid("at").bad = true
}

func isWhole(typ string) bool {
	return typ == "" || typ == "bits" || (typeBytes[typ] > 0 && typ[0] != 'f')
}

// only refuses keys that have no meaning for this kind of point.
func (b *linkBuilder) only(p *pointDef, keys []string, fits bool, forWhat string) {
	for _, name := range keys {
		if k := p.kid(name); k != nil && !k.bad && !fits {
			k.bad = true
			b.errorf("KEY005", k.key(), "%q has no meaning for point %s", name, p.name).label = "it is for " + forWhat
		}
	}
}

// inWidth wants bits that the value has.
func (b *linkBuilder) inWidth(p *pointDef) {
	width := 8 * typeBytes[p.typ]
	switch at, isBytes := p.span("at"); {
	case isBytes && p.typ == "bits":
		width = 8 * max(at.length(), 1)
	case p.typ == "bits", p.typ == "":
		width = 16
	}
	tell := func(n *node, bit int) {
		if bit >= width {
			n.bad = true
			b.errorf("MOD008", n.value(), "point %s has %d bits", p.name, width).label = fmt.Sprintf("they are 0 to %d; 0 is the lowest", width-1)
		}
	}
	if p.has("bit") {
		tell(p.kid("bit"), int(val(p.node, "bit", int64(0))))
	}
	if mask := val(p.node, "mask", int64(0)); mask > 0 && width < 63 && mask>>width != 0 {
		p.kid("mask").bad = true
		b.errorf("MOD008", p.kid("mask").value(), "point %s has only %d bits", p.name, width).label = fmt.Sprintf("use 1 to %d", 1<<width-1)
	}
	if p.has("names") {
		for _, k := range p.kid("names").kids {
			if bit, err := strconv.Atoi(k.name); err == nil && bit >= width {
				b.errorf("MOD008", k.key(), "point %s has %d bits", p.name, width).label = fmt.Sprintf("they are 0 to %d; 0 is the lowest", width-1)
			}
		}
	}
}

// enumKeys wants raw values that can come.
func (b *linkBuilder) enumKeys(p *pointDef) {
	if !p.has("enum") || p.kind == mapping.Text {
		return
	}
	for _, k := range p.kid("enum").kids {
		raw := rawKey(k.name)
		_, err := strconv.ParseFloat(raw, 64)
		isBool := slices.Contains([]string{"true", "false", "0", "1"}, raw)
		if (p.kind == mapping.Bool && !isBool) || (p.kind != mapping.Bool && err != nil) {
			pr := b.errorf("MAP021", k.key(), "point %s is never %q", p.name, k.name)
			pr.label = map[bool]string{true: "use true and false", false: "raw values of this point are numbers"}[p.kind == mapping.Bool]
		}
	}
}

// numeric tells whether the point gives numbers, so that a change of it can be measured.
func numeric(m mapping.Point) bool {
	for _, e := range m.Enum {
		if _, ok := e.Value.(json.Number); !ok {
			return false
		}
	}
	return len(m.Enum) > 0 || (m.Kind == mapping.Number || m.Kind == mapping.Int)
}

func (p *pointDef) unitPlace() unitPlace { return val(p.node, "read_unit", unitPlace{}) }

func (p *pointDef) span(name string) (byteSpan, bool) {
	return val(p.node, name, byteSpan{}), p.has(name)
}

// serial says where the point is in a frame.
func (p *pointDef) serial() serial.Point {
	at, isBytes := p.span("at")
	s := serial.Point{Name: p.name, Group: val(p.node, "from", "")}
	if isBytes {
		s.From, s.To, s.Single = at.from, at.to, at.single
		s.Type, s.Order = p.typ, val(p.node, "order", "")
		s.Length, s.Encoding = int(val(p.node, "length", int64(0))), val(p.node, "encoding", "")
	}
	return s
}

// templateColumns are the columns that an id is made of: "LAB-{row.Linie}" needs Linie.
func templateColumns(id string) (columns []string) {
	for {
		_, rest, found := strings.Cut(id, "{row.")
		name, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return columns
		}
		columns = append(columns, name)
		id = after
	}
}

package mapping_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/mapping"
)

var update = flag.Bool("update", false, "write the golden files anew")

// tb is what testing.T and rapid.T share.
type tb interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// noon is when the readings of these tests arrive.
var noon = time.Date(2026, 5, 11, 12, 0, 0, 114e6, time.UTC)

// point is a number as it comes; edit says what else it is.
func point(name string, edit ...func(*mapping.Point)) mapping.Point {
	p := mapping.Point{Name: name, Decimals: -1, Bit: -1}
	for _, e := range edit {
		e(&p)
	}
	return p
}

func computed(name, is string) mapping.Computed {
	return mapping.Computed{Name: name, Is: is, Decimals: -1}
}

func event(name string, points ...string) mapping.EventRule {
	return mapping.EventRule{Name: name, Points: points, Format: "json", QoS: 1, WithID: true}
}

// device sends its points in one event "data", or in the events given.
func device(points []mapping.Point, events ...mapping.EventRule) mapping.Device {
	d := mapping.Device{Name: "dev", Type: "type", ID: "ID-1", Points: points, Events: events}
	if len(events) == 0 {
		var names []string
		for _, p := range points {
			names = append(names, p.Name)
		}
		d.Events = []mapping.EventRule{event("data", names...)}
	}
	return d
}

func newMapper(t tb, d ...mapping.Device) *mapping.Mapper {
	t.Helper()
	m, err := mapping.New(mapping.Config{Devices: d})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// reading has the texts of pairs: name, text, name, text.
func reading(at time.Time, pairs ...string) adapters.Reading {
	r := adapters.Reading{Device: "dev", Time: at, Origin: "test:1"}
	for i := 0; i < len(pairs); i += 2 {
		r.Names, r.Values = append(r.Names, pairs[i]), append(r.Values, pairs[i+1])
	}
	return r
}

// show is what became of readings, one line for each outcome, and checks what must always hold.
func show(t tb, out mapping.Output) string {
	t.Helper()
	checkLedger(t, out)
	var lines []string
	for _, e := range out.Events {
		lines = append(lines, fmt.Sprintf("%s/%s %s %s", e.Type, e.ID, e.Name, e.Payload))
	}
	for _, d := range out.Dead {
		lines = append(lines, fmt.Sprintf("dead %s: %s", d.Code, d.Why))
	}
	return strings.Join(lines, "\n")
}

// checkLedger holds Read = events + filtered + units of dead letters, for each device, and that payloads are JSON.
func checkLedger(t tb, out mapping.Output) {
	t.Helper()
	sums := map[string]int{}
	for _, e := range out.Events {
		if !json.Valid(e.Payload) {
			t.Fatalf("got no JSON: %s", e.Payload)
		}
		sums[e.Device]++
	}
	for _, d := range out.Dead {
		if d.Units < 1 {
			t.Fatalf("got a dead letter of %d units", d.Units)
		}
		sums[d.Device] += d.Units
	}
	for _, c := range out.Counts {
		if got := sums[c.Device] + c.Filtered; got != c.Read {
			t.Fatalf("%q: got %d events that became something, want %d read", c.Device, got, c.Read)
		}
		delete(sums, c.Device)
	}
	if len(sums) > 0 {
		t.Fatalf("got no counts for %v", sums)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	gots, wants := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gots), len(wants)) {
		g, w := "", ""
		if i < len(gots) {
			g = gots[i]
		}
		if i < len(wants) {
			w = wants[i]
		}
		if g != w {
			t.Errorf("%s:%d\n got %s\nwant %s", file, i+1, g, w)
		}
	}
}

// TestValues holds what a text becomes under the rules of a point.
func TestValues(t *testing.T) {
	enum := []mapping.EnumValue{{Raw: "0", Value: "stopped"}, {Raw: "1", Value: "setup"}, {Raw: "9", Value: "fault"}, {Raw: "", Value: "none"}}
	var out bytes.Buffer
	for _, test := range []struct {
		about string
		point mapping.Point
		raws  []string
	}{
		{"as it comes", point("p"), []string{"20.10", " +20.10 ", "-0", "1e+06", "3.4e+38", ".5", "5.", "1043,5", "", "---", "NaN", "+Inf", "1e999999999", "12,5*", "\x1b[31m<b>\r\n", strings.Repeat("é", 200)}},
		{"decimal comma", point("p", func(p *mapping.Point) { p.Decimal = ',' }), []string{"1043,5", "1.043,5", "1043.5"}},
		{"decimal comma, thousands point", point("p", func(p *mapping.Point) { p.Decimal, p.Thousands = ',', '.' }), []string{"1.043,5", "1043,5", "1.04", "1.043", "0.043"}},
		{"absent", point("p", func(p *mapping.Point) { p.Absent = []string{"", "---", "-999"} }), []string{"", "  ", "---", " --- ", "-999", "-999.0", "-999.1", "--"}},
		{"absent, decimal comma", point("p", func(p *mapping.Point) { p.Absent, p.Decimal = []string{"-999"}, ',' }), []string{"-999,0", "-99,9"}},
		{"scale 0.1", point("p", func(p *mapping.Point) { p.Scale = "0.1" }), []string{"305", "300", "-32768", "18446744073709551615", "1e308"}},
		{"scale 2.5, offset -40", point("p", func(p *mapping.Point) { p.Scale, p.Offset = "2.5", "-40" }), []string{"16", "0.1", "1e300"}},
		{"scale 1e10", point("p", func(p *mapping.Point) { p.Scale = "1e10" }), []string{"7", "1e300"}},
		{"decimals 1", point("p", func(p *mapping.Point) { p.Decimals = 1 }), []string{"20.10", "20", "20.25", "-20.25", "20.249999", "0.04", "-0.04"}},
		{"decimals 0", point("p", func(p *mapping.Point) { p.Decimals = 0 }), []string{"0.5", "123.4"}},
		{"min -1, max 35", point("p", func(p *mapping.Point) { p.Min, p.Max = "-1", "35" }), []string{"-1", "-1.01", "35.0", "35.00001"}},
		{"max 35, decimals 0", point("p", func(p *mapping.Point) { p.Max, p.Decimals = "35", 0 }), []string{"35.4", "34.6"}},
		{"int", point("p", func(p *mapping.Point) { p.Kind = mapping.Int }), []string{"42", "-42", "42.0", "4e2", "42.5", "x", "NaN"}},
		{"bool", point("p", func(p *mapping.Point) { p.Kind = mapping.Bool }), []string{"true", "0", " 1 ", "yes", ""}},
		{"text", point("p", func(p *mapping.Point) { p.Kind = mapping.Text }), []string{"glaze", "", "a\"b\\c\n\x00\x7f", "온도", "\xff\xfe!", "NaN"}},
		{"text, absent", point("p", func(p *mapping.Point) { p.Kind, p.Absent = mapping.Text, []string{"", "-"} }), []string{"", "-", " - ", "--"}},
		{"bits", point("p", func(p *mapping.Point) {
			p.Kind, p.Names = mapping.Bits, []mapping.BitName{{Bit: 15, Name: "watchdog"}, {Bit: 0, Name: "low-oil"}, {Bit: 1, Name: "over\"heat"}}
		}), []string{"0", "3", "32769", "65535", "16", "-1", "x", "1.5"}},
		{"mask 0x70", point("p", func(p *mapping.Point) { p.Mask = 0x70 }), []string{"0", "80", "65535", "-1", "18446744073709551615", "18446744073709551616", "5.5"}},
		{"mask 0x70, absent 65535, scale 0.5", point("p", func(p *mapping.Point) { p.Mask, p.Absent, p.Scale = 0x70, []string{"65535"}, "0.5" }), []string{"80", "65535", "112"}},
		{"mask 0x07, enum of numbers", point("p", func(p *mapping.Point) {
			p.Mask, p.Scale, p.Enum = 0x07, "10", []mapping.EnumValue{{Raw: "0", Value: json.Number("100")}, {Raw: "3", Value: json.Number("0.1")}}
		}), []string{"43", "8", "1"}},
		{"bit 3", point("p", func(p *mapping.Point) { p.Bit = 3 }), []string{"8", "7", "65535", "x"}},
		{"bit 3, absent 65535", point("p", func(p *mapping.Point) { p.Bit, p.Absent = 3, []string{"65535"} }), []string{"8", "65535"}},
		{"bit 3, enum", point("p", func(p *mapping.Point) {
			p.Bit, p.Enum = 3, []mapping.EnumValue{{Raw: "true", Value: "open"}, {Raw: "0", Value: "shut"}}
		}), []string{"8", "7"}},
		{"enum", point("p", func(p *mapping.Point) { p.Enum = enum }), []string{"0", "00", "1.0", " 9", "2", "", " ", "x"}},
		{"enum of text", point("p", func(p *mapping.Point) {
			p.Kind, p.Enum = mapping.Text, []mapping.EnumValue{{Raw: "", Value: true}, {Raw: "?", Value: false}, {Raw: "i.O.", Value: "pass"}}
		}), []string{"", "?", "i.O.", "n.i.O."}},
		{"g to kg", point("p", func(p *mapping.Point) { p.ReadUnit, p.Unit = "g", "kg" }), []string{"192.21", "200"}},
		{"kn to m/s, decimals 2", point("p", func(p *mapping.Point) { p.ReadUnit, p.Unit, p.Decimals = "kn", "m/s", 2 }), []string{"3.1"}},
		{"kn to m/s", point("p", func(p *mapping.Point) { p.ReadUnit, p.Unit = "kn", "m/s" }), []string{"3.1", "9"}},
		{"°F to °C", point("p", func(p *mapping.Point) { p.ReadUnit, p.Unit = "°F", "°C" }), []string{"212", "32", "-40", "98.6", "100"}},
		{"°F to °C, scale 0.1, max 100", point("p", func(p *mapping.Point) { p.ReadUnit, p.Unit, p.Scale, p.Max = "°F", "°C", "0.1", "100" }), []string{"2120", "2121"}},
	} {
		fmt.Fprintf(&out, "# %s\n", test.about)
		m := newMapper(t, device([]mapping.Point{test.point}))
		for _, raw := range test.raws {
			got := m.Map(noon, []adapters.Reading{reading(noon, "p", raw)})
			line := show(t, got)
			switch {
			case line == "":
				line = fmt.Sprintf("absent %d", got.Counts[0].Absent)
			case len(got.Events) == 1:
				line = strings.TrimSuffix(strings.TrimPrefix(line, `type/ID-1 data {"d":{"p":`), `},"ts":"2026-05-11T12:00:00.114Z"}`)
			}
			fmt.Fprintf(&out, "%.60q -> %s\n", raw, line)
		}
	}
	golden(t, "values", out.Bytes())
}

// TestUnits holds one value of each unit in each other of its family.
func TestUnits(t *testing.T) {
	var out bytes.Buffer
	for _, family := range []string{"mg g kg t lb oz", "°C °F K", "Pa hPa kPa mbar bar psi", "m/s km/h kn mph", "W kW MW", "Wh kWh MWh", "var kvar", "varh kvarh", "VA kVA", "mV V", "mA A", "ms s min h"} {
		for _, from := range strings.Fields(family) {
			fmt.Fprintf(&out, "100.0 %s =", from)
			for _, to := range strings.Fields(family) {
				m := newMapper(t, device([]mapping.Point{point("p", func(p *mapping.Point) { p.ReadUnit, p.Unit = from, to })}))
				var payload struct{ D struct{ P json.Number } }
				if err := json.Unmarshal(m.Map(noon, []adapters.Reading{reading(noon, "p", "100.0")}).Events[0].Payload, &payload); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, " %s %s", payload.D.P, to)
			}
			fmt.Fprintln(&out)
		}
	}
	golden(t, "units", out.Bytes())
}

// TestRuleErrors holds the code, place and words of what can be wrong with rules.
func TestRuleErrors(t *testing.T) {
	base := func() mapping.Device {
		d := device([]mapping.Point{
			point("temp", func(p *mapping.Point) { p.Unit = "°C" }), point("pressure", func(p *mapping.Point) { p.Unit = "bar" }),
			point("hpa", func(p *mapping.Point) { p.Unit = "hPa" }),
			point("on", func(p *mapping.Point) { p.Kind = mapping.Bool }), point("state", func(p *mapping.Point) { p.Kind = mapping.Text }),
			point("faults", func(p *mapping.Point) {
				p.Kind, p.Names = mapping.Bits, []mapping.BitName{{Bit: 0, Name: "oil"}}
			}),
			point("mixed", func(p *mapping.Point) {
				p.Enum = []mapping.EnumValue{{Raw: "0", Value: "a"}, {Raw: "1", Value: true}}
			}),
		})
		return d
	}
	var out bytes.Buffer
	try := func(about string, edit func(*mapping.Device)) {
		d := base()
		edit(&d)
		_, err := mapping.New(mapping.Config{Devices: []mapping.Device{d}})
		fmt.Fprintf(&out, "# %s\n", about)
		if err == nil {
			fmt.Fprintln(&out, "fine")
			return
		}
		for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
			e, ok := errors.AsType[*mapping.RuleError](err)
			if !ok {
				t.Fatalf("%s: got %v, want a RuleError", about, err)
			}
			fmt.Fprintf(&out, "%s %s %d+%d: %s", e.Code, strings.Join(e.Path, "."), e.Offset, e.Length, e)
			if e.Help != "" {
				fmt.Fprintf(&out, " (%s)", e.Help)
			}
			fmt.Fprintln(&out)
		}
	}
	for _, is := range []string{
		"temp * 1.8 + 32", "-temp + round(temp, 1)", "temp - 5 > 3 || !on", "on ? 1 : 2", "state == 'run' && 'oil' in faults", "state in ['a', 'b']", "temp in [1, 2]",
		"rate(temp, '1m') * 60", "delta(temp) / ago(temp)", "min(temp, 5) + max(temp, '10s')", "hex(bits(temp, 0, 7)) + 'h'", "1 < temp && temp <= 2", "1 < temp + 1 < hpa", "not on and on or on", "temp not in [1]", "on ?: false", "temp < pressure",
		"", "temp +", "temp * * 2", "(temp", "'abc", "temp)", "temp ? 1", "tem + 1", "temperature", "sin(temp)", "absolute(temp)", "count(temp)", "filter([1], true)", "now()", "len(state)",
		"temp + pressure", "pressure - hpa", "temp + min(pressure, 1)", "temp + on", "on + on", "!temp", "-on", "on ? 1 : 'a'", "temp ? 1 : 2", "state < 'b'", "temp == state", "faults == faults",
		"temp && on", "temp in state", "temp in ['a']", "faults", "mixed == 'a'", "temp ** 2", "temp ^ 2", "temp ?? 1", "1..3", "state matches 'a.*'", "state contains 'a'", "[1, 2]", "{'a': 1}", "temp.x", "temp[0]", "nil", "let x = 1; x",
		"$env", "abs()", "abs(1, 2)", "abs(on)", "clamp(temp, 1)", "rate(temp)", "rate(temp, '1 minute')", "rate(temp, '0s')", "rate(temp, '900d')", "rate(temp + 1, '1m')", "rate(nothing, '1m')", "delta(state)", "ago(state)", "delta(temp, '1m')", "min(temp, 'x')", "if temp > 1 { 1 } else { 2 }",
		"온도 + tem", "'온도' == stat", strings.Repeat("temp + ", 300) + "temp", strings.Repeat("(", 5000), "9999999999999999999999", "temp | abs()", "temp; temp",
	} {
		try(fmt.Sprintf("is = %.80q", is), func(d *mapping.Device) { d.Computed = []mapping.Computed{computed("x", is)} })
	}
	for _, when := range []string{"on", "temp > 3", "temp", "state", "tmep > 3"} {
		try(fmt.Sprintf("when = %q", when), func(d *mapping.Device) { d.Events[0].When = when })
	}
	try("computed from computed, in any order", func(d *mapping.Device) {
		d.Computed = []mapping.Computed{computed("c", "b + 1"), computed("a", "temp"), computed("b", "a > 3 ? a : 0"), computed("rate", "rate(b, '1m')")}
	})
	try("computed from itself", func(d *mapping.Device) {
		d.Computed = []mapping.Computed{computed("a", "b + temp"), computed("b", "delta(c)"), computed("c", "a"), computed("z", "a + 1"), computed("self", "self")}
	})
	try("computed from what is wrong", func(d *mapping.Device) {
		d.Computed = []mapping.Computed{computed("a", "temp +"), computed("b", "a + pressure"), computed("c", "temp + b")}
		d.Events[0].When = "c > 1"
	})
	try("decimals of a text", func(d *mapping.Device) {
		d.Computed = []mapping.Computed{{Name: "x", Is: "state", Decimals: 1}}
	})
	try("a computed unit that does not fit", func(d *mapping.Device) {
		d.Computed = []mapping.Computed{{Name: "x", Is: "temp * 2", Unit: "bar", Decimals: -1}, computed("y", "x + temp")}
	})
	for _, c := range []struct {
		about string
		edit  func(*mapping.Point)
	}{
		{"scale", func(p *mapping.Point) { p.Scale = "0,1" }},
		{"min above max", func(p *mapping.Point) { p.Min, p.Max = "2", "1" }},
		{"units of two families", func(p *mapping.Point) { p.ReadUnit = "bar" }},
		{"an unknown read unit", func(p *mapping.Point) { p.ReadUnit = "°Re" }},
		{"a unit that nothing converts into", func(p *mapping.Point) { p.ReadUnit, p.Unit = "kg", "°" }},
		{"a unit from the reading, and none to convert into", func(p *mapping.Point) { p.UnitFrom, p.Unit = "row.U", "" }},
		{"a unit from the reading that converts into itself only", func(p *mapping.Point) { p.UnitFrom, p.Unit = "row.U", "%" }},
		{"mask and bit", func(p *mapping.Point) { p.Mask, p.Bit = 1, 1 }},
		{"bit 64", func(p *mapping.Point) { p.Bit = 64 }},
		{"mask of a text", func(p *mapping.Point) { p.Mask, p.Kind = 1, mapping.Text }},
		{"bits with one bit twice, and one too high", func(p *mapping.Point) {
			p.Kind, p.Names = mapping.Bits, []mapping.BitName{{Bit: 1, Name: "a"}, {Bit: 1, Name: "b"}, {Bit: 64, Name: "c"}}
		}},
		{"thousands as decimal", func(p *mapping.Point) { p.Thousands = '.' }},
		{"an enum of numbers that are none", func(p *mapping.Point) {
			p.Enum = []mapping.EnumValue{{Raw: "1", Value: json.Number("x")}, {Raw: "2", Value: 2}}
		}},
		{"a reserved name", func(p *mapping.Point) { p.Name = "ts" }},
		{"a bad name", func(p *mapping.Point) { p.Name = "F0" }},
		{"the same name", func(p *mapping.Point) { p.Name = "pressure" }},
	} {
		try(c.about, func(d *mapping.Device) {
			d.Events = []mapping.EventRule{event("data", "pressure")}
			c.edit(&d.Points[0])
		})
	}
	for _, c := range []struct {
		about string
		edit  func(*mapping.EventRule)
	}{
		{"a point that is not there", func(e *mapping.EventRule) { e.Points = []string{"presure", "tmp"} }},
		{"no points", func(e *mapping.EventRule) { e.Points = nil }},
		{"align without every", func(e *mapping.EventRule) { e.Align = true }},
		{"a change of a point that is not there", func(e *mapping.EventRule) { e.OnChange = []mapping.Change{{Point: "x", Any: true}} }},
		{"a change of a text by so much", func(e *mapping.EventRule) { e.OnChange = []mapping.Change{{Point: "state", By: "1"}} }},
		{"a change by nothing", func(e *mapping.EventRule) {
			e.OnChange = []mapping.Change{{Point: "temp", By: "0"}, {Point: "temp", Percent: "-1"}, {Point: "temp"}, {Point: "temp", By: "1", Percent: "1"}}
		}},
	} {
		try(c.about, func(d *mapping.Device) { c.edit(&d.Events[0]) })
	}
	for _, id := range []string{"LAB-1", "LAB 1", "", "LAB-{row.Linie}", "{row.}", "{Linie}", "{row.x", strings.Repeat("x", 37)} {
		try("id = "+id, func(d *mapping.Device) { d.ID, d.IDs = id, []string{"LAB-1", "LAB/2"} })
	}
	try("id from a row without ids", func(d *mapping.Device) { d.ID = "{row.x}" })
	golden(t, "rules", out.Bytes())
}

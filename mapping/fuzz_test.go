package mapping_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"legacybridge/adapters"
	"legacybridge/mapping"
)

// everything has a point of each kind, an id from a column, a unit from another, memories, and each trigger.
func everything() mapping.Config {
	d := device([]mapping.Point{
		point("num", func(p *mapping.Point) {
			p.Scale, p.Offset, p.UnitFrom, p.Unit, p.Decimals = "0.1", "-3.5", "row.unit", "°C", 2
		}),
		point("big", func(p *mapping.Point) { p.Decimal, p.Thousands, p.Min, p.Counter = ',', '.', "-1e30", true }),
		point("whole", func(p *mapping.Point) { p.Kind = mapping.Int }),
		point("flag", func(p *mapping.Point) { p.Kind, p.Absent = mapping.Bool, []string{"", "-"} }),
		point("word", func(p *mapping.Point) { p.Kind, p.Absent = mapping.Text, []string{"-", "0"} }),
		point("faults", func(p *mapping.Point) {
			p.Kind, p.Names = mapping.Bits, []mapping.BitName{{Bit: 0, Name: "a\"\x01"}, {Bit: 63, Name: "z"}}
		}),
		point("state", func(p *mapping.Point) {
			p.Mask, p.Enum = 0xF0, []mapping.EnumValue{{Raw: "1", Value: "on\n"}, {Raw: "2", Value: json.Number("2.50")}}
		}),
	}, event("all", "num", "big", "whole", "flag", "word", "faults", "state", "mean", "label"), event("changes", "num", "word"), event("flat", "word", "mean"))
	d.ID, d.IDs = "ID-{row.n}", []string{"ID-1", "ID-2", "ID-"}
	d.Computed = []mapping.Computed{
		{Name: "mean", Is: "avg(big, '1m') / (whole - 1) + rate(big, '10s')", Decimals: 3, Max: "1e20"},
		computed("label", "flag ? word + hex(whole) : 'a' in faults ? 'x' : word"),
	}
	d.Events[1].OnChange = []mapping.Change{{Point: "num", Percent: "10"}, {Point: "word", Any: true}, {Point: "faults", Any: true}, {Point: "big", By: "0.1"}}
	d.Events[1].AtLeast, d.Events[1].When = time.Minute, "whole > 0 && word != 'stop' && ago(num) < 100"
	d.Events[2].Every, d.Events[2].Align, d.Events[2].Flat, d.Events[2].RowTime, d.Polled = time.Minute, true, true, true, 7*time.Second
	return mapping.Config{Devices: []mapping.Device{d}, ClockFloor: noon.Add(-time.Hour)}
}

// checkPayload holds a payload against encoding/json: the shape, and each text as it was read.
func checkPayload(t tb, e *mapping.Event, values map[string]string) {
	t.Helper()
	var members map[string]any
	in := json.NewDecoder(strings.NewReader(string(e.Payload)))
	in.UseNumber()
	if err := in.Decode(&members); err != nil || !utf8.Valid(e.Payload) {
		t.Fatalf("got no JSON: %q: %v", e.Payload, err)
	}
	points := members
	if e.Name != "flat" {
		points = members["d"].(map[string]any)
	}
	_, stamped := members["ts"]
	if clock, unset := members["clock"]; stamped == unset || unset && clock != "unset" {
		t.Fatalf("got neither ts nor clock, or both: %s", e.Payload)
	}
	if stamped {
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", members["ts"].(string)); err != nil {
			t.Fatalf("got the ts %s: %v", members["ts"], err)
		}
	}
	for name, v := range points {
		if n, ok := v.(json.Number); ok {
			if f, err := strconv.ParseFloat(n.String(), 64); err != nil || math.IsInf(f, 0) {
				t.Fatalf("got the number %s: %v", n, err)
			}
		}
		if name == "word" && v != strings.ToValidUTF8(invalidOneByOne(values["word"]), "\uFFFD") {
			t.Fatalf("got the text %q, want %q", v, values["word"])
		}
	}
}

// invalidOneByOne makes each byte that is no UTF-8 a replacement character, as encoding/json does; ToValidUTF8 joins them.
func invalidOneByOne(s string) string {
	var out strings.Builder
	for _, r := range s {
		out.WriteRune(r)
	}
	return out.String()
}

func FuzzMapping(f *testing.F) {
	f.Add("212", "1.043,5", "42", "true", "run", "1", "16", "°F", "1", int64(0), "")
	f.Add("NaN", "1e999999999", "-0", "-", "\xff\x00\"\\\n\u2028", "-1", "32", "K", "3", int64(math.MaxInt64), "FRM002")
	f.Add("", "", "", "", "", "", "", "", "", int64(-1), "")
	f.Add("5e-324", "999.999.999.999.999.999.999", "18446744073709551615", "0", "<&>", "9223372036854775808", "0x20", "°C", "2", int64(1)<<40, "")
	m, err := mapping.New(everything())
	if err != nil {
		f.Fatal(err)
	}
	names := []string{"num", "big", "whole", "flag", "word", "faults", "state", "row.unit", "row.n"}
	f.Fuzz(func(t *testing.T, num, big, whole, flag, word, faults, state, unit, n string, at int64, code string) {
		values := []string{num, big, whole, flag, word, faults, state, unit, n}
		r := adapters.Reading{Device: "dev", Time: time.UnixMilli(at), Names: names, Values: values, Origin: word, Raw: []byte(num)}
		without := r
		without.Names, without.Values, without.Raw = names[1:], values[1:], nil
		fault := adapters.Reading{Device: big, Origin: num, Fault: &adapters.Fault{Code: code, Why: word}}
		out := m.Map(noon, []adapters.Reading{r, without, fault, {Device: word, Names: names, Values: values[:len(word)%9]}})
		checkLedger(t, out)
		byName := map[string]string{"word": word}
		for i := range out.Events {
			checkPayload(t, &out.Events[i], byName)
		}
		for _, letter := range out.Dead {
			if len(letter.Why) > 5000 {
				t.Fatalf("got %d bytes of reason", len(letter.Why))
			}
			if letter.Form != mapping.RawValues {
				continue
			}
			if _, _, err := mapping.ParseValues(letter.Raw); err != nil {
				t.Fatalf("got values that do not read back: %q: %v", letter.Raw, err)
			}
		}
	})
}

// TestNothingGetsLost draws batches of readings, good, bad and foreign, and holds the ledger.
func TestNothingGetsLost(t *testing.T) {
	texts := rapid.OneOf(rapid.SampledFrom([]string{"", "-", "0", "1", "2", "17", "20.10", "1.043,5", "x", "NaN", "true", "-1", "1e400", "stop", "°F", "K"}), rapid.String())
	all := []string{"num", "big", "whole", "flag", "word", "faults", "state", "row.unit", "row.n"}
	rapid.Check(t, func(t *rapid.T) {
		m, err := mapping.New(everything())
		if err != nil {
			t.Fatal(err)
		}
		at := noon
		read := 0
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			var batch []adapters.Reading
			want := 0
			for range rapid.IntRange(0, 8).Draw(t, "readings") {
				at = at.Add(time.Duration(rapid.Int64Range(-30, 60).Draw(t, "gap")) * time.Second)
				r := adapters.Reading{Device: "dev", Time: at}
				switch rapid.IntRange(0, 9).Draw(t, "what") {
				case 0:
					r.Fault = &adapters.Fault{Code: "CSV001"}
				case 1:
					r.Device = rapid.SampledFrom([]string{"", "other"}).Draw(t, "device")
				default:
					r.Names = rapid.SliceOfDistinct(rapid.SampledFrom(all), rapid.ID[string]).Draw(t, "names")
					for range r.Names {
						r.Values = append(r.Values, texts.Draw(t, "text"))
					}
				}
				if r.Device == "dev" {
					want += 3
				} else {
					want++
				}
				batch = append(batch, r)
			}
			out := m.Map(noon, batch)
			checkLedger(t, out)
			read = 0
			for _, c := range out.Counts {
				read += c.Read
			}
			if read != want {
				t.Fatalf("got %d read, want %d", read, want)
			}
		}
	})
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{"a + b * 2", "on ? a : -b", "rate(a, '1m') > 3 && state in ['x', \"y\"]", "'oil' in faults", "min(a, '1m') % max(b, 0x1F)", "a ?? b", "{", "[1][0]", "let x = 1; x", "a | abs()", "`x`", "/* */ a", "1 < a < b < 3", "b'x'", "#", "$env.a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, is string) {
		m, err := mapping.New(mapping.Config{Devices: []mapping.Device{computing(is, false)}})
		if err != nil {
			return
		}
		for range 2 {
			checkLedger(t, m.Map(noon, []adapters.Reading{reading(noon, "a", "10", "b", "2.5", "on", "1", "state", "run", "faults", "16")}))
		}
	})
}

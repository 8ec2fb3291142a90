package mapping_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"legacybridge/adapters"
	"legacybridge/mapping"
)

func twoEvents() mapping.Device {
	d := device([]mapping.Point{point("p", func(p *mapping.Point) { p.Absent = []string{""} }), point("q")}, event("e", "p"), event("f", "p"))
	d.Events[0].When = "p > 0"
	d.Events[1].OnChange = []mapping.Change{{Point: "p", By: "5"}}
	return d
}

func TestDeadLetters(t *testing.T) {
	row := func(r adapters.Reading) adapters.Reading {
		r.Raw, r.Head, r.Origin = []byte("1;x"), []byte("p;q"), "kiln.csv:1042"
		return r
	}
	old := time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		given adapters.Reading
		want  mapping.Dead
	}{
		{"a row", row(reading(old, "p", "x", "q", "1")),
			mapping.Dead{Device: "dev", Code: "MAP011", Why: `p is "x", not a number`, Origin: "kiln.csv:1042", Raw: []byte("1;x"), Head: []byte("p;q"), Units: 2}},
		{"a poll", reading(old, "p", "x", "q", "\"\xff"),
			mapping.Dead{Device: "dev", Code: "MAP011", Why: `p is "x", not a number`, Origin: "test:1", Raw: []byte("{\"p\":\"x\",\"q\":\"\\\"\uFFFD\"}"), Form: mapping.RawValues, Units: 2}},
		{"a fault", row(adapters.Reading{Device: "dev", Fault: &adapters.Fault{Code: "CSV004", Why: "another header"}}),
			mapping.Dead{Device: "dev", Code: "CSV004", Why: "another header", Origin: "kiln.csv:1042", Raw: []byte("1;x"), Head: []byte("p;q"), Units: 2}},
		{"a fault of no device", row(adapters.Reading{Fault: &adapters.Fault{Code: "FRM004", Why: "no line matches"}}),
			mapping.Dead{Code: "FRM004", Why: "no line matches", Origin: "kiln.csv:1042", Raw: []byte("1;x"), Head: []byte("p;q"), Units: 1}},
		{"a fault with nothing to show", adapters.Reading{Device: "dev", Fault: &adapters.Fault{Code: "FRM002", Why: "checksum"}},
			mapping.Dead{Device: "dev", Code: "FRM002", Why: "checksum", Units: 2}},
		{"another link's device", row(adapters.Reading{Device: "other", Names: []string{"p"}, Values: []string{"1"}}),
			mapping.Dead{Device: "other", Code: "MAP017", Why: `the record is for the device "other", which this link does not have`, Origin: "kiln.csv:1042", Raw: []byte("1;x"), Head: []byte("p;q"), Units: 1}},
		{"a name too many", row(adapters.Reading{Device: "dev", Names: []string{"p", "q"}, Values: []string{"1"}}),
			mapping.Dead{Device: "dev", Code: "MAP017", Why: "the record has more or fewer values than names, so none can be told", Origin: "kiln.csv:1042", Raw: []byte("1;x"), Head: []byte("p;q"), Units: 2}},
		{"a value too many", row(adapters.Reading{Device: "dev", Names: []string{"p"}, Values: []string{"1", "2"}}),
			mapping.Dead{Device: "dev", Code: "MAP017", Why: "the record has more or fewer values than names, so none can be told", Origin: "kiln.csv:1042", Raw: []byte("1;x"), Head: []byte("p;q"), Units: 2}},
		{"the year 10000", row(reading(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "p", "1")),
			mapping.Dead{Device: "dev", Code: "MAP018", Why: "the record's time is not in the years 0 to 9999, so no timestamp can say it", Origin: "kiln.csv:1042", Raw: []byte("1;x"), Head: []byte("p;q"), Units: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := newMapper(t, twoEvents()).Map(noon, []adapters.Reading{test.given})
			checkLedger(t, out)
			if len(out.Dead) != 1 || len(out.Events) != 0 {
				t.Fatalf("got %d dead letters and %d events, want 1 and 0", len(out.Dead), len(out.Events))
			}
			got := out.Dead[0]
			if !got.Time.Equal(noon) {
				t.Errorf("got the time %v, want the arrival", got.Time)
			}
			if got.Device != test.want.Device || got.Code != test.want.Code || got.Why != test.want.Why || got.Origin != test.want.Origin || got.Event != "" || got.Of != nil || got.Link != "" ||
				!bytes.Equal(got.Raw, test.want.Raw) || !bytes.Equal(got.Head, test.want.Head) || got.Form != test.want.Form || got.Units != test.want.Units {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// TestOnlyWhatIsAskedForMustBeRight: q is in no event, so what it holds kills nothing.
func TestOnlyWhatIsAskedForMustBeRight(t *testing.T) {
	out := newMapper(t, twoEvents()).Map(noon, []adapters.Reading{reading(noon, "p", "1", "q", "x")})
	if checkLedger(t, out); len(out.Events) != 2 {
		t.Errorf("got %d events, want 2: %v", len(out.Events), out.Dead)
	}
}

// TestAbsentCountsWhatEventsLeaveOut: a point that is only asked for by a condition is not left out of anything.
func TestAbsentCountsWhatEventsLeaveOut(t *testing.T) {
	d := twoEvents()
	d.Events[0].When = "q > 0"
	out := newMapper(t, d).Map(noon, []adapters.Reading{reading(noon, "p", "1"), reading(noon, "q", "1")})
	checkLedger(t, out)
	if want := (mapping.Count{Device: "dev", Read: 4, Filtered: 3, Absent: 1}); out.Counts[0] != want {
		t.Errorf("got %+v, want %+v", out.Counts[0], want)
	}
}

func TestTheLedger(t *testing.T) {
	m := newMapper(t, twoEvents(), func() mapping.Device { d := device([]mapping.Point{point("p")}); d.Name = "dev-2"; return d }())
	other := reading(noon, "p", "1")
	other.Device = "dev-2"
	out := m.Map(noon, []adapters.Reading{
		reading(noon, "p", "1"), reading(noon, "p", "2"), reading(noon, "p", "-9"), reading(noon, "p", ""), reading(noon, "p", "x"), other,
		{Fault: &adapters.Fault{Code: "FRM004"}}, {Device: "dev", Fault: &adapters.Fault{Code: "FRM002"}}, {Fault: &adapters.Fault{Code: "FRM004"}},
	})
	checkLedger(t, out)
	want := []mapping.Count{{Device: "dev", Read: 12, Filtered: 4, Absent: 1}, {Device: "dev-2", Read: 1}, {Device: "", Read: 2}}
	if !slices.Equal(out.Counts, want) {
		t.Errorf("got %+v, want %+v", out.Counts, want)
	}
}

// TestNothingIsShared: a source may use the memory of its readings again.
func TestNothingIsShared(t *testing.T) {
	var bytesOf [][]byte
	volatile := func(s string) string {
		b := []byte(s)
		bytesOf = append(bytesOf, b)
		return unsafe.String(unsafe.SliceData(b), len(b))
	}
	d := device([]mapping.Point{point("p"), point("s", func(p *mapping.Point) { p.Kind = mapping.Text })})
	d.ID, d.IDs = "L-{row.n}", []string{"L-1"}
	d.Events[0].OnChange = []mapping.Change{{Point: "s", Any: true}}
	m := newMapper(t, d)
	batch := func(p, s string) []adapters.Reading {
		return []adapters.Reading{{
			Device: volatile("dev"), Origin: volatile("kiln.csv:1"), Raw: []byte("raw"), Head: []byte("head"),
			Names: []string{volatile("p"), volatile("s"), volatile("row.n")}, Values: []string{volatile(p), volatile(s), volatile("1")},
		}}
	}
	readings := slices.Concat(batch("1", "run"), batch("x", "run"), []adapters.Reading{{Device: volatile("?"), Fault: &adapters.Fault{Code: volatile("FRM001"), Why: volatile("why")}}})
	out := m.Map(noon, readings)
	before := show(t, out) + out.Dead[0].Origin + string(out.Dead[0].Raw) + string(out.Dead[0].Head) + out.Dead[1].Device + out.Counts[1].Device
	for _, b := range bytesOf {
		for i := range b {
			b[i] = '#'
		}
	}
	for i := range readings {
		for j := range readings[i].Raw {
			readings[i].Raw[j] = '#'
		}
		for j := range readings[i].Head {
			readings[i].Head[j] = '#'
		}
	}
	if after := show(t, out) + out.Dead[0].Origin + string(out.Dead[0].Raw) + string(out.Dead[0].Head) + out.Dead[1].Device + out.Counts[1].Device; after != before {
		t.Errorf("got  %s\nwant %s", after, before)
	}
	swapped := batch("1", "2")
	copy(bytesOf[2], "s") // of the first batch, which the mapper knows as p, s, row.n
	copy(bytesOf[3], "p")
	copy(bytesOf[4], "row.n")
	swapped[0].Names[0], swapped[0].Names[1] = swapped[0].Names[1], swapped[0].Names[0]
	if got := show(t, m.Map(noon, swapped)); !strings.Contains(got, `{"p":2,"s":"1"}`) {
		t.Errorf("got %s, want p and s in their places", got)
	}
	m.Map(noon, batch("2", "run"))
	if got := show(t, m.Map(noon, batch("2", "run"))); got != "" {
		t.Errorf("got %s, want nothing: the text has not changed", got)
	}
	if got := show(t, m.Map(noon, batch("2", "stop"))); !strings.Contains(got, "stop") {
		t.Errorf("got %q, want an event", got)
	}
}

func TestReplay(t *testing.T) {
	d := twoEvents()
	d.Polled, d.Events[1].Every, d.Events[1].Align = time.Second, time.Hour, true
	at := noon.Add(7 * time.Minute)
	for _, test := range []struct{ event, p, want string }{
		{"", "9", "e f"}, {"e", "9", "e"}, {"f", "9", "f"}, {"e", "0", ""}, {"f", "0", "f"}, {"", "0", "f"}, {"f", "", ""}, {"gone", "1", "MAP017"}, {"f", "x", "MAP011"},
	} {
		m := newMapper(t, d)
		for range 2 { // neither every nor on_change holds the second one back
			out := m.Replay(at, reading(at, "p", test.p), test.event)
			checkLedger(t, out)
			var got []string
			for _, e := range out.Events {
				got = append(got, e.Name)
			}
			for _, letter := range out.Dead {
				got = append(got, letter.Code)
				if letter.Event != test.event || letter.Units != 1 {
					t.Errorf("%+v: got a letter for %q of %d units, want %q of 1", test, letter.Event, letter.Units, test.event)
				}
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("%+v: got %s", test, got)
			}
			want := 1
			if test.event == "" {
				want = 2
			}
			if out.Counts[0].Read != want {
				t.Errorf("%+v: got %d read, want %d", test, out.Counts[0].Read, want)
			}
		}
	}
}

func TestParseValues(t *testing.T) {
	names, values, err := mapping.ParseValues([]byte(` {"p":"20.10","row.Unit":"k\"g","":"\u0000온"} `))
	if err != nil || !slices.Equal(names, []string{"p", "row.Unit", ""}) || !slices.Equal(values, []string{"20.10", "k\"g", "\x00온"}) {
		t.Errorf("got %q %q %v", names, values, err)
	}
	if names, values, err := mapping.ParseValues([]byte("{}")); err != nil || len(names)+len(values) > 0 {
		t.Errorf("of {}: got %q %q %v", names, values, err)
	}
	for _, raw := range []string{"", "null", "[]", `"a"`, "1", `{"p"}`, `{"p":1}`, `{"p":null}`, `{"p":{}}`, `{"p":["a"]}`, `{"p":"a"`, `{"p":"a",}`, `{"p":"a"} x`, `{"p":"a"}{}`, "\xff"} {
		if names, values, err := mapping.ParseValues([]byte(raw)); err == nil {
			t.Errorf("of %s: got %q %q, want an error", raw, names, values)
		}
	}
}

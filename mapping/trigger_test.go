package mapping_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"legacybridge/adapters"
	"legacybridge/mapping"
)

// sent gives the offsets of the readings that became an event, in seconds.
func sent(t tb, m *mapping.Mapper, start time.Time, readings ...adapters.Reading) string {
	t.Helper()
	var got []string
	for _, r := range readings {
		out := m.Map(r.Time, []adapters.Reading{r})
		checkLedger(t, out)
		if len(out.Events) > 0 {
			got = append(got, strings.TrimSuffix(fmt.Sprintf("%.1f", r.Time.Sub(start).Seconds()), ".0"))
		}
	}
	return strings.Join(got, " ")
}

func polled(every, poll time.Duration, align bool) mapping.Device {
	d := device([]mapping.Point{point("p")})
	d.Polled, d.Events[0].Every, d.Events[0].Align = poll, every, align
	return d
}

// TestEveryTakesEverySecondPoll: polls each 5 s that come up to a fifth early or late, and every = 10s.
func TestEveryTakesEverySecondPoll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMapper(t, polled(10*time.Second, 5*time.Second, false))
		drift := rapid.Float64Range(-0.001, 0.001).Draw(t, "drift") // of the machine's clock against the polls'
		for i := range 200 {
			nominal := time.Duration(float64(i) * (1 + drift) * float64(5*time.Second))
			jitter := time.Duration(rapid.IntRange(-1000, 1000).Draw(t, "jitter")) * time.Millisecond
			out := m.Map(noon, []adapters.Reading{reading(noon.Add(nominal+jitter), "p", "1")})
			if got, want := len(out.Events), 1-i%2; got != want {
				t.Fatalf("poll %d: got %d events, want %d", i, got, want)
			}
		}
	})
}

func TestEveryKeepsItsRateWherePollsDoNotDivideIt(t *testing.T) {
	m := newMapper(t, polled(10*time.Second, 3*time.Second, false))
	n := 0
	for i := range 1001 {
		n += len(m.Map(noon, []adapters.Reading{reading(noon.Add(time.Duration(i)*3*time.Second), "p", "1")}).Events)
	}
	if n != 301 {
		t.Errorf("got %d events in 3000 s, want 301", n)
	}
}

func TestEvery(t *testing.T) {
	at := func(seconds ...float64) []adapters.Reading {
		var r []adapters.Reading
		for _, s := range seconds {
			r = append(r, reading(noon.Add(time.Duration(s*float64(time.Second))), "p", "1"))
		}
		return r
	}
	for _, test := range []struct {
		name        string
		every, poll time.Duration
		at          []adapters.Reading
		want        string
	}{
		{"each poll", 5 * time.Second, 5 * time.Second, at(0, 5, 6, 10), "0 5 6 10"},
		{"after a silence the grid goes on", 10 * time.Second, 5 * time.Second, at(0, 5, 33, 35, 40, 45, 50), "0 33 40 50"},
		{"a clock that went back", 10 * time.Second, 5 * time.Second, at(0, 5, 10, -3600, -3595, -3590, -3585, -3580), "0 10 -3600 -3590 -3580"},
		{"an early one, twice", 10 * time.Second, 5 * time.Second, at(0, 8, 8, 8.1, 13, 18), "0 8 18"},
	} {
		if got := sent(t, newMapper(t, polled(test.every, test.poll, false)), noon, test.at...); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestAlignIsLocalTime(t *testing.T) {
	zone := func(name string) *time.Location {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	for _, test := range []struct {
		name        string
		zone        string
		from        string
		every, poll time.Duration
		hours       float64
		late        time.Duration
		want        string
	}{
		{"quarters", "UTC", "2026-05-11T08:07:00Z", 15 * time.Minute, 5 * time.Second, 1, 0, "08:15 08:30 08:45 09:00"},
		{"started just in time", "UTC", "2026-05-11T08:00:01Z", 15 * time.Minute, 5 * time.Second, 0.5, 0, "08:00 08:15 08:30"},
		{"polls on the quarter, a little late", "UTC", "2026-05-11T08:00:00Z", 15 * time.Minute, 15 * time.Minute, 1, 200 * time.Millisecond, "08:00 08:15 08:30 08:45 09:00"},
		{"polls on the quarter, a little early", "UTC", "2026-05-11T08:00:00Z", 15 * time.Minute, 15 * time.Minute, 0.5, -200 * time.Millisecond, "07:59 08:14 08:29"},
		{"half an hour east", "Asia/Kolkata", "2026-05-11T08:07:00Z", time.Hour, time.Minute, 2, 0, "14:00 15:00"},
		{"the hour that comes twice", "Europe/Berlin", "2026-10-25T00:30:00+02:00", time.Hour, time.Minute, 4, 0, "01:00 02:00 02:00 03:00"},
		{"six hours over the change in autumn", "Europe/Berlin", "2026-10-24T23:00:00+02:00", 6 * time.Hour, time.Minute, 21, 0, "00:00 06:00 12:00 18:00"},
		{"the hour that is jumped over", "Europe/Berlin", "2026-03-29T00:30:00+01:00", time.Hour, time.Minute, 3.1, 0, "01:00 03:00 04:00"},
		{"two hours over the jump", "Europe/Berlin", "2026-03-28T23:30:00+01:00", 2 * time.Hour, time.Minute, 5, 0, "00:00 03:00 04:00"},
		{"a day whose midnight is jumped over", "America/Santiago", "2026-09-05T12:00:00-04:00", 24 * time.Hour, time.Minute, 40, 0, "01:00 00:00"},
	} {
		z := zone(test.zone)
		m, err := mapping.New(mapping.Config{Devices: []mapping.Device{polled(test.every, test.poll, true)}, Zone: z})
		if err != nil {
			t.Fatal(err)
		}
		from, err := time.Parse(time.RFC3339, test.from)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for span := time.Duration(0); span.Hours() <= test.hours; span += test.poll {
			at := from.Add(span + test.late)
			if len(m.Map(at, []adapters.Reading{reading(at, "p", "1")}).Events) > 0 {
				got = append(got, at.In(z).Format("15:04"))
			}
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestOnChange(t *testing.T) {
	text := func(p *mapping.Point) { p.Kind, p.Absent = mapping.Text, []string{"-"} }
	rounded := func(p *mapping.Point) { p.Decimals, p.Absent = 1, []string{"-"} }
	bits := func(p *mapping.Point) {
		p.Kind, p.Names, p.Absent = mapping.Bits, []mapping.BitName{{Bit: 0, Name: "a"}, {Bit: 1, Name: "b"}}, []string{"-"}
	}
	comes := func(p *mapping.Point) { p.Absent = []string{"-"} }
	for _, test := range []struct {
		name   string
		kind   func(*mapping.Point)
		change mapping.Change
		raws   string
		want   string
	}{
		{"by, against the last sent", comes, mapping.Change{By: "0.02"}, "1.00 1.01 1.019 1.02 1.03 1.04 1.00", "0 3 5 6"},
		{"by, exact", comes, mapping.Change{By: "0.1"}, "0.3 0.2 0.30 0.21", "0 1 2"},
		{"by, what is sent and not what is read", rounded, mapping.Change{By: "0.1"}, "1.04 1.049 1.06 1.14 1.16", "0 2 4"},
		{"by, absent has not moved", comes, mapping.Change{By: "5"}, "1 - 2 - 6", "0 4"},
		{"by, absent at first", comes, mapping.Change{By: "5"}, "- 1 2 6", "0 1 3"},
		{"percent", comes, mapping.Change{Percent: "2"}, "100 101.9 102 104 104.04 0 0 0.1 -0.1", "0 2 4 5 7 8"},
		{"percent, negative", comes, mapping.Change{Percent: "10"}, "-100 -109 -110 -100", "0 2"},
		{"any number", comes, mapping.Change{Any: true}, "20.1 20.10 20.11 20.11 - - 20.11", "0 2 4 6"},
		{"any number, what is sent", rounded, mapping.Change{Any: true}, "20.11 20.12 20.2", "0 2"},
		{"any text", text, mapping.Change{Any: true}, "run run stop - - stop", "0 2 3 5"},
		{"any bit that has a name", bits, mapping.Change{Any: true}, "0 4 1 3 7 -", "0 2 3 5"},
	} {
		d := device([]mapping.Point{point("p", test.kind), point("q")})
		test.change.Point = "p"
		d.Events[0].OnChange = []mapping.Change{test.change}
		m := newMapper(t, d)
		var readings []adapters.Reading
		for i, raw := range strings.Fields(test.raws) {
			readings = append(readings, reading(noon.Add(time.Duration(i)*time.Second), "p", raw, "q", "1"))
		}
		if got := sent(t, m, noon, readings...); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// TestADistanceIsKeptWhileThePointIsAbsent: what another point sends without it does not make it new.
func TestADistanceIsKeptWhileThePointIsAbsent(t *testing.T) {
	d := device([]mapping.Point{point("p", func(p *mapping.Point) { p.Absent = []string{""} }), point("q")})
	d.Events[0].OnChange = []mapping.Change{{Point: "p", By: "5"}, {Point: "q", Any: true}}
	m := newMapper(t, d)
	var readings []adapters.Reading
	for i, r := range [][2]string{{"1", "0"}, {"", "1"}, {"2", "1"}, {"6", "1"}} {
		readings = append(readings, reading(noon.Add(time.Duration(i)*time.Second), "p", r[0], "q", r[1]))
	}
	if got, want := sent(t, m, noon, readings...), "0 1 3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAlignFollowsAClockThatWentBack(t *testing.T) {
	m := newMapper(t, polled(15*time.Minute, time.Minute, true))
	start := noon.Truncate(time.Hour)
	var readings []adapters.Reading
	for _, minute := range []int{0, 1, 15, 14, 15, 16, 30, -600, -599, -586, -585} {
		readings = append(readings, reading(start.Add(time.Duration(minute)*time.Minute), "p", "1"))
	}
	if got, want := sent(t, m, start, readings...), "0 900 1800 -36000 -35100"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTriggersCombine(t *testing.T) {
	d := device([]mapping.Point{point("p"), point("on", func(p *mapping.Point) { p.Kind = mapping.Bool })})
	d.Events[0].OnChange = []mapping.Change{{Point: "p", By: "5"}}
	d.Events[0].AtLeast = 60 * time.Second
	d.Events[0].When = "on"
	m := newMapper(t, d)
	var readings []adapters.Reading
	for _, r := range []struct {
		at    int
		p, on string
	}{
		{0, "1", "0"},    // the first, but when is false
		{10, "1", "1"},   // the first
		{20, "2", "1"},   // too little
		{30, "9", "0"},   // when is false
		{40, "9", "1"},   // moved
		{99, "9", "1"},   // 59 s
		{100, "9", "1"},  // 60 s
		{160, "9", "0"},  // a heartbeat needs when too
		{161, "9", "1"},  // it comes as soon as it may
		{-900, "9", "1"}, // the clock went back: a heartbeat rather than a silence of 18 minutes
		{-899, "9", "1"},
	} {
		readings = append(readings, reading(noon.Add(time.Duration(r.at)*time.Second), "p", r.p, "on", r.on))
	}
	if got, want := sent(t, m, noon, readings...), "10 40 100 161 -900"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhenIsFalseWhereSomethingIsAbsent(t *testing.T) {
	d := device([]mapping.Point{point("p"), point("q", func(p *mapping.Point) { p.Absent = []string{""} })}, event("e", "p"), event("f", "p"))
	d.Events[0].When, d.Events[1].When = "q > 0 || p > 0", "10 / q > 1"
	m := newMapper(t, d)
	for _, test := range []struct{ p, q, want string }{{"1", "", ""}, {"1", "0", "e"}, {"1", "2", "e f"}, {"0", "0", ""}, {"-1", "-1", ""}} {
		var got []string
		for _, e := range m.Map(noon, []adapters.Reading{reading(noon, "p", test.p, "q", test.q)}).Events {
			got = append(got, e.Name)
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("p=%s q=%s: got %q, want %q", test.p, test.q, got, test.want)
		}
	}
}

// TestEachIDHasItsOwnMemory: what one line sent says nothing about another.
func TestEachIDHasItsOwnMemory(t *testing.T) {
	d := device([]mapping.Point{point("p")}, event("e", "p", "moved"))
	d.ID, d.IDs = "L-{row.n}", []string{"L-1", "L-2"}
	d.Computed = []mapping.Computed{computed("moved", "delta(p)")}
	d.Events[0].OnChange = []mapping.Change{{Point: "p", By: "5"}}
	m := newMapper(t, d)
	var got []string
	for _, r := range [][2]string{{"1", "10"}, {"2", "100"}, {"1", "11"}, {"2", "104"}, {"1", "15"}, {"3", "0"}, {"2", "105"}} {
		got = append(got, show(t, m.Map(noon, []adapters.Reading{reading(noon, "row.n", r[0], "p", r[1])})))
	}
	const ts = `},"ts":"2026-05-11T12:00:00.114Z"}`
	want := []string{`type/L-1 e {"d":{"p":10` + ts, `type/L-2 e {"d":{"p":100` + ts, "", "", `type/L-1 e {"d":{"p":15,"moved":4` + ts,
		`dead MAP016: the record is for the id "L-3", which is not in ids`, `type/L-2 e {"d":{"p":105,"moved":1` + ts}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: got %s\nwant %s", i, got[i], want[i])
		}
	}
}

package mapping_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"legacybridge/adapters"
	"legacybridge/mapping"
)

// value maps readings one after another and gives what the last became: the value of x, "absent", or more.
func value(t tb, m *mapping.Mapper, readings ...adapters.Reading) string {
	t.Helper()
	last := "absent"
	for _, r := range readings {
		last = show(t, m.Map(r.Time, []adapters.Reading{r}))
		_, after, found := strings.Cut(last, `"x":`)
		if !found {
			last = "absent"
			continue
		}
		last, _, _ = strings.Cut(after, `},"ts"`)
	}
	return last
}

func computing(is string, counter bool, edit ...func(*mapping.Computed)) mapping.Device {
	empty := func(p *mapping.Point) { p.Absent = []string{""} }
	d := device([]mapping.Point{
		point("a", empty, func(p *mapping.Point) { p.Counter = counter }), point("b", empty),
		point("on", func(p *mapping.Point) { p.Kind = mapping.Bool }), point("state", func(p *mapping.Point) { p.Kind = mapping.Text }),
		point("faults", func(p *mapping.Point) {
			p.Kind, p.Names = mapping.Bits, []mapping.BitName{{Bit: 0, Name: "oil"}, {Bit: 4, Name: "guard"}}
		}),
	}, event("e", "x"))
	x := computed("x", is)
	for _, e := range edit {
		e(&x)
	}
	d.Computed = []mapping.Computed{x}
	return d
}

func TestComputed(t *testing.T) {
	for _, test := range []struct{ is, want string }{
		{"a + b", "12.5"}, {"a - b", "7.5"}, {"a * b", "25"}, {"a / b", "4"}, {"a % 3", "1"}, {"-a % 3", "-1"}, {"7 % b", "2"}, {"1 / 3", "0.3333333333333333"},
		{"0.1 + 0.2", "0.30000000000000004"}, {"a / (b - 2.5)", "absent"}, {"a % (b - 2.5)", "absent"}, {"1 / (a / (b - 2.5))", "absent"}, {"a / 0 > 1 ? 1 : 2", "absent"},
		{"b > 0 ? a / b : 0", "4"}, {"b > 3 ? a / 0 : 0", "0"}, {"1e308 * a", "absent"}, {"1e308 * a - 1e308 * a", "absent"},
		{"a == 10", "true"}, {"a != 10", "false"}, {"a >= 10 && b < 2", "false"}, {"a < 1 || !on", "false"}, {"on and not (a < b)", "true"}, {"1 < b < 3", "true"}, {"3 < b + 0 < 9", "false"},
		{"state", `"run"`}, {"state == 'run'", "true"}, {"state + '-' + hex(a)", `"run-a"`}, {"state in ['stop', 'run']", "true"}, {"a in [1, 10]", "true"}, {"a not in [1, 10]", "false"},
		{"'oil' in faults", "false"}, {"'guard' in faults", "true"}, {"'x' in faults", "false"},
		{"abs(-a)", "10"}, {"round(2.5)", "3"}, {"round(2.675, 2)", "2.68"}, {"round(-2.5)", "-3"}, {"round(1234, -2)", "1200"}, {"round(1, 0.5)", "absent"},
		{"clamp(a, 1, 5)", "5"}, {"clamp(a, 5, 1)", "absent"}, {"min(a, b, 3)", "2.5"}, {"max(a)", "10"}, {"max(a, b)", "10"}, {"hex(255)", `"ff"`}, {"hex(-1)", "absent"}, {"hex(1.5)", "absent"},
		{"bits(0xA5, 4, 7)", "10"}, {"bits(0xA5, 0, 0)", "1"}, {"bits(a, 7, 4)", "absent"}, {"bits(9007199254740992, 52, 52)", "0"}, {"bits(1e300, 0, 1)", "absent"},
	} {
		got := value(t, newMapper(t, computing(test.is, false)), reading(noon, "a", "10", "b", "2.5", "on", "1", "state", "run", "faults", "16"))
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.is, got, test.want)
		}
	}
}

func TestComputedFromAbsentIsAbsent(t *testing.T) {
	for _, is := range []string{"a + b", "on ? b : a", "on || a > 0", "delta(a)", "rate(a, '1m')"} {
		m := newMapper(t, computing(is, false))
		if got := value(t, m, reading(noon, "b", "1", "on", "0", "a", ""), reading(noon.Add(time.Second), "b", "1", "on", "0", "a", "")); got != "absent" {
			t.Errorf("%s without a: got %s, want it absent", is, got)
		}
		if got := value(t, m, reading(noon.Add(2*time.Second), "b", "1", "a", "1"), reading(noon.Add(3*time.Second), "b", "1", "a", "2")); strings.Contains(is, "on") != (got == "absent") {
			t.Errorf("%s without on: got %s", is, got)
		}
	}
}

func TestComputedIsRoundedAndLimited(t *testing.T) {
	for _, test := range []struct {
		edit func(*mapping.Computed)
		is   string
		want string
	}{
		{func(c *mapping.Computed) { c.Decimals = 1 }, "a * 1.25", "2.5"}, {func(c *mapping.Computed) { c.Decimals = 1 }, "a + 0.249", "2.2"},
		{func(c *mapping.Computed) { c.Decimals = 0 }, "0.1 + 0.2", "0"}, {func(c *mapping.Computed) { c.Min = "2.01" }, "a", "absent"}, {func(c *mapping.Computed) { c.Max = "2" }, "a", "2"},
	} {
		if got := value(t, newMapper(t, computing(test.is, false, test.edit)), reading(noon, "a", "2")); got != test.want {
			t.Errorf("%s: got %s, want %s", test.is, got, test.want)
		}
	}
}

// TestComputedSeesWhatWasNotRounded: decimals is about what is sent.
func TestComputedSeesWhatWasNotRounded(t *testing.T) {
	d := device([]mapping.Point{point("a", func(p *mapping.Point) { p.Decimals = 0 })}, event("e", "a", "x"))
	d.Computed = []mapping.Computed{computed("x", "a * 2")}
	got := show(t, newMapper(t, d).Map(noon, []adapters.Reading{reading(noon, "a", "1.4")}))
	if want := `type/ID-1 e {"d":{"a":1,"x":2.8},"ts":"2026-05-11T12:00:00.114Z"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMemory(t *testing.T) {
	for _, test := range []struct {
		is      string
		counter bool
		at      string // seconds=a …
		want    string // x at each
	}{
		{"delta(a)", false, "0=5 1=7 2= 3=4", "absent 2 absent -3"},
		{"delta(a)", true, "0=65530 1=65535 2=3", "absent 5 3"},
		{"ago(a)", false, "0=5 1=7 2= 4.5=4 3=1 4=1", "absent 1 1 3.5 absent 1"},
		{"ago(a)", false, "0= 1= 2=1", "absent absent absent"},
		{"delta(a) / ago(a)", false, "0=5 2=9 2=9", "absent 2 absent"},
		{"rate(a, '1m')", true, "0=0 10=1 20=2 30=3 60=6 120=12 180=18", "absent 6 6 6 6 6 6"},
		{"rate(a, '1m')", true, "0=100 30=110 60=5 90=15", "absent 20 15 15"},
		{"rate(a, '10s')", false, "0=100 5=90 10=80", "absent -20 -20"},
		{"rate(a, '1m')", true, "0=0 59.8=60 120.1=120", "absent 60.2007 59.7015"},
		{"rate(a, '1m')", true, "0=0 3600=60 3630=90 3660=120", "absent absent 60 60"},
		{"rate(a, '1m')", true, "0=0 10=1 5=9 15=10", "absent 6 absent 6"},
		{"rate(a, '1m')", true, "0=0 0=1", "absent absent"},
		{"avg(a, '10s')", false, "0=1 5=2 9=6 10=4 100=7", "1 1.5 3 4 7"},
		{"min(a, '10s')", false, "0=1 5=3 9=2 10=4 14=9 19=9 20=9", "1 1 1 2 2 4 9"},
		{"max(a, '10s')", false, "0=9 5=3 9=2 10=1 15=0", "9 9 9 3 2"},
		{"max(a, '10s') - min(a, '10s')", false, "0=9 5=3", "0 6"},
		{"delta(a) + delta(a)", false, "0=1 1=2", "absent 2"},
	} {
		m := newMapper(t, computing(test.is, test.counter))
		var got []string
		for _, r := range strings.Fields(test.at) {
			second, a, _ := strings.Cut(r, "=")
			var s float64
			if _, err := fmt.Sscan(second, &s); err != nil {
				t.Fatal(err)
			}
			x := value(t, m, reading(noon.Add(time.Duration(s*1e9)), "a", a))
			var f float64
			if _, err := fmt.Sscan(x, &f); err == nil && len(x) > 7 {
				x = fmt.Sprintf("%.4f", f)
			}
			got = append(got, x)
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("%s of %s: got %s, want %s", test.is, test.at, got, test.want)
		}
	}
}

// TestExpressionsShareAMemory: each reading moves it once.
func TestExpressionsShareAMemory(t *testing.T) {
	d := device([]mapping.Point{point("a")}, event("e", "x", "y"))
	d.Computed = []mapping.Computed{computed("x", "delta(a)"), computed("y", "delta(a) * 10")}
	d.Events[0].When = "delta(a) > 1"
	m := newMapper(t, d)
	m.Map(noon, []adapters.Reading{reading(noon, "a", "1")})
	got := show(t, m.Map(noon, []adapters.Reading{reading(noon, "a", "3")}))
	if want := `type/ID-1 e {"d":{"x":2,"y":20},"ts":"2026-05-11T12:00:00.114Z"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestWindowsAreExactWhereReadingsAreFew compares with sums over all readings.
func TestWindowsAreExactWhereReadingsAreFew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMapper(t, computing("avg(a, '256s') + 0 * max(a, '256s')", false))
		type sample struct{ at, x int }
		var all []sample
		at := 0
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			at += rapid.IntRange(1, 100).Draw(t, "gap")
			all = append(all, sample{at, rapid.IntRange(-1000, 1000).Draw(t, "x")})
			sum, n := 0.0, 0.0
			for _, s := range all {
				if at-s.at < 256 {
					sum, n = sum+float64(s.x), n+1
				}
			}
			var got float64
			text := value(t, m, reading(noon.Add(time.Duration(at)*time.Second), "a", fmt.Sprint(all[len(all)-1].x)))
			if _, err := fmt.Sscan(text, &got); err != nil || math.Abs(got-sum/n) > 1e-9 {
				t.Fatalf("at %d: got %s, want %g", at, text, sum/n)
			}
		}
	})
}

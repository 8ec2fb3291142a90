package mapping_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/mapping"
)

// fan is a drive with one command of each kind of rule.
func fan() mapping.Config {
	d := device([]mapping.Point{
		point("frequency_pct", func(p *mapping.Point) { p.Scale, p.Unit, p.Decimals = "0.1", "%", 1 }),
		point("running", func(p *mapping.Point) { p.Kind = mapping.Bool }),
		point("mode", func(p *mapping.Point) { p.Kind = mapping.Text }),
	}, event("state", "running"))
	d.Name, d.Type, d.ID, d.Polled = "fan", "drive", "FAN-3", time.Second
	percent := mapping.Arg{Name: "percent", Min: "0", Max: "100"}
	d.Commands = []mapping.Command{
		{Name: "set_speed", Args: []mapping.Arg{percent}, Value: "percent / 100 * 16384", Type: "u16",
			Verify: mapping.Verify{Point: "frequency_pct", Within: time.Second, Tolerance: "5"}, Reply: "set_speed_result", WithID: true, QoS: 1},
		{Name: "lamp", Args: []mapping.Arg{{Name: "on", Kind: mapping.BoolArg}}, Value: "on", Type: "bool", Verify: mapping.Verify{Point: "running"}},
		{Name: "guarded", Args: []mapping.Arg{percent}, Value: "percent", Type: "u16", OnlyIf: "running && frequency_pct < 50", MinInterval: 10 * time.Second},
		{Name: "raw", Args: []mapping.Arg{{Name: "n", Kind: mapping.IntArg}}, Value: "n * 1000", Type: "i16"},
		{Name: "big", Args: []mapping.Arg{{Name: "n", Kind: mapping.IntArg}}, Value: "n", Type: "u64"},
		{Name: "computed_big", Args: []mapping.Arg{{Name: "n", Kind: mapping.IntArg}}, Value: "n + 0", Type: "u64"},
		{Name: "ratio", Args: []mapping.Arg{{Name: "a"}, {Name: "b"}}, Value: "a / b", Type: "f32"},
		{Name: "mode", Args: []mapping.Arg{{Name: "mode", Kind: mapping.TextArg, Enum: []string{"auto", "hand"}}}, Send: "MODE {mode}\r\n", Verify: mapping.Verify{Point: "mode"}},
		{Name: "say", Args: []mapping.Arg{{Name: "text", Kind: mapping.TextArg}, {Name: "n"}}, Send: "SAY {text} {n} {other stays}\r\n"},
		{Name: "title", Args: []mapping.Arg{{Name: "to", Kind: mapping.TextArg}}, Send: "NAME \"{to}\"5;"},
		{Name: "name", Args: []mapping.Arg{{Name: "to", Kind: mapping.TextArg, Enum: []string{"a;b"}}}, Send: "NAME {to}\"5;"},
		{Name: "step", Args: []mapping.Arg{{Name: "n", Enum: []string{"1", "2.5"}}}, Send: "{n}"},
		{Name: "stop", Value: "0", Type: "u16"},
	}
	return mapping.Config{Devices: []mapping.Device{d}, ClockFloor: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func commander(t testing.TB) *mapping.Commander {
	t.Helper()
	m, err := mapping.NewCommander(fan())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var commandTime = time.Date(2026, 5, 11, 8, 0, 0, 0, time.UTC)

func TestCommandsAreTakenOrRefused(t *testing.T) {
	m := commander(t)
	ago := func(d time.Duration) string { return commandTime.Add(-d).Format(time.RFC3339Nano) }
	type facts = func(*mapping.Facts)
	for _, c := range []struct {
		name, command, payload string
		with                   facts
		want                   string // value, or code
	}{
		{"with d", "set_speed", `{"d":{"percent":50}}`, nil, "8192"},
		{"flat", "set_speed", ` {"percent":50} `, nil, "8192"},
		{"rounded", "set_speed", `{"percent":33.333}`, nil, "5461"},
		{"rounded up", "set_speed", `{"percent":0.0030518}`, nil, "1"},
		{"with id and ts", "set_speed", `{"d":{"percent":50},"id":"a-1","ts":"` + ago(30*time.Second) + `"}`, nil, "8192"},
		{"flat with id", "set_speed", `{"percent":50,"id":"a-1"}`, nil, "8192"},
		{"least", "set_speed", `{"percent":0}`, nil, "0"},
		{"most", "set_speed", `{"percent":1e2}`, nil, "16384"},
		{"bool", "lamp", `{"on":true}`, nil, "true"},
		{"no arguments", "stop", `{}`, nil, "0"},
		{"no arguments in d", "stop", `{"d":{}}`, nil, "0"},
		{"exact", "big", `{"n":18446744073709551615}`, nil, "18446744073709551615"},
		{"exact with exponent", "big", `{"n":1.2e3}`, nil, "1200"},
		{"text", "mode", `{"mode":"auto"}`, nil, "MODE auto\r\n"},
		{"placeholders", "say", `{"text":"{n};100%","n":1.50}`, nil, "SAY {n};100% 1.50 {other stays}\r\n"},
		{"listed text", "name", `{"to":"a;b"}`, nil, "NAME a;b\"5;"},
		{"enum of numbers", "step", `{"n":2.50}`, nil, "2.50"},
		{"ts at the edge", "stop", `{"ts":"` + ago(time.Minute) + `"}`, nil, "0"},
		{"ts ahead at the edge", "stop", `{"ts":"` + ago(-time.Minute) + `"}`, nil, "0"},
		{"interlock met", "guarded", `{"percent":7}`, func(f *mapping.Facts) { f.Interlock = mapping.True }, "7"},
		{"long enough ago", "guarded", `{"percent":7}`, func(f *mapping.Facts) { f.Interlock = mapping.True; f.Last = commandTime.Add(-10 * time.Second) }, "7"},
		{"repeated with id and DUP", "stop", `{"id":"x"}`, func(f *mapping.Facts) { f.Dup = true }, "0"},

		{"writes off", "set_speed", `{"percent":50}`, func(f *mapping.Facts) { f.Allowed = false }, "CMD001"},
		{"not listed", "format", `{}`, nil, "CMD002"},
		{"another device's", "", `{}`, nil, "CMD002"},
		{"empty", "stop", ``, nil, "CMD003"},
		{"not JSON", "stop", `50`, nil, "CMD003"},
		{"an array", "stop", `[]`, nil, "CMD003"},
		{"cut off", "stop", `{"d":{`, nil, "CMD003"},
		{"something behind", "stop", `{} {}`, nil, "CMD003"},
		{"twice", "set_speed", `{"percent":1,"percent":90}`, nil, "CMD003"},
		{"d twice", "set_speed", `{"d":{"percent":1},"d":{"percent":90}}`, nil, "CMD003"},
		{"beside d", "set_speed", `{"d":{"percent":1},"percent":90}`, nil, "CMD003"},
		{"nested", "set_speed", `{"d":{"percent":{"value":1}}}`, nil, "CMD003"},
		{"a list", "set_speed", `{"percent":[1]}`, nil, "CMD003"},
		{"not UTF-8", "stop", "{\"x\":\"\xff\"}", nil, "CMD003"},
		{"too long", "stop", `{` + strings.Repeat(" ", mapping.MaxCommand) + `}`, nil, "CMD003"},
		{"id is a number", "stop", `{"id":5}`, nil, "CMD003"},
		{"id is too long", "stop", `{"id":"` + strings.Repeat("x", 65) + `"}`, nil, "CMD003"},
		{"ts is no time", "stop", `{"ts":"yesterday"}`, nil, "CMD003"},
		{"ts is a number", "stop", `{"ts":1778486400}`, nil, "CMD003"},
		{"retained", "stop", `{}`, func(f *mapping.Facts) { f.Retained = true }, "CMD004"},
		{"DUP without id", "stop", `{}`, func(f *mapping.Facts) { f.Dup = true }, "CMD005"},
		{"repeated", "stop", `{"id":"seen"}`, nil, "CMD006"},
		{"stale", "stop", `{"ts":"` + ago(time.Minute+time.Millisecond) + `"}`, nil, "CMD007"},
		{"ahead", "stop", `{"ts":"` + ago(-time.Minute-time.Millisecond) + `"}`, nil, "CMD007"},
		{"clock unset", "stop", `{}`, func(f *mapping.Facts) { f.Now = time.Unix(1000, 0) }, "CMD008"},
		{"clock unset, with ts", "stop", `{"ts":"` + ago(0) + `"}`, func(f *mapping.Facts) { f.Now = time.Unix(1000, 0) }, "CMD008"},
		{"missing", "set_speed", `{}`, nil, "CMD009"},
		{"one too many", "set_speed", `{"percent":1,"fast":true}`, nil, "CMD009"},
		{"below", "set_speed", `{"percent":-0.0001}`, nil, "CMD009"},
		{"above", "set_speed", `{"percent":100.0000000000000000001}`, nil, "CMD009"},
		{"a text", "set_speed", `{"percent":"50"}`, nil, "CMD009"},
		{"null", "set_speed", `{"percent":null}`, nil, "CMD009"},
		{"huge", "set_speed", `{"percent":1e400}`, nil, "CMD009"},
		{"a fraction", "raw", `{"n":1.5}`, nil, "CMD009"},
		{"no bool", "lamp", `{"on":1}`, nil, "CMD009"},
		{"not in enum", "mode", `{"mode":"off"}`, nil, "CMD009"},
		{"number not in enum", "step", `{"n":2}`, nil, "CMD009"},
		{"long text", "say", `{"text":"` + strings.Repeat("x", 257) + `","n":1}`, nil, "CMD009"},
		{"too soon", "guarded", `{"percent":7}`, func(f *mapping.Facts) { f.Interlock = mapping.True; f.Last = commandTime.Add(-9 * time.Second) }, "CMD010"},
		{"interlock", "guarded", `{"percent":7}`, func(f *mapping.Facts) { f.Interlock = mapping.False }, "CMD011"},
		{"interlock not known", "guarded", `{"percent":7}`, nil, "CMD011"},
		{"beyond i16", "raw", `{"n":33}`, nil, "CMD012"},
		{"beyond -i16", "raw", `{"n":-33}`, nil, "CMD012"},
		{"negative", "big", `{"n":-1}`, nil, "CMD012"},
		{"not exact", "computed_big", `{"n":18446744073709551615}`, nil, "CMD012"},
		{"divided by zero", "ratio", `{"a":1,"b":0}`, nil, "CMD012"},
		{"beyond f32", "ratio", `{"a":1e300,"b":1}`, nil, "CMD012"},
		{"line break", "say", `{"text":"a\r\nZERO","n":1}`, nil, "CMD012"},
		{"escape", "say", `{"text":"a\u001b[2J","n":1}`, nil, "CMD012"},
		{"not ASCII", "say", `{"text":"é","n":1}`, nil, "CMD012"},
		{"a field more", "say", `{"text":"a 9","n":1}`, nil, "CMD012"},
		{"end of the argument", "title", `{"to":"a\"b"}`, nil, "CMD012"},
		{"end of the frame", "title", `{"to":"a;RESET"}`, nil, "CMD012"},
		{"exponent", "say", `{"text":"a","n":1e40}`, nil, "CMD012"},
	} {
		f := mapping.Facts{Allowed: true, Now: commandTime, Repeated: func(id string) bool { return id == "seen" }}
		if c.with != nil {
			c.with(&f)
		}
		o, refusal := m.Decide("fan", c.command, []byte(c.payload), f)
		got := o.Value
		if refusal != nil {
			got = refusal.Code
			if refusal.Why == "" || strings.ContainsAny(refusal.Why, "\r\n\x1b") {
				t.Errorf("%s: reason %q", c.name, refusal.Why)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q (%v), want %q", c.name, got, refusal, c.want)
		}
	}
}

func TestAReadBackIsComparedWithTheArgument(t *testing.T) {
	m := commander(t)
	order := func(command, payload string) mapping.Order {
		o, refusal := m.Decide("fan", command, []byte(payload), mapping.Facts{Allowed: true, Now: commandTime})
		if refusal != nil {
			t.Fatal(refusal)
		}
		return o
	}
	for _, c := range []struct {
		command, payload, point, raw string
		met, known                   bool
		shows                        string
	}{
		{"set_speed", `{"percent":50}`, "frequency_pct", "500", true, true, "50.0"},
		{"set_speed", `{"percent":50}`, "frequency_pct", "550", true, true, "55.0"},
		{"set_speed", `{"percent":50}`, "frequency_pct", "449", false, true, "44.9"},
		{"set_speed", `{"percent":50}`, "frequency_pct", "x", false, true, `"x"`},
		{"set_speed", `{"percent":50}`, "other", "500", false, false, ""},
		{"lamp", `{"on":true}`, "running", "true", true, true, "true"},
		{"lamp", `{"on":false}`, "running", "true", false, true, "true"},
		{"mode", `{"mode":"hand"}`, "mode", "hand", true, true, `"hand"`},
		{"stop", `{}`, "frequency_pct", "0", false, false, ""},
	} {
		met, shows, known := m.Verified(order(c.command, c.payload), adapters.Reading{Device: "fan", Names: []string{c.point}, Values: []string{c.raw}})
		if met != c.met || known != c.known || shows != c.shows {
			t.Errorf("%s %s, %s reads %s: got %v %q %v, want %v %q %v", c.command, c.payload, c.point, c.raw, met, shows, known, c.met, c.shows, c.known)
		}
	}
}

func TestInterlocksFollowTheReadings(t *testing.T) {
	m, err := mapping.New(fan())
	if err != nil {
		t.Fatal(err)
	}
	reading := func(names, values string) adapters.Reading {
		return adapters.Reading{Device: "fan", Time: commandTime, Names: strings.Fields(names), Values: strings.Fields(values)}
	}
	for _, c := range []struct {
		readings []adapters.Reading
		want     []mapping.Condition
	}{
		{[]adapters.Reading{reading("running frequency_pct", "true 499")}, []mapping.Condition{{Device: "fan", Command: "guarded", State: mapping.True, Time: commandTime}}},
		{[]adapters.Reading{reading("running frequency_pct", "true 499"), reading("running frequency_pct", "false 499")}, []mapping.Condition{{Device: "fan", Command: "guarded", State: mapping.False, Time: commandTime}}},
		{[]adapters.Reading{reading("running", "true")}, []mapping.Condition{{Device: "fan", Command: "guarded", State: mapping.NotKnown, Time: commandTime}}},
		{[]adapters.Reading{{Device: "fan", Fault: &adapters.Fault{Code: "FRM002"}}}, nil},
	} {
		got := m.Map(commandTime, c.readings).Conditions
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v: got %v, want %v", c.readings, got, c.want)
		}
	}
}

func TestAReplySaysWhatBecameOfACommand(t *testing.T) {
	m := commander(t)
	out := m.Reply(commandTime, mapping.Result{Device: "fan", Command: "set_speed", ID: "x\"y", Outcome: "refused", Code: "CMD011", Error: "a \"b\"\n"})
	if len(out.Events) != 1 {
		t.Fatalf("got %+v, want one event", out)
	}
	e := out.Events[0]
	if want := `{"d":{"command":"set_speed","ok":false,"result":"refused","error":"a \"b\"\n","code":"CMD011","id":"x\"y"},"ts":"2026-05-11T08:00:00.000Z"}`; string(e.Payload) != want {
		t.Errorf("got %s, want %s", e.Payload, want)
	}
	if e.Type != "drive" || e.ID != "FAN-3" || e.Name != "set_speed_result" || e.Format != "json" || e.QoS != 1 || e.Number != mapping.AsMember {
		t.Errorf("got %+v", e)
	}
	if out := m.Reply(commandTime, mapping.Result{Device: "fan", Command: "lamp", OK: true}); len(out.Events) != 0 {
		t.Errorf("a command without reply: got %+v", out)
	}
}

func TestCommandRulesThatCannotBe(t *testing.T) {
	for want, change := range map[string]func(c *mapping.Command){
		"EXP002 write value":     func(c *mapping.Command) { c.Value = "procent" },
		"EXP003 write value":     func(c *mapping.Command) { c.Value = "percent > 5" },
		"EXP007 write value":     func(c *mapping.Command) { c.Value = "rate(percent, '1m')" },
		"EXP002 only_if":         func(c *mapping.Command) { c.OnlyIf = "runing" },
		"EXP003 only_if":         func(c *mapping.Command) { c.OnlyIf = "frequency_pct" },
		"EXP002 send":            func(c *mapping.Command) { c.Value, c.Send = "", "S {procent}" },
		"EVT001 verify point":    func(c *mapping.Command) { c.Verify.Point = "speed" },
		"EXP003 verify point":    func(c *mapping.Command) { c.Verify.Point = "running" },
		"MAP001 args percent":    func(c *mapping.Command) { c.Args[0].Min = "200" },
		"MAP001 args percent en": func(c *mapping.Command) { c.Args[0].Enum = []string{"101"} },
	} {
		cfg := fan()
		c := &cfg.Devices[0].Commands[0]
		change(c)
		_, err := mapping.New(cfg)
		if err == nil {
			t.Errorf("%s: no error", want)
			continue
		}
		rule, ok := err.(interface{ Unwrap() []error }).Unwrap()[0].(*mapping.RuleError)
		code, path, _ := strings.Cut(want, " ")
		if !ok || rule.Code != code || !strings.HasPrefix(strings.Join(rule.Path, " "), "commands set_speed "+path) {
			t.Errorf("got %+v, want %s", rule, want)
		}
	}
}

// FuzzCommand: whatever comes, there is no panic, and what is written lies within the limits of the argument and of the
// register, and holds nothing that a line would obey.
func FuzzCommand(f *testing.F) {
	m := commander(f)
	for _, s := range []string{`{"d":{"percent":50}}`, `{"percent":1e2,"id":"a","ts":"2026-05-11T08:00:00Z"}`, `{"d":{"text":"a\r\nb","n":-1e-7}}`, `{"n":18446744073709551616}`,
		`{"a":1,"b":3}`, `{"mode":"auto"}`, `{"on":true}`, `{"d":null}`, `{"percent":100.00000000000000000000001}`} {
		for i := range 11 {
			f.Add([]byte(s), byte(i))
		}
	}
	names := []string{"set_speed", "lamp", "guarded", "raw", "big", "computed_big", "ratio", "mode", "say", "step", "stop"}
	limits := map[string][2]string{"set_speed": {"0", "16384"}, "guarded": {"0", "100"}, "raw": {"-32768", "32767"}, "big": {"0", "18446744073709551615"},
		"computed_big": {"0", "18446744073709551615"}, "stop": {"0", "0"}}
	f.Fuzz(func(t *testing.T, payload []byte, which byte) {
		name := names[int(which)%len(names)]
		o, refusal := m.Decide("fan", name, payload, mapping.Facts{Allowed: true, Now: commandTime, Interlock: mapping.True})
		if (refusal == nil) != (o.Value != "") {
			t.Fatalf("value %q with refusal %v", o.Value, refusal)
		}
		if refusal != nil {
			return
		}
		if !json.Valid([]byte(o.Args)) {
			t.Fatalf("arguments %q are not JSON", o.Args)
		}
		if l, ok := limits[name]; ok {
			v, ok := new(big.Int).SetString(o.Value, 10)
			low, _ := new(big.Int).SetString(l[0], 10)
			high, _ := new(big.Int).SetString(l[1], 10)
			if !ok || v.Cmp(low) < 0 || v.Cmp(high) > 0 {
				t.Fatalf("%s: %q is outside %v", name, o.Value, l)
			}
		}
		if text := strings.TrimSuffix(o.Value, "\r\n"); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%s: %q would be sent", name, o.Value)
		}
		m.Verified(o, adapters.Reading{Device: "fan", Names: []string{"frequency_pct"}, Values: []string{string(payload)}})
		_ = m.Reply(commandTime, mapping.Result{Device: "fan", Command: name, ID: o.ID, OK: true, Outcome: "done"})
	})
}

package serial

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"legacybridge/adapters"
)

var (
	ohaus   = regexp.MustCompile(`^(?<weight>[-+ \d.]{8,12}) (?<unit>kg|g|lb) ?(?<unstable>\?)?`)
	arrived = time.Date(2026, 5, 11, 8, 4, 31, 0, time.UTC)
)

// show prints readings as a test wants to see them.
func show(readings []adapters.Reading) string {
	var out []string
	for _, r := range readings {
		if r.Fault != nil {
			out = append(out, fmt.Sprintf("%s!%s", r.Device, r.Fault.Code))
			continue
		}
		var values []string
		for i := range r.Names {
			values = append(values, r.Names[i]+"="+r.Values[i])
		}
		out = append(out, r.Device+":"+strings.Join(values, ","))
	}
	return strings.Join(out, " | ")
}

func decode(t *testing.T, cfg Config, frame string) []adapters.Reading {
	t.Helper()
	d, err := NewDecoder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d.Decode("", []byte(frame), arrived)
}

func scale(name string) Device {
	return Device{Name: name, Lines: []*regexp.Regexp{ohaus}, Uses: []string{"unit"},
		Points: []Point{{Name: "weight", Group: "weight"}, {Name: "stable", Group: "unstable"}}}
}

func TestLineGivesItsGroups(t *testing.T) {
	cfg := Config{Link: "scale-a", Devices: []Device{scale("scale-a")}}
	for frame, want := range map[string]string{
		"      12.48 kg":   "scale-a:weight=      12.48,stable=,from.unit=kg",
		"      12.48 kg ?": "scale-a:weight=      12.48,stable=?,from.unit=kg",
		"   ERROR 5":       "scale-a!FRM004",
		"":                 "scale-a!FRM004",
	} {
		if got := show(decode(t, cfg, frame)); got != want {
			t.Errorf("%q gives %s, want %s", frame, got, want)
		}
	}
	r := decode(t, cfg, "      12.48 kg")[0]
	if string(r.Raw) != "      12.48 kg" || !r.Time.Equal(arrived) || r.Origin != "scale-a" {
		t.Errorf("raw %q, time %v, origin %q", r.Raw, r.Time, r.Origin)
	}
}

func TestEachDeviceTakesTheLinesItMatches(t *testing.T) {
	wind := Device{Name: "wind", Lines: []*regexp.Regexp{regexp.MustCompile(`^\dR1,.*Sm=(?<speed>[\d.]+)`)}, Points: []Point{{Name: "speed", Group: "speed"}}}
	station := Device{Name: "station", Lines: []*regexp.Regexp{regexp.MustCompile(`^\dR1,.*Sm=(?<speed>[\d.]+)`), regexp.MustCompile(`^\dR2,Ta=(?<temp>[\d.]+)`)},
		Points: []Point{{Name: "speed", Group: "speed"}, {Name: "temp", Group: "temp"}}}
	raw := Device{Name: "raw", Points: []Point{{Name: "kind", From: 2, Single: true}}}
	cfg := Config{Link: "roof", Devices: []Device{wind, station}}
	for frame, want := range map[string]string{
		"0R1,Dn=236D,Sm=1.0M": "wind:speed=1.0 | station:speed=1.0",
		"0R2,Ta=22.7C":        "station:temp=22.7",
		"0TX,Unknown cmd":     "!FRM004",
	} {
		if got := show(decode(t, cfg, frame)); got != want {
			t.Errorf("%q gives %s, want %s", frame, got, want)
		}
	}
	cfg.Devices = append(cfg.Devices, raw)
	if got, want := show(decode(t, cfg, "0TX")), "raw:kind=88"; got != want {
		t.Errorf("a device without lines: %s, want %s", got, want)
	}
	d, err := NewDecoder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show(d.Decode("wind", []byte("0R2,Ta=22.7C"), arrived)), "wind!FRM004"; got != want {
		t.Errorf("asked of one device: %s, want %s", got, want)
	}
}

func TestDamagedCharacterIsNoValue(t *testing.T) {
	reader := Device{Name: "gate", Lines: []*regexp.Regexp{regexp.MustCompile(`^(?<code>.+?)(#.*)?$`)}, Points: []Point{{Name: "code", Group: "code"}}}
	cfg := Config{Link: "gate", Devices: []Device{reader}}
	for frame, want := range map[string]string{
		"1049123":      "gate:code=1049123",
		"1049\x00123":  "gate!FRM006", // a parity error arrives as NUL
		"1049\xff123":  "gate!FRM006",
		"1049123#\xff": "gate:code=1049123", // no part of a value
	} {
		if got := show(decode(t, cfg, frame)); got != want {
			t.Errorf("%q gives %s, want %s", frame, got, want)
		}
	}
	cfg.Encoding = []string{"iso-8859-1"}
	if got, want := show(decode(t, cfg, "K\xfcche")), "gate:code=Küche"; got != want {
		t.Errorf("in iso-8859-1: %s, want %s", got, want)
	}
}

// 123.4 kg gross stable, as in the manual of the Toledo continuous format.
const toledoSample = "\x02\x2b\x30\x20\x30\x30\x31\x32\x33\x34\x30\x30\x30\x30\x30\x30\x0d\x2c"

func TestBytesGiveValues(t *testing.T) {
	f32 := string([]byte{0x42, 0xf6, 0xe9, 0x79}) // 123.456
	for _, c := range []struct {
		frame string
		p     Point
		want  string
	}{
		{toledoSample, Point{From: 4, To: 10, Type: "ascii-int"}, "1234"},
		{toledoSample, Point{From: 1, Single: true}, "43"},
		{toledoSample, Point{From: 10, To: 16, Type: "ascii-int"}, "0"},
		{toledoSample, Point{From: -1, Single: true}, "44"},
		{toledoSample, Point{From: -2, To: -1}, "13"},
		{toledoSample, Point{From: -2, To: 0, Type: "u16"}, "3372"},
		{"\x02  -012", Point{From: 1, To: 7, Type: "ascii-int"}, "-12"},
		{"\x02------", Point{From: 1, To: 7, Type: "ascii-int"}, "------"},
		{"\x02 1\x00 2 ", Point{From: 1, To: 6, Type: "ascii-int"}, "1\x00 2"},
		{"\x02  12.50 kg", Point{From: 1, To: -3, Type: "decimal"}, "12.50"},
		{"\xff", Point{Single: true, Type: "i8"}, "-1"},
		{"\x12\x34", Point{Single: true, Type: "u16"}, "4660"},
		{"\x12\x34", Point{Single: true, Type: "u16", Order: "BADC"}, "13330"},
		{"\x12\x34", Point{Single: true, Type: "u16", Order: "CDAB"}, "4660"},
		{"\x12\x34", Point{Single: true, Type: "u16", Order: "DCBA"}, "13330"},
		{"\xff\xfe", Point{Single: true, Type: "i16"}, "-2"},
		{"\x00\x01\x02\x03", Point{Single: true, Type: "u32"}, "66051"},
		{"\x02\x03\x00\x01", Point{Single: true, Type: "u32", Order: "CDAB"}, "66051"},
		{"\x01\x00\x03\x02", Point{Single: true, Type: "u32", Order: "BADC"}, "66051"},
		{"\x03\x02\x01\x00", Point{Single: true, Type: "u32", Order: "DCBA"}, "66051"},
		{"\xff\xff\xff\xff", Point{Single: true, Type: "i32"}, "-1"},
		{"\x06\x07\x04\x05\x02\x03\x00\x01", Point{Single: true, Type: "u64", Order: "CDAB"}, "283686952306183"},
		{"\xff\xff\xff\xff\xff\xff\xff\xff", Point{Single: true, Type: "u64"}, "18446744073709551615"},
		{"\xff\xff\xff\xff\xff\xff\xff\xff", Point{Single: true, Type: "i64"}, "-1"},
		{f32, Point{Single: true, Type: "f32"}, "123.456"},
		{"\x7f\xc0\x00\x00", Point{Single: true, Type: "f32"}, "NaN"},
		{"\xff\x80\x00\x00", Point{Single: true, Type: "f32"}, "-Inf"},
		{"\x49\x74\x24\x00", Point{Single: true, Type: "f32"}, "1000000"},
		{"\x3f\xb9\x99\x99\x99\x99\x99\x9a", Point{Single: true, Type: "f64"}, "0.1"},
		{"\x01\x02\x03", Point{From: 0, To: 3, Type: "bits"}, "66051"},
		{"\x01\x02\x03", Point{From: 0, To: 3, Type: "bits", Order: "DCBA"}, "197121"},
		{"B23 \x00\x00", Point{Single: true, Type: "text", Length: 6}, "B23"},
		{"xK\xfcche", Point{From: 1, To: 6, Type: "text", Encoding: "windows-1252"}, "Küche"},
		{"", Point{Single: true}, "!FRM003"},
		{toledoSample[:9], Point{From: 4, To: 10, Type: "ascii-int"}, "!FRM003"},
		{"abc", Point{From: -4, To: -1, Type: "decimal"}, "!FRM003"},
		{"abc", Point{From: 2, To: -1, Type: "decimal"}, "!FRM003"},
		{"\xff", Point{Single: true, Type: "text"}, "!FRM006"},
	} {
		c.p.Name = "p"
		d, err := NewDecoder(Config{Link: "l", Devices: []Device{{Name: "d", Points: []Point{c.p}}}})
		if err != nil {
			t.Errorf("%+v: %v", c.p, err)
			continue
		}
		r := d.Decode("", []byte(c.frame), arrived)[0]
		got := ""
		if r.Fault != nil {
			got = "!" + r.Fault.Code
		} else {
			got = r.Values[0]
		}
		if got != c.want {
			t.Errorf("%q, %+v: %q, want %q", c.frame, c.p, got, c.want)
		}
	}
}

func TestShortFrameSaysWhere(t *testing.T) {
	cfg := Config{Link: "l", Devices: []Device{{Name: "d", Points: []Point{{Name: "weight", From: 4, To: 10, Type: "ascii-int"}}}}}
	r := decode(t, cfg, "\x0212")[0]
	if want := `weight stands in bytes 4..10, and the frame has 3: "\x0212"`; r.Fault == nil || r.Fault.Why != want || len(r.Values) != 0 {
		t.Errorf("got %+v, want the fault %q and no values", r, want)
	}
}

func TestWrongConfigurationIsRefused(t *testing.T) {
	ok := Frame{End: []byte("\n")}
	point := func(p Point) []Device { return []Device{{Name: "d", Points: []Point{p}}} }
	for name, cfg := range map[string]Config{
		"no frame":       {Devices: []Device{scale("a")}},
		"no devices":     {Frame: ok},
		"long length":    {Frame: Frame{Length: 5000}, Devices: []Device{scale("a")}},
		"no room":        {Frame: Frame{Start: []byte{2}, Length: 2, End: []byte{3}}, Devices: []Device{scale("a")}},
		"no encoding":    {Frame: ok, Encoding: []string{"ebcdic"}, Devices: []Device{scale("a")}},
		"no group":       {Frame: ok, Devices: point(Point{Name: "p", Group: "weight"})},
		"no used group":  {Frame: ok, Devices: []Device{{Name: "d", Lines: []*regexp.Regexp{ohaus}, Uses: []string{"tare"}}}},
		"no type":        {Frame: ok, Devices: point(Point{Name: "p", Single: true, Type: "u24"})},
		"no order":       {Frame: ok, Devices: point(Point{Name: "p", Single: true, Type: "u32", Order: "ACBD"})},
		"wrong size":     {Frame: ok, Devices: point(Point{Name: "p", From: 0, To: 3, Type: "u16"})},
		"open size":      {Frame: ok, Devices: point(Point{Name: "p", From: 1, To: -1, Type: "u16"})},
		"no place":       {Frame: ok, Devices: point(Point{Name: "p"})},
		"backwards":      {Frame: ok, Devices: point(Point{Name: "p", From: 4, To: 2, Type: "decimal"})},
		"to nothing":     {Frame: ok, Devices: point(Point{Name: "p", From: 4, To: 0, Type: "decimal"})},
		"words of three": {Frame: ok, Devices: point(Point{Name: "p", From: 0, To: 3, Type: "bits", Order: "CDAB"})},
		"no question":    {Frame: ok, Devices: []Device{{Name: "d", Ask: &Ask{}, Every: time.Second}}},
		"no period":      {Frame: ok, Devices: []Device{{Name: "d", Ask: &Ask{Send: []byte("S")}}}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// FuzzDecode: no frame makes a panic, and what comes out has a shape.
func FuzzDecode(f *testing.F) {
	var points []Point
	for i, kind := range []string{"u8", "i16", "u32", "f32", "f64", "ascii-int", "decimal", "text", "bits"} {
		points = append(points, Point{Name: fmt.Sprint("a", i), From: i - 4, Single: true, Type: kind, Length: 3},
			Point{Name: fmt.Sprint("b", i), From: i, Single: true, Type: kind, Order: "DCBA"})
	}
	points = append(points, Point{Name: "open", From: 2, To: -2, Type: "decimal"})
	binary, err := NewDecoder(Config{Link: "l", Devices: []Device{{Name: "d", Points: points}}})
	if err != nil {
		f.Fatal(err)
	}
	text, err := NewDecoder(Config{Link: "l", Encoding: []string{"cp949", "utf-16"}, Devices: []Device{scale("a"), scale("b")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(toledoSample))
	f.Add([]byte("      12.48 kg ?"))
	f.Add([]byte("\xff\xfe1\x002\x00"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, d := range []*Decoder{binary, text} {
			readings := d.Decode("", frame, arrived)
			if len(readings) == 0 {
				t.Errorf("%q gives nothing at all", frame)
			}
			for _, r := range readings {
				if len(r.Names) != len(r.Values) && r.Fault == nil || r.Fault != nil && (len(r.Names)+len(r.Values) > 0 || r.Fault.Why == "") {
					t.Errorf("%q: %+v", frame, r)
				}
			}
		}
	})
}

func TestFloatsReadBackEqual(t *testing.T) {
	for _, v := range []float64{0, -0.5, 1e-7, 123456789, 1e22, math.SmallestNonzeroFloat64, math.MaxFloat64} {
		var back float64
		if _, err := fmt.Sscan(formatFloat(v, 64), &back); err != nil || back != v {
			t.Errorf("%v prints as %s", v, formatFloat(v, 64))
		}
	}
}

func BenchmarkDecodeLine(b *testing.B) {
	d, err := NewDecoder(Config{Link: "l", Devices: []Device{scale("a")}})
	if err != nil {
		b.Fatal(err)
	}
	frame := []byte("      12.48 kg ?")
	b.ReportAllocs()
	for b.Loop() {
		d.Decode("", frame, arrived)
	}
}

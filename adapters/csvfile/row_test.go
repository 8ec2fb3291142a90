package csvfile

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"legacybridge/adapters"
)

func TestRows(t *testing.T) {
	utf16le := func(s string) string {
		b := []byte{0xFF, 0xFE}
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return string(b)
	}
	utf16be := func(s string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u>>8), byte(u))
		}
		return string(b)
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		in     string
		want   []string
	}{
		{"blanks and decimals stay as they are", nil, "n;text\n1; 1043,5 \n", []string{"1| 1043,5 "}},
		{"columns are found by name", nil, "x;text;n\nX;T;N\n", []string{"N|T"}},
		{"blanks around names do not count", nil, " n ; text\n1;a\n", []string{"1|a"}},
		{"half a row waits", nil, "n;text\n1;a\n2;b", []string{"1|a"}},
		{"half a header waits", nil, "n;te", nil},
		{"line ends of Windows", nil, "n;text\r\n1;a\r\n", []string{"1|a"}},
		{"empty lines", nil, "\n\nn;text\n\n1;a\n  \n\x1a\n2;b\n", []string{"1|a", "2|b"}},
		{"quoted values", nil, "n;text\n1;\"a;\"\"b\"\"\nc\"\n2;d\n", []string{"1|a;\"b\"\nc", "2|d"}},
		{"title lines", func(c *Config) { c.Format.Skip = 2 }, "Kiln \"2\n;;;\nn;text\n1;a\n", []string{"1|a"}},
		{"comments", func(c *Config) { c.Format.Comment = '#' }, "# \"x\nn;text\n# y\n1;a\n", []string{"1|a"}},
		{"footer", func(c *Config) { c.Format.Footer = regexp.MustCompile(`^Sum;`) }, "n;text\n1;a\nSum;1\n2;b\n", []string{"1|a", "2|b"}},
		{"no header", func(c *Config) { c.Format.Header, c.Format.Columns = false, []string{"text", "n"} }, "a;1\nb;2\n", []string{"1|a", "2|b"}},
		{"wrong number of columns", nil, "n;text\n1\n1;2;3\n2;b\n", []string{"CSV001 1", "CSV001 1;2;3", "2|b"}},
		{"text after a quote", nil, "n;text\n1;\"a\"b\n2;b\n", []string{"CSV002 1;\"a\"b", "2|b"}},
		{"unclosed quote", func(c *Config) { c.Format.MaxRecord = 20 }, "n;text\n1;\"a\n2;b\n3;c\n4;d\n5;e\n6;f\n7;g\n8;h\n", []string{"CSV002 1;\"a", "2|b", "3|c", "4|d", "5|e", "6|f", "7|g", "8|h"}},
		{"too long", func(c *Config) { c.Format.MaxRecord = 16 }, "n;text\n1;" + strings.Repeat("x", 100_000) + "\n2;b\n", []string{"CSV003 1;xxxxxxxxxxxxxx\x00", "2|b"}},
		{"NUL run", nil, "n;text\n1;a\n" + strings.Repeat("\x00", 100_000) + "2;b\n3;c\n", []string{"1|a", "CSV007 \x002;b", "3|c"}},
		{"the header once more", nil, "n;text\n1;a\nn;text\n2;b\n", []string{"1|a", "2|b"}},
		{"another header", nil, "n;text\n1;a\ntext;n\nb;2\nx;y;text\n1;2;3\nn;text\n3;c\n", []string{"1|a", "CSV004 b;2", "CSV004 1;2;3", "3|c"}},
		{"words are no header", nil, "n;text\nbad;row\n2;b\n", []string{"bad|row", "2|b"}},
		{"a needed column is missing", nil, "n;other\n1;a\n", []string{"CSV005 1;a"}},
		{"a needed column is there twice", nil, "n;text;n\n1;a;2\n", []string{"CSV005 1;a;2"}},
		{"utf-8 mark", func(c *Config) { c.Encoding = []string{"cp949"} }, "\xEF\xBB\xBFn;text\n1;가\n\xEF\xBB\xBFn;text\n2;나\n", []string{"1|가", "2|나"}},
		{"utf-16 with a mark", nil, utf16le("n;text\r\n1;가\n2;\"ਊ\n\"\n"), []string{"1|가", "2|ਊ\n"}},
		{"utf-16 without", func(c *Config) { c.Encoding = []string{"utf-16"} }, utf16be("n;text\r\n1;가\n"), []string{"1|가"}},
		{"korean", func(c *Config) { c.Encoding = []string{"cp949"}; c.Devices[0].Columns[1].Header = "온도" }, "n;\xbf\xc2\xb5\xb5\n1;\xb0\xa1\n", []string{"1|가"}},
		{"a trail byte like the separator", func(c *Config) { c.Encoding = []string{"shift-jis"}; c.Format.Separator = '|' }, "n|text\n1|\x83\x7c\n", []string{"1|ポ"}},
		{"a list of encodings, row by row", func(c *Config) { c.Encoding = []string{"utf-8", "iso-8859-1"} }, "n;text\n1;\xfc\n2;ü\n", []string{"1|ü", "2|ü"}},
		{"invalid utf-8 is replaced", nil, "n;text\n1;a\xffb\n", []string{"1|a\uFFFDb"}},
		{"columns for ids", func(c *Config) { c.Devices[0].Uses = []string{"line"} }, "n;text;line\n1;a;L1\n", []string{"1|a|L1"}},
		{"two devices", func(c *Config) {
			c.Devices = append(c.Devices, Device{Name: "other", Columns: []Column{{"t", "text"}}})
		}, "n;text\n1;a\n2\n", []string{"1|a", "a", "CSV001 2"}},
		{"a column that only one device misses", func(c *Config) {
			c.Devices = append(c.Devices, Device{Name: "other", Columns: []Column{{"t", "gone"}}})
		}, "n;text\n1;a\n", []string{"1|a", "CSV005 1;a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := temp(t, "LOG.csv")
			write(t, file, c.in)
			cfg := kiln(file)
			if c.change != nil {
				c.change(&cfg)
			}
			got, _, err := once(t, cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantLines(t, got, c.want...)
		})
	}
}

func TestRowsSayWhereTheyCameFrom(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, "\xEF\xBB\xBFtitle\nn;text;at\n1;\"a\nb\";2026-05-11 08:04\n\n2;c\n3;d;11.5.2026\n")
	cfg := kiln(file)
	cfg.Format.Skip = 1
	cfg.Format.Time = &Time{Columns: []string{"at"}, Format: "%F %R", Zone: zone(t, "Asia/Seoul")}
	cfg.Devices[0].Uses = []string{"at"}
	r := start(t, cfg, nil)
	r.want("1|a\nb|2026-05-11 08:04", "CSV001 2;c", "CSV008 3;d;11.5.2026")
	r.stop()
	head := "\xEF\xBB\xBFn;text;at"
	for i, want := range []struct{ origin, raw, why string }{
		{"LOG.csv:3", "1;\"a\nb\";2026-05-11 08:04", ""},
		{"LOG.csv:6", "2;c", "LOG.csv:6: the row has 2 columns, the header 3"},
		{"LOG.csv:7", "3;d;11.5.2026", `LOG.csv:7: the time "11.5.2026" is not like "%F %R"`},
	} {
		g := r.got[i]
		why := ""
		if g.Fault != nil {
			why = g.Fault.Why
		}
		if g.Origin != want.origin || string(g.Raw) != want.raw || string(g.Head) != head || why != want.why || g.Device != "kiln" {
			t.Errorf("got %q from %s under %q, %q, device %q; want %+v under %q", g.Raw, g.Origin, g.Head, why, g.Device, want, head)
		}
	}
	if want := []string{"n", "text", "row.at"}; !slices.Equal(r.got[0].Names, want) {
		t.Errorf("got names %q, want %q", r.got[0].Names, want)
	}
	if want := time.Date(2026, 5, 10, 23, 4, 0, 0, time.UTC); !r.got[0].Time.Equal(want) {
		t.Errorf("got %v, want %v", r.got[0].Time, want)
	}
	if time.Since(r.got[1].Time) > time.Minute {
		t.Errorf("got %v for a row whose time is not known, want the arrival", r.got[1].Time)
	}
}

// The raw rows are cut from a buffer that is filled many times.
func TestRawIsTheRow(t *testing.T) {
	const rows = 40_000
	file := temp(t, "LOG.csv")
	var text strings.Builder
	text.WriteString(kilnHead)
	for n := range rows {
		text.WriteString(kilnRow(n))
	}
	write(t, file, text.String())
	cfg := kiln(file)
	cfg.Batch, cfg.Once = 1<<20, true
	next := 0
	err := newSource(t, cfg, false).Run(t.Context(), nil, func(_ context.Context, b adapters.Batch) error {
		for _, r := range b.Readings {
			if n, _ := kilnNumber(r); n != next || string(r.Raw)+"\n" != kilnRow(next) || r.Origin != fmt.Sprint("LOG.csv:", next+2) {
				t.Fatalf("got %q, raw %q from %s, want row %d", r.Values, r.Raw, r.Origin, next)
			}
			next++
		}
		return nil
	})
	if err != nil || next != rows {
		t.Errorf("got %d rows, %v, want %d", next, err, rows)
	}
}

func TestTimeFromTwoColumns(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, "day;n;hour;text\n11.05.2026;1;08:04;a\n")
	cfg := kiln(file)
	cfg.Format.Time = &Time{Columns: []string{"day", "hour"}, Format: "%d.%m.%Y %H:%M"}
	r := start(t, cfg, nil)
	r.want("1|a")
	if want := time.Date(2026, 5, 11, 8, 4, 0, 0, time.UTC); !r.got[0].Time.Equal(want) {
		t.Errorf("got %v, want %v", r.got[0].Time, want)
	}
}

// Dead letters are decoded again from what they keep; so is everything else, and it gives the same.
func TestDecodeGivesWhatRunGave(t *testing.T) {
	for _, c := range []struct {
		encoding string
		in       string
	}{
		{"utf-8", "n;text\n1;a\n2\n3;\"b\nc\"\n4;\"d\"e\n\x00\x005;f\ntext;n\n6;g\n" + "7;" + strings.Repeat("x", 100) + "\n8;\"h\n"},
		{"cp949", "\xEF\xBB\xBFn;text\n1;가\n"},
		{"utf-16", "n\x00;\x00t\x00e\x00x\x00t\x00\n\x001\x00;\x00\x00\xac\n\x00"},
		{"cp949", "n;text\n1;\xb0\xa1\n"},
	} {
		file := temp(t, "LOG.csv")
		write(t, file, c.in)
		cfg := kiln(file)
		cfg.Encoding, cfg.Format.MaxRecord = []string{c.encoding}, 64
		r := &running{t: t, more: make(chan struct{}, 1)}
		one := cfg
		one.Once = true
		if err := newSource(t, one, false).Run(t.Context(), nil, r.put); err != nil {
			t.Fatal(err)
		}
		if len(r.got) == 0 {
			t.Fatal("got no readings")
		}
		for _, g := range r.got {
			again := cfg.Decode(g.Head, g.Raw, g.Time)
			want := short(g)
			if g.Fault != nil && g.Fault.Code == "CSV004" {
				want = "g|6" // what it is under the header line that stands above it
			}
			if len(again) != 1 || short(again[0]) != want || !again[0].Time.Equal(g.Time) {
				t.Errorf("%q under %q: got %+v, want %s", g.Raw, g.Head, again, want)
			}
		}
	}
}

func TestDecodeOfStrangeLettersDoesNotPanic(t *testing.T) {
	cfg := kiln("/x")
	cfg.Format.Time = &Time{Columns: []string{"at"}, Format: "%F"}
	for _, head := range []string{"", "\xFF", "\xFF\xFE", "n;text", "\xEF\xBB\xBF"} {
		for _, raw := range []string{"", "\x00", ";", "\"", "1;2", "\xFF\xFE1"} {
			for _, g := range cfg.Decode([]byte(head), []byte(raw), time.Time{}) {
				if g.Fault == nil {
					t.Errorf("%q under %q: got %+v, want a fault", raw, head, g)
				}
			}
		}
	}
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no file":            func(c *Config) { c.Files = "" },
		"bad pattern":        func(c *Config) { c.Files = "/x/[" },
		"unknown encoding":   func(c *Config) { c.Encoding = []string{"ebcdic"} },
		"separator is quote": func(c *Config) { c.Format.Separator = '"' },
		"quote not ASCII":    func(c *Config) { c.Format.Quote = '«' },
		"no columns":         func(c *Config) { c.Format.Header = false },
		"time without date":  func(c *Config) { c.Format.Time = &Time{Columns: []string{"t"}, Format: "%H"} },
		"max_record":         func(c *Config) { c.Format.MaxRecord = 1 },
	} {
		cfg := kiln("/x")
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

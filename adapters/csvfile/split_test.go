package csvfile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"legacybridge/adapters"
)

// A cutting is what a splitter made of some bytes.
type cutting struct {
	raw   string
	size  int
	lines int
	code  string
}

func (c cutting) is(r record) bool {
	return c.raw == string(r.raw) && c.size == r.size && c.lines == r.lines && c.code == r.flaw.code
}

func cuttingOf(r record) cutting { return cutting{string(r.raw), r.size, r.lines, r.flaw.code} }

// cutAll feeds b in pieces, as a reader does, and returns the records and the most that was held at once.
func cutAll(s *splitter, b []byte, piece func() int) (records []cutting, held int) {
	held = cutEach(s, b, piece, func(r record) { records = append(records, cuttingOf(r)) })
	return records, held
}

// cutEach visits the records. Each piece overwrites the one before, so that nobody can go on using what has gone.
func cutEach(s *splitter, b []byte, piece func() int, visit func(record)) (held int) {
	var memory, buf []byte
	cut := func() {
		for {
			r, taken, ok := s.next(buf, false)
			buf = buf[taken:]
			if !ok {
				return
			}
			visit(r)
		}
	}
	for len(b) > 0 {
		n := min(len(b), max(1, piece()))
		memory = append(append(memory[:0], buf...), b[:n]...)
		buf = memory
		b = b[n:]
		cut()
		held = max(held, len(buf))
		if s.long != nil {
			held = max(held, len(buf)+len(s.long.kept))
		}
	}
	for {
		cut()
		r, ok := s.rest(buf)
		if !ok {
			return held
		}
		visit(r)
		if r.open {
			return held
		}
		buf = buf[min(r.size, len(buf)):]
	}
}

func testSplitter(t testing.TB, f Format, names ...string) *splitter {
	t.Helper()
	e, err := adapters.NewEncoding(names...)
	if err != nil {
		t.Fatal(err)
	}
	return splitterIn(e, f)
}

// splitterIn is the part of it that the fuzzing does a million times.
func splitterIn(e adapters.Encoding, f Format) *splitter {
	if f.Separator == 0 {
		f.Separator = ';'
	}
	if f.Quote == 0 {
		f.Quote = '"'
	}
	if f.MaxRecord == 0 {
		f.MaxRecord = defaultMax
	}
	e, _ = e.Settle(nil)
	return newSplitter(f, e)
}

func TestRecords(t *testing.T) {
	long := strings.Repeat("x", 40)
	for _, c := range []struct {
		name   string
		format Format
		enc    string
		in     string
		want   []cutting
	}{
		{name: "lines", in: "a;b\nc\r\n\n", want: []cutting{{"a;b", 4, 1, ""}, {"c", 3, 1, ""}, {"", 1, 1, ""}}},
		{name: "half a line is the rest", in: "a\nb", want: []cutting{{"a", 2, 1, ""}, {"b", 1, 0, ""}}},
		{name: "quoted line end", in: "1;\"a\r\nb\";2\nc\n", want: []cutting{{"1;\"a\r\nb\";2", 11, 2, ""}, {"c", 2, 1, ""}}},
		{name: "doubled quotes", in: "\"a\"\"\n\"\"b\"\nc\n", want: []cutting{{"\"a\"\"\n\"\"b\"", 10, 2, ""}, {"c", 2, 1, ""}}},
		{name: "a quote inside a value opens nothing", in: "5\" pipe;3\nc\n", want: []cutting{{"5\" pipe;3", 10, 1, ""}, {"c", 2, 1, ""}}},
		{name: "a comment opens nothing", format: Format{Comment: '#'}, in: "#;\"\nc\n", want: []cutting{{"#;\"", 4, 1, ""}, {"c", 2, 1, ""}}},
		{name: "unclosed quote gives up its line only", format: Format{MaxRecord: 16}, in: "1;\"a\n2;b\n3;c\n4;d\n5;e\n", want: []cutting{
			{"1;\"a", 5, 1, "CSV002"}, {"2;b", 4, 1, ""}, {"3;c", 4, 1, ""}, {"4;d", 4, 1, ""}, {"5;e", 4, 1, ""}}},
		{name: "unclosed quote at the end", in: "1;\"a\n2;b\n3", want: []cutting{{"1;\"a", 5, 1, "CSV002"}, {"2;b", 4, 1, ""}, {"3", 1, 0, ""}}},
		{name: "too long", format: Format{MaxRecord: 16}, in: "a\n" + long + "\nb\n", want: []cutting{{"a", 2, 1, ""}, {long[:16] + "\x00", 41, 1, "CSV003"}, {"b", 2, 1, ""}}},
		{name: "just not too long", format: Format{MaxRecord: 16}, in: long[:16] + "\n", want: []cutting{{long[:16], 17, 1, ""}}},
		{name: "NUL run", in: "a\n\x00\x00\x00\x001;2\nb\n", want: []cutting{{"a", 2, 1, ""}, {"\x001;2", 8, 1, "CSV007"}, {"b", 2, 1, ""}}},
		{name: "long NUL run", format: Format{MaxRecord: 16}, in: "ab" + strings.Repeat("\x00", 1000) + "c\r\nb\n", want: []cutting{{"ab\x00c", 1005, 1, "CSV007"}, {"b", 2, 1, ""}}},
		{name: "NUL inside an open quote", in: "1;\"a\n\x00\n3;c\n", want: []cutting{{"1;\"a", 5, 1, "CSV002"}, {"\x00", 2, 1, "CSV007"}, {"3;c", 4, 1, ""}}},
		{name: "a trail byte is no separator", enc: "shift-jis", format: Format{Separator: '|'}, in: "\x83\x7c\"\nb\n", want: []cutting{{"\x83\x7c\"", 4, 1, ""}, {"b", 2, 1, ""}}},
		{name: "a trail byte is no quote", enc: "gbk", format: Format{Quote: '|'}, in: "\x81\x7c\nb\n", want: []cutting{{"\x81\x7c", 3, 1, ""}, {"b", 2, 1, ""}}},
		{name: "non-ASCII separator", format: Format{Separator: '¦'}, in: "1¦\"a\nb\"\nc\n", want: []cutting{{"1¦\"a\nb\"", 9, 2, ""}, {"c", 2, 1, ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			names := []string{"utf-8"}
			if c.enc != "" {
				names[0] = c.enc
			}
			got, _ := cutAll(testSplitter(t, c.format, names...), []byte(c.in), func() int { return len(c.in) })
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestRecordsOfUTF16(t *testing.T) {
	// The middle character, U+0A0A, has a byte like a line end in either half.
	in := []byte("a\x00;\x00\"\x00\x0a\x0a\n\x00b\x00\"\x00\r\x00\n\x00c\x00\x00\x00\x00\x00\n\x00d\x00")
	s := testSplitter(t, Format{}, "utf-16")
	got, _ := cutAll(s, in, func() int { return 1 })
	want := []cutting{{string(in[:14]), 18, 2, ""}, {"c\x00\x00\x00", 8, 1, "CSV007"}, {"d\x00", 2, 0, ""}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzCSVRecord(f *testing.F) {
	for _, seed := range []string{
		"a;b\nc;d\n", "\"a\nb\";c\r\n", "\"unclosed\n1\n2\n3\n4\n5\n6\n7\n", "x\x00\x00\x00y\n", "\x00\x00", strings.Repeat("z", 100) + "\n1\n",
		"#;\"\n", "a\x00;\x00\n\x00", "\"a\"\"b\"\n", "\r\n\r\n", "\"\"\"", "\x81\x7c\"\n\"", "5\" ;\"\n\"\n",
	} {
		f.Add([]byte(seed), uint64(1), byte(0))
		f.Add([]byte(seed), uint64(7), byte(0xff))
	}
	names := []string{"utf-8", "utf-16", "cp949", "shift-jis"}
	var encodings []adapters.Encoding
	for _, name := range names {
		e, err := adapters.NewEncoding(name)
		if err != nil {
			f.Fatal(err)
		}
		encodings = append(encodings, e)
	}
	text := bufio.NewReader(nil) // made once: it is most of what encoding/csv allocates
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, choice byte) {
		format := Format{MaxRecord: 16 + int(choice>>4)*4, Comment: '#'}
		if choice&4 != 0 {
			format.Separator = '|'
		}
		enc := encodings[choice&3]
		whole, _ := cutAll(splitterIn(enc, format), b, func() int { return len(b) })
		rnd, n := rand.NewPCG(seed, 1), 0
		held := cutEach(splitterIn(enc, format), b, func() int { return int(rnd.Uint64() % 9) }, func(r record) {
			if n == len(whole) || !whole[n].is(r) {
				t.Fatalf("in one piece %v, in pieces record %d is %v", whole, n, cuttingOf(r))
			}
			n++
		})
		if n != len(whole) {
			t.Fatalf("in one piece %v, in pieces the first %d of these", whole, n)
		}
		if most := 2*format.MaxRecord + 16; held > most {
			t.Errorf("held %d bytes, want at most %d", held, most)
		}
		size := 0
		for _, r := range whole {
			size += r.size
			if len(r.raw) > format.MaxRecord+2 {
				t.Errorf("a record of %d bytes, max is %d", len(r.raw), format.MaxRecord)
			}
		}
		if size != len(b) {
			t.Errorf("the records have %d bytes, want %d: %v", size, len(b), whole)
		}
		if choice&3 == 0 {
			text.Reset(bytes.NewReader(b))
			agreesWithStandardLibrary(t, format, whole, b, text)
		}
	})
}

// agreesWithStandardLibrary holds us against encoding/csv, which reads b as text, where that accepts what we accept.
func agreesWithStandardLibrary(t *testing.T, f Format, records []cutting, b []byte, text *bufio.Reader) {
	if bytes.ContainsAny(b, "\x00\r") || len(b) > f.MaxRecord {
		return
	}
	sep := ";"
	if f.Separator != 0 {
		sep = string(f.Separator)
	}
	std := csv.NewReader(text)
	std.Comma, std.Comment, std.FieldsPerRecord = rune(sep[0]), '#', -1
	want, err := std.ReadAll()
	if err != nil {
		return
	}
	var got [][]string
	for _, r := range records {
		if r.raw == "" || r.raw[0] == '#' {
			continue
		}
		row, bad := fields(nil, r.raw, sep, '"')
		if bad.code != "" {
			t.Fatalf("%q: %s, but encoding/csv reads %q", r.raw, bad.why, want)
		}
		got = append(got, row)
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Fatalf("%q: got %q, encoding/csv %q", b, got, want)
	}
}

func TestFields(t *testing.T) {
	for _, c := range []struct {
		in, sep string
		want    []string
		code    string
	}{
		{"a;b;", ";", []string{"a", "b", ""}, ""},
		{" a ; b", ";", []string{" a ", " b"}, ""},
		{`"a;b";c`, ";", []string{"a;b", "c"}, ""},
		{`"a""b";""`, ";", []string{`a"b`, ""}, ""},
		{`1,"1.043,5"`, ",", []string{"1", "1.043,5"}, ""},
		{`5" pipe;3`, ";", []string{`5" pipe`, "3"}, ""},
		{`"a"b;c`, ";", nil, "CSV002"},
		{`"a;b`, ";", nil, "CSV002"},
		{"a¦b¦", "¦", []string{"a", "b", ""}, ""},
		{strings.Repeat(";", 1023), ";", make([]string, 1024), ""},
		{strings.Repeat(";", 1024), ";", nil, "CSV001"},
		{`"";` + strings.Repeat(";", 1023), ";", nil, "CSV001"},
	} {
		got, bad := fields(nil, c.in, c.sep, '"')
		if bad.code != c.code || c.code == "" && !slices.Equal(got, c.want) {
			t.Errorf("%.40q: got %q, %q, want %q, %q", c.in, got, bad.code, c.want, c.code)
		}
	}
}

func (c cutting) String() string { return fmt.Sprintf("{%q %d %d %s}", c.raw, c.size, c.lines, c.code) }

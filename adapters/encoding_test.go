package adapters_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"legacybridge/adapters"
)

func encoding(t testing.TB, names ...string) adapters.Encoding {
	t.Helper()
	e, err := adapters.NewEncoding(names...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name      string
		encodings []string
		in        string
		want      string
		replaced  int
	}{
		{"none is utf-8", nil, "Ofen 1: 20,5 °C", "Ofen 1: 20,5 °C", 0},
		{"empty", nil, "", "", 0},
		{"invalid utf-8 is replaced byte by byte and counted", []string{"utf-8"}, "a\xff\xfeb\xc3", "a\uFFFD\uFFFDb\uFFFD", 3},
		{"a genuine replacement character is not counted", []string{"utf-8"}, "\uFFFD", "\uFFFD", 0},
		{"byte order mark of utf-8 is dropped", []string{"cp949"}, "\xEF\xBB\xBF시각", "시각", 0},
		{"byte order mark wins, little-endian", []string{"utf-8"}, "\xFF\xFEa\x00\xB0\x00", "a°", 0},
		{"byte order mark wins, big-endian", []string{"utf-8"}, "\xFE\xFF\x00a\x00\xB0", "a°", 0},
		{"utf-16 without a mark, little-endian", []string{"utf-16"}, "a\x00b\x00", "ab", 0},
		{"utf-16 without a mark, big-endian", []string{"utf-16"}, "\x00a\x00b", "ab", 0},
		{"utf-16 with an odd byte at the end", []string{"utf-16"}, "a\x00b", "a\uFFFD", 1},
		{"utf-16 among several only if it shows", []string{"utf-16", "iso-8859-1"}, "a\xB0b", "a°b", 0},
		{"utf-16 among several, shown", []string{"utf-8", "utf-16"}, "a\x00b\x00", "ab", 0},
		{"latin 1", []string{"iso-8859-1"}, "Feuchte \xfc \xb0", "Feuchte ü °", 0},
		{"windows", []string{"windows-1252"}, "\x80 5", "€ 5", 0},
		{"windows, no such character", []string{"windows-1253"}, "\xaa", "\uFFFD", 1},
		{"korean", []string{"cp949"}, "\xbd\xc3\xb0\xa2", "시각", 0},
		{"korean, syllable outside euc-kr", []string{"euc-kr"}, "\x8c\x63", "똠", 0},
		{"japanese, trail byte is a backslash", []string{"shift-jis"}, "\x95\x5c", "表", 0},
		{"chinese, trail byte is a bar", []string{"gbk"}, "\x81\x7c", "亅", 0},
		{"half a character at the end", []string{"cp949"}, "a\xbd", "a\uFFFD", 1},
		{"first of a list that decodes cleanly", []string{"utf-8", "iso-8859-1"}, "\xfc", "ü", 0},
		{"list, the first does", []string{"utf-8", "iso-8859-1"}, "ü", "ü", 0},
		{"list, none does", []string{"utf-8", "cp949"}, "\xff\xff\xbd\xc3", "\uFFFD\uFFFD시", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, replaced := encoding(t, c.encodings...).Decode([]byte(c.in))
			if got != c.want || replaced != c.replaced {
				t.Errorf("got %q with %d replaced, want %q with %d", got, replaced, c.want, c.replaced)
			}
		})
	}
}

func TestUnknownEncodingNamesTheKnownOnes(t *testing.T) {
	_, err := adapters.NewEncoding("utf-8", "ebcdic")
	if err == nil || !strings.Contains(err.Error(), `"ebcdic"`) || !strings.Contains(err.Error(), "cp949, euc-kr, gbk, iso-8859-1, shift-jis") {
		t.Errorf("got %v, want an error that names ebcdic and the known ones", err)
	}
}

func TestSettledEncodingLooksForNoMarkAgain(t *testing.T) {
	e, mark := encoding(t, "iso-8859-1").Settle([]byte("a;b\n"))
	if text, _ := e.Decode([]byte("\xFF\xFE")); mark != 0 || text != "ÿþ" {
		t.Errorf("got mark %d and %q, want 0 and the two letters", mark, text)
	}
	e, mark = encoding(t, "cp949").Settle([]byte("\xFE\xFF\x00a"))
	width, big := e.Width()
	if text, _ := e.Decode([]byte("\x00b")); mark != 2 || width != 2 || !big || text != "b" {
		t.Errorf("got mark %d, width %d, big %v, text %q, want 2, 2, true, b", mark, width, big, text)
	}
}

func TestDecodingTextAllocatesTheStringOnly(t *testing.T) {
	for _, name := range []string{"utf-8", "cp949"} {
		e, row := encoding(t, name), []byte("2026-05-11 08:04:31;1043,5;1044,0;12,5")
		if got := testing.AllocsPerRun(100, func() { e.Decode(row) }); got > 1 {
			t.Errorf("%s: got %v allocations, want 1", name, got)
		}
	}
}

func FuzzDecodeText(f *testing.F) {
	for _, s := range []string{"", "a;b", "\xFF\xFEa\x00", "\xFE\xFF\x00a\x00", "\xEF\xBB\xBF\xbd\xc3", "\x00\x00\x00a", "\x95\x5c\x81\x7c", "\xff\xd8\x00"} {
		f.Add([]byte(s), byte(3), byte(5))
	}
	names := []string{"utf-8", "utf-16", "iso-8859-1", "windows-1250", "windows-1252", "windows-1258", "cp949", "euc-kr", "shift-jis", "gbk"}
	f.Fuzz(func(t *testing.T, b []byte, first, second byte) {
		e := encoding(t, names[int(first)%len(names)], names[int(second)%len(names)])
		text, replaced := e.Decode(b)
		if !utf8.ValidString(text) {
			t.Errorf("%q became %q, which is not utf-8", b, text)
		}
		if replaced < 0 || replaced > len(b) || len(text) > 3*len(b) {
			t.Errorf("%q became %q with %d replaced", b, text, replaced)
		}
		settled, mark := e.Settle(b)
		if again, n := settled.Decode(b[mark:]); again != text || n != replaced {
			t.Errorf("settled: got %q, %d, want %q, %d", again, n, text, replaced)
		}
	})
}

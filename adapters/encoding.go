package adapters

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// An Encoding turns the bytes of equipment into text. The zero Encoding is utf-8. It may be used concurrently.
type Encoding struct {
	list    []codec // tried in this order; empty = utf-8
	wide    bool    // one of list is utf-16
	settled bool    // Settle has looked for a byte order mark: do not look again
}

// A codec is one entry of the list. The zero codec is utf-8.
type codec struct {
	legacy encoding.Encoding // nil: utf-8
	wide   bool              // utf-16; legacy is nil until the byte order is known
	big    bool              // utf-16, high byte first
}

const replacement = "\uFFFD"

var (
	utf16le = codec{legacy: unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), wide: true}
	utf16be = codec{legacy: unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), wide: true, big: true}
)

// codecs is our own short table: htmlindex would link every encoding it knows.
func codecs() map[string]codec {
	return map[string]codec{
		"utf-8":        {},
		"utf-16":       {wide: true},
		"iso-8859-1":   {legacy: charmap.ISO8859_1},
		"windows-1250": {legacy: charmap.Windows1250},
		"windows-1251": {legacy: charmap.Windows1251},
		"windows-1252": {legacy: charmap.Windows1252},
		"windows-1253": {legacy: charmap.Windows1253},
		"windows-1254": {legacy: charmap.Windows1254},
		"windows-1255": {legacy: charmap.Windows1255},
		"windows-1256": {legacy: charmap.Windows1256},
		"windows-1257": {legacy: charmap.Windows1257},
		"windows-1258": {legacy: charmap.Windows1258},
		"cp949":        {legacy: korean.EUCKR}, // x/text's EUCKR is code page 949, which contains euc-kr
		"euc-kr":       {legacy: korean.EUCKR},
		"shift-jis":    {legacy: japanese.ShiftJIS},
		"gbk":          {legacy: simplifiedchinese.GBK},
	}
}

// NewEncoding takes the names of config.md (utf-8, utf-16, iso-8859-1, windows-125x, cp949 = euc-kr, shift-jis, gbk).
// Of several, the first that decodes cleanly is used; a byte order mark wins. None means utf-8.
func NewEncoding(names ...string) (Encoding, error) {
	known := codecs()
	var e Encoding
	for _, name := range names {
		c, ok := known[name]
		if !ok {
			return Encoding{}, fmt.Errorf("unknown encoding %q; known are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		e.list = append(e.list, c)
		e.wide = e.wide || c.wide
	}
	return e, nil
}

// Settle looks at the first bytes of a stream and returns the encoding of the rest, which looks for no byte order mark
// again, and the length of the mark. UTF-16 without a mark is told by where its zero bytes stand, and is little-endian
// (what Windows writes) if they do not say. One of several is UTF-16 only if the bytes show it.
func (e Encoding) Settle(start []byte) (Encoding, int) {
	if e.settled {
		return e, 0
	}
	switch {
	case bytes.HasPrefix(start, []byte{0xEF, 0xBB, 0xBF}):
		return Encoding{settled: true}, 3
	case bytes.HasPrefix(start, []byte{0xFF, 0xFE}):
		return Encoding{list: []codec{utf16le}, settled: true}, 2
	case bytes.HasPrefix(start, []byte{0xFE, 0xFF}):
		return Encoding{list: []codec{utf16be}, settled: true}, 2
	}
	if !e.wide {
		e.settled = true
		return e, 0
	}
	little, big := zeros(start)
	s := Encoding{settled: true}
	for _, c := range e.list {
		switch {
		case !c.wide:
			s.list = append(s.list, c)
		case big > little:
			return Encoding{list: []codec{utf16be}, settled: true}, 0
		case little > 0 || len(e.list) == 1:
			return Encoding{list: []codec{utf16le}, settled: true}, 0
		}
	}
	return s, 0
}

// zeros counts the code units that look like Latin text in UTF-16, by byte order.
func zeros(b []byte) (little, big int) {
	for i := 0; i+1 < len(b); i += 2 {
		switch {
		case b[i] != 0 && b[i+1] == 0:
			little++
		case b[i] == 0 && b[i+1] != 0:
			big++
		}
	}
	return little, big
}

// Width is how many bytes one code unit takes, 1 or 2, and whether the high byte comes first. Only a settled encoding
// knows it. With 1, every byte below 0x40 stands for itself, wherever it is.
func (e Encoding) Width() (bytes int, bigEndian bool) {
	if len(e.list) == 1 && e.list[0].wide {
		return 2, e.list[0].big
	}
	return 1, false
}

// Decode returns b as valid UTF-8 and how many characters had to be replaced by U+FFFD because b is not what the
// encoding allows. If no encoding of the list decodes cleanly, the one that replaces least is used.
func (e Encoding) Decode(b []byte) (text string, replaced int) {
	if !e.settled {
		var mark int
		e, mark = e.Settle(b)
		b = b[mark:]
	}
	if len(e.list) == 0 {
		return decodeUTF8(b)
	}
	for i, c := range e.list {
		t, n := c.decode(b)
		if n == 0 {
			return t, 0
		}
		if i == 0 || n < replaced {
			text, replaced = t, n
		}
	}
	return text, replaced
}

func (c codec) decode(b []byte) (string, int) {
	if c.legacy == nil {
		return decodeUTF8(b)
	}
	if !c.wide && ascii(b) {
		return string(b), 0
	}
	out, err := c.legacy.NewDecoder().Bytes(b)
	if err != nil { // no decoder here fails, they replace
		return decodeUTF8(b)
	}
	return string(out), bytes.Count(out, []byte(replacement))
}

// decodeUTF8 replaces each byte that is not part of a character.
func decodeUTF8(b []byte) (string, int) {
	if utf8.Valid(b) {
		return string(b), 0
	}
	var out strings.Builder
	out.Grow(len(b) + 16)
	replaced := 0
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			out.WriteString(replacement)
			replaced++
		} else {
			out.Write(b[:n])
		}
		b = b[n:]
	}
	return out.String(), replaced
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Plain reports whether Decode of b, and of every part of it, gives the same bytes again. It allocates nothing.
func (e Encoding) Plain(b []byte) bool {
	if len(e.list) > 0 && e.list[0].wide {
		return false
	}
	if len(e.list) == 0 || e.list[0].legacy == nil {
		return utf8.Valid(b)
	}
	return ascii(b)
}

package mapping

import (
	"time"
	"unicode/utf8"
)

// appendPayload writes one reading as JSON: {"d":{…},"ts":"…"}, or {…,"ts":"…"}. Where the machine did not know the time,
// "clock":"unset" stands in place of ts. At least one of the points is there.
func (e *event) appendPayload(dst []byte, values []value, ts time.Time, unset bool) []byte {
	if !e.Flat {
		dst = append(dst, `{"d":`...)
	}
	separator := byte('{')
	for i := range e.members {
		m := &e.members[i]
		v := &values[m.index]
		if v.kind == absent {
			continue
		}
		dst = append(dst, separator)
		dst = append(dst, m.key...)
		dst = v.append(dst, m.names)
		separator = ','
	}
	if !e.Flat {
		dst = append(dst, '}')
	}
	if unset {
		return append(dst, `,"clock":"unset"}`...)
	}
	dst = append(dst, `,"ts":"`...)
	dst = appendTime(dst, ts)
	return append(dst, '"', '}')
}

// A member is one value of a payload.
type member struct {
	index int    // among the device's values
	key   string // `"name":`
	names []BitName
}

// append writes v, which is not absent, as a JSON value.
func (v *value) append(dst []byte, names []BitName) []byte {
	switch v.kind {
	case number:
		return v.num.append(dst)
	case truth:
		if v.truth {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case text:
		return appendString(dst, v.text)
	}
	dst = append(dst, '[')
	first := true
	for _, n := range names {
		if v.bits>>n.Bit&1 == 0 {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, n.Name)
	}
	return append(dst, ']')
}

// appendString writes s as a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// The times that RFC 3339 can write: years 0000 to 9999.
const firstSecond, lastSecond = -62167219200, 253402300799

// appendTime writes t as RFC 3339 in UTC with milliseconds. Package time has no fast path for those.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	ms := t.Nanosecond() / 1e6
	dst = append(dst, byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10))
	dst = appendTwo(dst, '-', int(month))
	dst = appendTwo(dst, '-', day)
	dst = appendTwo(dst, 'T', hour)
	dst = appendTwo(dst, ':', minute)
	dst = appendTwo(dst, ':', second)
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

func appendTwo(dst []byte, before byte, n int) []byte {
	return append(dst, before, byte('0'+n/10), byte('0'+n%10))
}

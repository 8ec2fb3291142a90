package serial

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"legacybridge/adapters"
)

// A bytesPoint is a value that stands in bytes of a frame.
type bytesPoint struct {
	from, to int // as configured; to is not used with size
	size     int // bytes from from; 0: up to to
	kind     string
	order    [8]int // of the bytes, high one first; for numbers
	text     adapters.Encoding
}

// A byteFault is why a frame has no such value.
type byteFault struct{ code, why string }

// sizes of the types that have one.
var sizes = map[string]int{"u8": 1, "i8": 1, "u16": 2, "i16": 2, "u32": 4, "i32": 4, "f32": 4, "u64": 8, "i64": 8, "f64": 8}

func newBytesPoint(p Point, link adapters.Encoding) (bytesPoint, error) {
	b := bytesPoint{from: p.From, to: p.To, kind: p.Type, text: link}
	if b.kind == "" {
		b.kind = "u8"
	}
	width, fixed := sizes[b.kind]
	span := p.To - p.From // of a range counted from one side
	counted := (p.From < 0) == (p.To <= 0)
	switch {
	case p.Single && fixed:
		b.size = width
	case p.Single:
		b.size = 1
	case counted && span <= 0, p.From >= 0 && p.To == 0:
		return b, fmt.Errorf("bytes %d..%d are none", p.From, p.To)
	case fixed && (!counted || span != width):
		return b, fmt.Errorf("%s is %d bytes, not %d..%d", b.kind, width, p.From, p.To)
	case b.kind == "bits" && (!counted || span > 8):
		return b, fmt.Errorf("bits are at most 8 bytes, not %d..%d", p.From, p.To)
	case counted:
		b.size = span
	}
	switch {
	case fixed, b.kind == "bits":
		var err error
		if b.order, err = byteOrder(p.Order, b.size); err != nil {
			return b, err
		}
	case b.kind == "text":
		if p.Length > 0 {
			b.size = p.Length
		}
		if p.Encoding != "" {
			var err error
			if b.text, err = adapters.NewEncoding(p.Encoding); err != nil {
				return b, err
			}
		}
	case b.kind == "ascii-int", b.kind == "decimal":
	default:
		return b, fmt.Errorf("no type %q", p.Type)
	}
	return b, nil
}

// byteOrder says where the bytes of a number stand, high one first, for size bytes in an order of config.md.
func byteOrder(order string, size int) (at [8]int, err error) {
	for i := range size {
		at[i] = i
	}
	words := size%2 == 0
	switch order {
	case "", "ABCD":
	case "CDAB": // words low one first
		for i := range size {
			if words {
				at[i] = size - 2 - i&^1 + i&1
			}
		}
	case "BADC": // bytes swapped in each word
		for i := range size {
			if words {
				at[i] = i ^ 1
			}
		}
	case "DCBA":
		for i := range size {
			at[i] = size - 1 - i
		}
	default:
		return at, fmt.Errorf("no order %q: ABCD, CDAB, BADC or DCBA", order)
	}
	if !words && size > 1 && order != "" && order != "ABCD" && order != "DCBA" {
		return at, errors.New("an odd number of bytes has no words to swap")
	}
	return at, nil
}

// decode is the value as text.
func (p *bytesPoint) decode(frame []byte) (string, *byteFault) {
	from, to := p.from, p.to
	if from < 0 {
		from += len(frame)
	}
	if to < 0 || to == 0 && p.from < 0 {
		to += len(frame)
	}
	if p.size > 0 {
		to = from + p.size
	}
	if from < 0 || to > len(frame) || from >= to {
		return "", &byteFault{codeShort, fmt.Sprintf("stands in bytes %s, and the frame has %d: %s", p.where(), len(frame), excerpt(frame))}
	}
	b := frame[from:to]
	switch p.kind {
	case "text":
		text, replaced := p.text.Decode(b)
		if replaced > 0 {
			return "", &byteFault{codeDamaged, fmt.Sprintf("is %q: a character came damaged (parity, noise), or the encoding is another one", text)}
		}
		return strings.TrimRight(text, "\x00 "), nil
	case "decimal":
		return strings.Trim(string(b), " "), nil
	case "ascii-int":
		return asciiInt(strings.Trim(string(b), " ")), nil
	}
	return p.number(b), nil
}

// number is the value of binary bytes.
func (p *bytesPoint) number(b []byte) string {
	var high [8]byte
	for i := range b {
		high[8-len(b)+i] = b[p.order[i]]
	}
	u := binary.BigEndian.Uint64(high[:])
	switch p.kind[0] {
	case 'i':
		shift := 64 - 8*len(b)
		return strconv.FormatInt(int64(u<<shift)>>shift, 10)
	case 'f':
		if len(b) == 4 {
			return formatFloat(float64(math.Float32frombits(uint32(u))), 32)
		}
		return formatFloat(math.Float64frombits(u), 64)
	}
	return strconv.FormatUint(u, 10)
}

func (p *bytesPoint) where() string {
	if p.size > 0 && p.from+p.size != 0 {
		return fmt.Sprintf("%d..%d", p.from, p.from+p.size)
	}
	if p.size > 0 {
		return fmt.Sprintf("%d to the end", p.from)
	}
	return fmt.Sprintf("%d..%d", p.from, p.to)
}

// formatFloat is the shortest decimal that reads back equal, without an exponent where people would write none.
func formatFloat(v float64, bits int) string {
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.FormatFloat(v, 'e', -1, bits)
	}
	return strconv.FormatFloat(v, 'f', -1, bits)
}

// asciiInt drops leading zeros. What is no integer ("------", a damaged digit) stays as it is: mapping knows what is
// absent and what is wrong.
func asciiInt(s string) string {
	digits, sign := s, ""
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
		if s[0] == '-' {
			sign = "-"
		}
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return s
	}
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		return "0"
	}
	return sign + digits
}

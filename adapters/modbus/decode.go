package modbus

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"legacybridge/adapters"
)

// maxText is what one request can carry.
const maxText = 2 * maxRegisters

// A point is a Point made ready to decode.
type point struct {
	Point
	registers int // or 1 for a bit
	swapWords bool
	swapBytes bool
	encoding  adapters.Encoding
}

func newPoint(p Point) (point, error) {
	size, err := p.size()
	if err != nil {
		return point{}, err
	}
	d := point{Point: p, registers: size}
	switch p.Order {
	case "", "ABCD":
	case "CDAB":
		d.swapWords = true
	case "BADC":
		d.swapBytes = true
	case "DCBA":
		d.swapWords, d.swapBytes = true, true
	default:
		return point{}, fmt.Errorf("point %s: %q is not a byte order, use ABCD, CDAB, BADC or DCBA", p.Name, p.Order)
	}
	if p.Encoding != "" {
		if d.encoding, err = adapters.NewEncoding(p.Encoding); err != nil {
			return point{}, fmt.Errorf("point %s: %w", p.Name, err)
		}
	}
	return d, nil
}

// size is how many registers, or bits of a bit table, p takes.
func (p Point) size() (int, error) {
	if p.Table < Holding || p.Table > Discrete {
		return 0, fmt.Errorf("point %s: no such table: %d", p.Name, p.Table)
	}
	if p.Table.bits() {
		return 1, nil
	}
	switch p.Type {
	case "", "u16", "i16", "bits":
		return 1, nil
	case "u32", "i32", "f32":
		return 2, nil
	case "u64", "i64", "f64":
		return 4, nil
	case "text":
		if p.Length < 1 || p.Length > maxText {
			return 0, fmt.Errorf("point %s: a text needs a length of 1 to %d bytes", p.Name, maxText)
		}
		return (p.Length + 1) / 2, nil
	}
	return 0, fmt.Errorf("point %s: %q is not a type of registers, use u16 i16 u32 i32 u64 i64 f32 f64 bits text", p.Name, p.Type)
}

// Decode gives the text of p. raw is its registers as they came, two bytes each; of a coil or discrete input one byte,
// 0 or 1.
func Decode(p Point, raw []byte) (string, error) {
	d, err := newPoint(p)
	if err != nil {
		return "", err
	}
	want := 2 * d.registers
	if p.Table.bits() {
		want = 1
	}
	if len(raw) != want {
		return "", fmt.Errorf("point %s: %d bytes, want %d", p.Name, len(raw), want)
	}
	return string(d.append(nil, raw)), nil
}

// append appends the text of raw, which has the length that d takes.
func (d *point) append(text, raw []byte) []byte {
	if d.Table.bits() {
		return strconv.AppendBool(text, raw[0] != 0)
	}
	if d.Type == "text" {
		return append(text, d.text(raw)...)
	}
	var b [8]byte
	n := len(raw)
	for i := range n {
		from := i
		if d.swapWords {
			from = n - 2 - i&^1 + i&1
		}
		if d.swapBytes {
			from ^= 1
		}
		b[i] = raw[from]
	}
	switch d.Type {
	case "i16":
		return strconv.AppendInt(text, int64(int16(binary.BigEndian.Uint16(b[:]))), 10)
	case "u32":
		return strconv.AppendUint(text, uint64(binary.BigEndian.Uint32(b[:])), 10)
	case "i32":
		return strconv.AppendInt(text, int64(int32(binary.BigEndian.Uint32(b[:]))), 10)
	case "f32":
		return appendFloat(text, float64(math.Float32frombits(binary.BigEndian.Uint32(b[:]))), 32)
	case "u64":
		return strconv.AppendUint(text, binary.BigEndian.Uint64(b[:]), 10)
	case "i64":
		return strconv.AppendInt(text, int64(binary.BigEndian.Uint64(b[:])), 10)
	case "f64":
		return appendFloat(text, math.Float64frombits(binary.BigEndian.Uint64(b[:])), 64)
	}
	return strconv.AppendUint(text, uint64(binary.BigEndian.Uint16(b[:])), 10) // u16, bits
}

// appendFloat writes an exponent only where the digits would be mostly zeros, as JSON encoders do.
func appendFloat(text []byte, f float64, bits int) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) && !math.IsInf(f, 0) {
		format = 'e'
	}
	return strconv.AppendFloat(text, f, format, -1, bits)
}

// text decodes two characters per register. The order of words has no meaning for it, that of bytes has.
func (d *point) text(raw []byte) string {
	var b [maxText]byte
	n := copy(b[:], raw)
	if d.swapBytes {
		for i := 0; i+1 < n; i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	s, _ := d.encoding.Decode(b[:d.Length])
	return strings.TrimRight(s, "\x00 ")
}

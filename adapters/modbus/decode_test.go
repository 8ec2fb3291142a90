package modbus_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"legacybridge/adapters/modbus"
)

func TestRegistersDecode(t *testing.T) {
	for _, c := range []struct{ kind, order, raw, want string }{
		{"", "", "ffff", "65535"},
		{"u16", "ABCD", "1234", "4660"},
		{"u16", "CDAB", "1234", "4660"}, // 16 bits: the byte order only
		{"u16", "BADC", "3412", "4660"},
		{"u16", "DCBA", "3412", "4660"},
		{"i16", "", "8000", "-32768"},
		{"i16", "", "ffff", "-1"},
		{"bits", "", "8013", "32787"},
		{"u32", "ABCD", "12345678", "305419896"},
		{"u32", "CDAB", "56781234", "305419896"},
		{"u32", "BADC", "34127856", "305419896"},
		{"u32", "DCBA", "78563412", "305419896"},
		{"u32", "", "ffffffff", "4294967295"},
		{"i32", "", "80000000", "-2147483648"},
		{"u64", "ABCD", "0123456789abcdef", "81985529216486895"},
		{"u64", "CDAB", "cdef89ab45670123", "81985529216486895"},
		{"u64", "BADC", "23016745ab89efcd", "81985529216486895"},
		{"u64", "DCBA", "efcdab8967452301", "81985529216486895"},
		{"u64", "", "ffffffffffffffff", "18446744073709551615"},
		{"i64", "", "8000000000000000", "-9223372036854775808"},
		{"f32", "ABCD", "43663333", "230.2"},
		{"f32", "CDAB", "33334366", "230.2"},
		{"f32", "BADC", "66433333", "230.2"},
		{"f32", "DCBA", "33336643", "230.2"},
		{"f32", "", "00000000", "0"},
		{"f32", "", "80000000", "-0"},
		{"f32", "", "4b189680", "10000000"},
		{"f32", "", "3dcccccd", "0.1"},
		{"f32", "", "7f7fffff", "3.4028235e+38"},
		{"f32", "", "00000001", "1e-45"},
		{"f32", "", "7fc00000", "NaN"},
		{"f32", "", "7f800000", "+Inf"},
		{"f32", "", "ff800000", "-Inf"},
		{"f64", "", "406cc66666666666", "230.2"},
		{"f64", "CDAB", "66666666c666406c", "230.2"},
		{"f64", "", "7fefffffffffffff", "1.7976931348623157e+308"},
	} {
		raw, _ := hex.DecodeString(c.raw)
		got, err := modbus.Decode(modbus.Point{Type: c.kind, Order: c.order}, raw)
		if err != nil || got != c.want {
			t.Errorf("%s %s %s = %q, %v, want %q", c.kind, c.order, c.raw, got, err, c.want)
		}
	}
}

func TestTextsDecode(t *testing.T) {
	for _, c := range []struct {
		raw, order, encoding string
		length               int
		want                 string
	}{
		{"PART-7\x00\x00", "", "", 8, "PART-7"},
		{"PART-7  ", "", "", 8, "PART-7"},
		{" A B\x00 \x00 ", "", "", 8, " A B"},
		{"APTR7-\x00\x00", "BADC", "", 8, "PART-7"},
		{"PART-7\x00\x00", "CDAB", "", 8, "PART-7"}, // words stay where they are
		{"PART-7", "", "", 5, "PART-"},
		{"\xbf\xc2\xb5\xb5", "", "cp949", 4, "온도"},
		{"\xff\xff", "", "", 2, "\uFFFD\uFFFD"},
		{"\x00\x00", "", "", 2, ""},
	} {
		p := modbus.Point{Type: "text", Order: c.order, Encoding: c.encoding, Length: c.length}
		if got, err := modbus.Decode(p, []byte(c.raw)); err != nil || got != c.want {
			t.Errorf("%q %s %s = %q, %v, want %q", c.raw, c.order, c.encoding, got, err, c.want)
		}
	}
}

func TestBitsOfTablesDecode(t *testing.T) {
	for _, table := range []modbus.Table{modbus.Coil, modbus.Discrete} {
		for raw, want := range map[byte]string{0: "false", 1: "true"} {
			if got, err := modbus.Decode(modbus.Point{Table: table, Type: "f32"}, []byte{raw}); err != nil || got != want {
				t.Errorf("table %d, %d = %q, %v, want %q", table, raw, got, err, want)
			}
		}
	}
}

func TestWrongLengthIsRefused(t *testing.T) {
	for _, n := range []int{0, 3, 5, 8} {
		if got, err := modbus.Decode(modbus.Point{Name: "p", Type: "u32"}, make([]byte, n)); err == nil {
			t.Errorf("u32 of %d bytes = %q, want an error", n, got)
		}
	}
	if _, err := modbus.Decode(modbus.Point{Name: "p", Order: "CDBA"}, make([]byte, 2)); err == nil || !strings.Contains(err.Error(), "not a byte order") {
		t.Errorf("got %v, want the byte order refused", err)
	}
}

func TestFloatsReadBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.Uint32().Draw(t, "bits")
		want := math.Float32frombits(bits)
		text, err := modbus.Decode(modbus.Point{Type: "f32"}, binary.BigEndian.AppendUint32(nil, bits))
		if err != nil {
			t.Fatal(err)
		}
		got, err := strconv.ParseFloat(text, 32)
		if err != nil || math.Float32bits(float32(got)) != bits && !(math.IsNaN(got) && math.IsNaN(float64(want))) {
			t.Errorf("%08x is %q, reads back as %v, %v", bits, text, got, err)
		}
		if finite := !math.IsNaN(got) && !math.IsInf(got, 0); finite != json.Valid([]byte(text)) {
			t.Errorf("%08x is %q: JSON number %v, want %v", bits, text, !finite, finite)
		}
	})
}

func ExampleDecode() {
	voltage := modbus.Point{Name: "voltage", Table: modbus.Input, Type: "f32", Order: "CDAB"}
	text, err := modbus.Decode(voltage, []byte{0x33, 0x33, 0x43, 0x66})
	fmt.Println(text, err)
	// Output: 230.2 <nil>
}

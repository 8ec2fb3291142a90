package mapping

import (
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNumbersReadAsPeopleWriteThem(t *testing.T) {
	for _, test := range []struct {
		text             string
		point, thousands rune
		want             string
	}{
		{"20.10", '.', 0, "20.10"},
		{"  +20.10\t", '.', 0, "20.10"},
		{"-   12.5", '.', 0, "-12.5"},
		{"\u00a07 \u00a0", '.', 0, "7"},
		{"007", '.', 0, "7"},
		{"-0", '.', 0, "0"},
		{"-0.00", '.', 0, "0.00"},
		{".5", '.', 0, "0.5"},
		{"5.", '.', 0, "5"},
		{"-.5e1", '.', 0, "-5"},
		{"1e+06", '.', 0, "1000000"},
		{"3.4028235e+38", '.', 0, "3.4028235e38"},
		{"1e-45", '.', 0, "1e-45"},
		{"5e-324", '.', 0, "5e-324"},
		{"1.7976931348623157e+308", '.', 0, "1.7976931348623157e308"},
		{"0e999999999999999999999", '.', 0, "0"},
		{"18446744073709551615", '.', 0, "18446744073709551615"},
		{"-9223372036854775808", '.', 0, "-9223372036854775808"},
		{"0.1234567890123456789012345", '.', 0, "0.1234567890123456789012345"},
		{"1043,5", ',', 0, "1043.5"},
		{"1.043,5", ',', '.', "1043.5"},
		{"1.043", ',', '.', "1043"},
		{"12.345.678", ',', '.', "12345678"},
		{"1043,5", ',', '.', "1043.5"},
		{"1'234", '.', '\'', "1234"},
		{"1 234", '.', ' ', "1234"},
		{"1\u00a0234,5", ',', '\u00a0', "1234.5"},

		{"1.043,5", '.', 0, "no"},
		{"1,043.5", '.', 0, "no"},
		{"1043.5", ',', 0, "no"},
		{"1.04", ',', '.', "no"},
		{"1.0434", ',', '.', "no"},
		{"1.04,5", ',', '.', "no"},
		{"1.0434,5", ',', '.', "no"},
		{"1043.5", ',', '.', "no"},
		{"1043.500", ',', '.', "no"},
		{"0.043", ',', '.', "no"},
		{".043", ',', '.', "no"},
		{"1..043", ',', '.', "no"},
		{"1.043.", ',', '.', "no"},
		{"1,043.500", ',', '.', "no"},
		{"", '.', 0, "no"},
		{" ", '.', 0, "no"},
		{"+", '.', 0, "no"},
		{".", '.', 0, "no"},
		{"e5", '.', 0, "no"},
		{"1e", '.', 0, "no"},
		{"1e+", '.', 0, "no"},
		{"1e5x", '.', 0, "no"},
		{"--1", '.', 0, "no"},
		{"+-1", '.', 0, "no"},
		{"1 2", '.', 0, "no"},
		{"12,5*", ',', 0, "no"},
		{"0x10", '.', 0, "no"},
		{"１２", '.', 0, "no"},
		{"1\x00", '.', 0, "no"},
		{"1e309", '.', 0, "range"},
		{"1.8e308", '.', 0, "range"},
		{"1e-500", '.', 0, "range"},
		{"1e999999999", '.', 0, "range"},
		{"-1e-999999999", '.', 0, "range"},
		{strings.Repeat("9", 65), '.', 0, "range"},
		{strings.Repeat("0", 100_000) + "1." + strings.Repeat("0", 100_000), '.', 0, "range"},
		{"NaN", '.', 0, "nothing"},
		{" -nan", '.', 0, "nothing"},
		{"+Inf", '.', 0, "nothing"},
		{"-infinity", '.', 0, "nothing"},
	} {
		d, fault := parseDecimal(test.text, test.point, test.thousands)
		got := map[numberFault]string{notNumber: "no", outOfRange: "range", notFinite: "nothing"}[fault]
		if fault == noFault {
			got = string(d.append(nil))
		}
		if got != test.want {
			t.Errorf("%.40q with %q and %q: got %s, want %s", test.text, test.point, test.thousands, got, test.want)
		}
	}
}

func TestRoundingTakesHalvesAwayFromZero(t *testing.T) {
	for _, test := range []struct {
		text   string
		places int
		want   string
	}{
		{"2.345", 2, "2.35"}, {"-2.345", 2, "-2.35"}, {"2.3449", 2, "2.34"}, {"0.5", 0, "1"}, {"-0.5", 0, "-1"}, {"0.49", 0, "0"},
		{"20.1", 2, "20.1"}, {"20.996", 2, "21.00"}, {"9223372036854775807", -19, "10000000000000000000"}, {"4999999999999999999", -19, "0"},
		{"99999999999999999999.5", 0, "100000000000000000000"}, {"1e-30", 0, "0"}, {"-1e-30", 9, "0.000000000"},
	} {
		d, _ := plain(test.text)
		if got := string(d.round(test.places).append(nil)); got != test.want {
			t.Errorf("%s to %d places: got %s, want %s", test.text, test.places, got, test.want)
		}
	}
}

func TestSumsLeaveInt64InTime(t *testing.T) {
	for _, test := range [][3]string{
		{"10e18", "1", "10000000000000000001"}, {"-10e18", "-1", "-10000000000000000001"}, {"9223372036854775807", "1", "9223372036854775808"},
		{"-9223372036854775807", "-1", "-9223372036854775808"}, {"9223372036854775808", "-1", "9223372036854775807"}, {"1e18", "0.9", "1000000000000000000.9"},
	} {
		a, _ := plain(test[0])
		b, _ := plain(test[1])
		if got := string(a.add(b).append(nil)); got != test[2] {
			t.Errorf("%s + %s: got %s, want %s", test[0], test[1], got, test[2])
		}
		if got := a.cmp(b); got != ratOf(a).Cmp(ratOf(b)) {
			t.Errorf("%s against %s: got %d", test[0], test[1], got)
		}
	}
}

// numbers draws texts from the corners: few and many digits, near the limits of int64 and of float64.
var numbers = rapid.StringMatching(`[-+]?([0-9]{1,5}|[0-9]{17,20}|9223372036854775[0-9]{3}|[0-9]{30,60})(\.[0-9]{0,4}|\.[0-9]{15,25})?(e[-+]?[0-9]{1,3})?`)

// inRange leaves out what is no decimal of ours.
var inRange = numbers.Filter(func(s string) bool { _, ok := plain(s); return ok })

func TestArithmeticIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, _ := plain(inRange.Draw(t, "a"))
		b, _ := plain(inRange.Draw(t, "b"))
		x, y := ratOf(a), ratOf(b)
		equal := func(what string, got decimal, want *big.Rat) {
			if ratOf(got).Cmp(want) != 0 {
				t.Fatalf("%s: got %s, want %s", what, got.append(nil), want)
			}
			if got.big != nil && got.big.IsInt64() && got.big.Int64() != math.MinInt64 {
				t.Fatalf("%s: got a wide decimal for the small %s", what, got.append(nil))
			}
		}
		equal("a+b", a.add(b), new(big.Rat).Add(x, y))
		equal("a-b", a.add(b.neg()), new(big.Rat).Sub(x, y))
		equal("a*b", a.mul(b), new(big.Rat).Mul(x, y))
		if got, want := a.cmp(b), x.Cmp(y); got != want {
			t.Fatalf("cmp: got %d, want %d", got, want)
		}
		places := rapid.IntRange(0, 9).Draw(t, "places")
		equal("round", a.round(places), roundRat(x, places))
		if got, want := a.whole(), x.IsInt(); got != want {
			t.Fatalf("whole: got %v, want %v", got, want)
		}
		if want, _ := x.Float64(); a.float() != want {
			t.Fatalf("float: got %g, want %g", a.float(), want)
		}
		by := big.NewInt(rapid.Int64Range(1, 1e9).Draw(t, "by"))
		q, exact := a.quo(by)
		quotient := new(big.Rat).Quo(x, new(big.Rat).SetInt(by))
		if exact {
			equal("quotient", q, quotient)
		}
		off := new(big.Rat).Sub(ratOf(q), quotient)
		bound := new(big.Rat).Mul(quotient, new(big.Rat).SetFrac(big.NewInt(1), tenTo(quotientDigits-2)))
		if off.Abs(off).Cmp(bound.Abs(bound)) > 0 {
			t.Fatalf("quotient: got %s, want %s", q.append(nil), quotient.FloatString(40))
		}
	})
}

func TestFloatsPrintShortest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "f")
		d, ok := fromFloat(f)
		if !ok {
			t.Fatalf("got nothing for %g", f)
		}
		if d.float() != f {
			t.Fatalf("got %g, want %g", d.float(), f)
		}
		shortest, _ := json.Marshal(f)
		want, _ := new(big.Rat).SetString(string(shortest))
		if got := ratOf(d); got.Cmp(want) != 0 {
			t.Fatalf("got %s, want %s", d.append(nil), shortest)
		}
	})
}

var grammar = regexp.MustCompile(`^[-+]?[ \t\r\n\x{a0}]*([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"20.10", " +1e-7", "-9223372036854775808", "1e999999999", "0.000000000000000000001", "99999999999999999999999", ".5", "5.", "-0", "1,5", "NaN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, fault := parseDecimal(s, '.', 0)
		bare := strings.Trim(s, " \t\r\n\u00a0")
		if matches := grammar.MatchString(bare); matches != (fault == noFault || fault == outOfRange) {
			t.Fatalf("%q: got fault %d, but the grammar says %v", s, fault, matches)
		}
		if fault != noFault {
			return
		}
		out := d.append(nil)
		if len(out) > 500 || !json.Valid(out) {
			t.Fatalf("%q: got %s", s, out)
		}
		number := strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "", "\u00a0", "").Replace(bare)
		if d.zero() {
			if strings.Trim(strings.ToLower(number[:strings.IndexAny(strings.ToLower(number)+"e", "e")]), "+-0.") != "" {
				t.Fatalf("%q: got 0", s)
			}
			return
		}
		want, ok := new(big.Rat).SetString(number)
		if !ok || ratOf(d).Cmp(want) != 0 {
			t.Fatalf("%q: got %s", s, out)
		}
		if printed, _ := new(big.Rat).SetString(string(out)); printed.Cmp(want) != 0 {
			t.Fatalf("%q: printed %s", s, out)
		}
	})
}

func ratOf(d decimal) *big.Rat {
	r := new(big.Rat).SetInt(d.int())
	power := new(big.Rat).SetInt(tenTo(int(max(d.exp, -d.exp))))
	if d.exp < 0 {
		return r.Quo(r, power)
	}
	return r.Mul(r, power)
}

// roundRat rounds another way: half a unit is added and the rest cut off.
func roundRat(x *big.Rat, places int) *big.Rat {
	power := new(big.Rat).SetInt(tenTo(places))
	scaled := new(big.Rat).Mul(new(big.Rat).Abs(x), power)
	scaled.Add(scaled, big.NewRat(1, 2))
	whole := new(big.Int).Quo(scaled.Num(), scaled.Denom())
	r := new(big.Rat).SetInt(whole)
	if x.Sign() < 0 {
		r.Neg(r)
	}
	return r.Quo(r, power)
}

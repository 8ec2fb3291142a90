package mapping

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A decimal is an exact decimal number, coef × 10^exp. It keeps the digits it was written with: 20.10 is 2010 × 10^-2.
type decimal struct {
	coef int64
	exp  int32
	big  *big.Int // the coefficient where it does not fit into coef; never changed once it is here
}

// Limits of what is read as a number. A float64 has 17 digits and reaches from 5e-324 to 1.8e308; JSON readers at the
// other end take numbers as that, so more would arrive as infinity, and a text of a million digits would cost a second.
const (
	maxDigits = 64
	maxPower  = 308  // of ten, of the first digit
	minExp    = -400 // of ten, of the last digit
)

// A numberFault says why a text is not a decimal.
type numberFault byte

const (
	noFault numberFault = iota
	notNumber
	notFinite  // NaN, or an infinity
	outOfRange // more digits, or larger or smaller, than the limits
)

// parseDecimal reads s as it stands in a file or on a wire: blanks around it and behind the sign are dropped, point is
// its decimal character, and thousands, if not 0, may part proper groups of three. "1.043,5" is no number where point is
// '.', and neither is "0.043" where '.' parts thousands.
func parseDecimal(s string, point, thousands rune) (decimal, numberFault) {
	s = trimBlanks(s)
	negative := false
	if s != "" && (s[0] == '+' || s[0] == '-') {
		negative = s[0] == '-'
		s = trimBlanks(s[1:])
	}
	var (
		coef    uint64
		digits  int // significant ones, after leading zeros
		places  int // after the point
		run     int // since the start, or the last thousands character
		some    bool
		grouped bool
		pointed bool
		i       int
	)
scan:
	for i < len(s) {
		c := s[i]
		if '0' <= c && c <= '9' {
			if digits > 0 || c != '0' {
				digits++
				if digits <= 18 {
					coef = coef*10 + uint64(c-'0')
				}
			}
			if pointed {
				places++
			}
			some = true
			run++
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		switch {
		case r == point && !pointed && (!grouped || run == 3):
			pointed = true
		case r == thousands && r != 0 && !pointed && (grouped && run == 3 || !grouped && 0 < run && run <= 3 && s[0] != '0'):
			grouped, run = true, 0
		case (c == 'e' || c == 'E') && some:
			break scan
		default:
			return decimal{}, notNumberOr(s)
		}
		i += size
	}
	if !some || grouped && !pointed && run != 3 {
		return decimal{}, notNumberOr(s)
	}
	power, ok := parsePower(s[i:])
	if !ok {
		return decimal{}, notNumber
	}
	if digits == 0 {
		return decimal{exp: int32(min(0, max(power-places, -maxDigits)))}, noFault
	}
	exp := power - places
	if digits > maxDigits || exp < minExp || digits+exp-1 > maxPower {
		return decimal{}, outOfRange
	}
	d := decimal{coef: int64(coef), exp: int32(exp)}
	if digits > 18 {
		d = wide(digitsOf(s[:i]), d.exp)
	}
	if negative {
		d = d.neg()
	}
	if !d.finite() {
		return decimal{}, outOfRange
	}
	return d, noFault
}

// parsePower reads "", "e5", "E-05"; what is out of every range comes back as such, whatever its length.
func parsePower(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	s = s[1:]
	sign := 1
	if s != "" && (s[0] == '+' || s[0] == '-') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	if s == "" {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+int(s[i]-'0'), 100_000_000) // an int has 32 bits on some machines
	}
	return sign * n, true
}

func notNumberOr(s string) numberFault {
	if strings.EqualFold(s, "nan") || strings.EqualFold(s, "inf") || strings.EqualFold(s, "infinity") {
		return notFinite
	}
	return notNumber
}

func digitsOf(s string) *big.Int {
	digits := make([]byte, 0, maxDigits+8)
	for i := range len(s) {
		if '0' <= s[i] && s[i] <= '9' && (len(digits) > 0 || s[i] != '0') {
			digits = append(digits, s[i])
		}
	}
	n, _ := new(big.Int).SetString(string(digits), 10)
	return n
}

// plain reads a decimal as the configuration writes it.
func plain(s string) (decimal, bool) {
	d, fault := parseDecimal(s, '.', 0)
	return d, fault == noFault
}

// fromFloat gives the shortest decimal that reads back as f; ok is false for NaN and infinities.
func fromFloat(f float64) (d decimal, ok bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return decimal{}, false
	}
	var buf [32]byte
	return plain(string(strconv.AppendFloat(buf[:0], f, 'g', -1, 64)))
}

// float is the float64 nearest to d.
func (d decimal) float() float64 {
	const exact = 1 << 53
	if d.big == nil && -exact <= d.coef && d.coef <= exact {
		switch {
		case d.exp == 0:
			return float64(d.coef)
		case -18 <= d.exp && d.exp < 0: // a quotient of two exact numbers is rounded once
			return float64(d.coef) / float64(pow10[-d.exp])
		}
	}
	var buf [96]byte
	b := d.appendCoef(buf[:0])
	b = append(b, 'e')
	b = strconv.AppendInt(b, int64(d.exp), 10)
	f, _ := strconv.ParseFloat(string(b), 64) // out of range: an infinity, which finite looks for
	return f
}

// append writes d as a JSON number.
func (d decimal) append(dst []byte) []byte {
	if d.zero() {
		d.exp = min(0, max(d.exp, -maxDigits))
	}
	if d.big == nil && d.exp == 0 {
		return strconv.AppendInt(dst, d.coef, 10)
	}
	start := len(dst)
	dst = d.appendCoef(dst)
	if dst[start] == '-' {
		start++
	}
	digits := len(dst) - start
	if power := digits + int(d.exp) - 1; power > 20 && d.exp > 0 || power < -10 && !d.zero() {
		if digits > 1 {
			dst = insert(dst, start+1, 1, '.')
		}
		dst = append(dst, 'e')
		return strconv.AppendInt(dst, int64(power), 10)
	}
	if d.exp >= 0 {
		return insert(dst, len(dst), int(d.exp), '0')
	}
	places := int(-d.exp)
	if digits <= places {
		dst = insert(dst, start, places-digits+1, '0')
	}
	return insert(dst, len(dst)-places, 1, '.')
}

func (d decimal) appendCoef(dst []byte) []byte {
	if d.big != nil {
		return d.big.Append(dst, 10)
	}
	return strconv.AppendInt(dst, d.coef, 10)
}

// insert makes room for n bytes c at i.
func insert(b []byte, i, n int, c byte) []byte {
	for range n {
		b = append(b, c)
	}
	copy(b[i+n:], b[i:])
	for j := range n {
		b[i+j] = c
	}
	return b
}

// trimBlanks cuts what loggers and scales pad numbers with: blanks, tabs, line ends, no-break spaces.
func trimBlanks(s string) string {
	if s == "" || !padded(s[0]) && !padded(s[len(s)-1]) {
		return s
	}
	return strings.Trim(s, " \t\r\n\u00a0")
}

func padded(c byte) bool { return c <= ' ' || c == 0xc2 || c == 0xa0 }

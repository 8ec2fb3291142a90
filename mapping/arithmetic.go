package mapping

import (
	"cmp"
	"math"
	"math/big"
	"math/bits"
)

var pow10 = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// quotientDigits is how exactly a quotient that does not end is kept: enough that rounding it again, to the at most 15
// digits that are sent, gives what rounding the true quotient would.
const quotientDigits = 34

// sentDigits is how many digits of a quotient that does not end are sent: what every float64 keeps.
const sentDigits = 15

// wide makes a decimal of any coefficient.
func wide(n *big.Int, exp int32) decimal {
	if n.IsInt64() && n.Int64() != math.MinInt64 { // so that neg never overflows
		return decimal{coef: n.Int64(), exp: exp}
	}
	return decimal{big: n, exp: exp}
}

func (d decimal) int() *big.Int {
	if d.big != nil {
		return d.big
	}
	return big.NewInt(d.coef)
}

func (d decimal) sign() int {
	if d.big != nil {
		return d.big.Sign()
	}
	return cmp.Compare(d.coef, 0)
}

func (d decimal) zero() bool { return d.sign() == 0 }

func (d decimal) neg() decimal {
	if d.big != nil {
		return wide(new(big.Int).Neg(d.big), d.exp)
	}
	d.coef = -d.coef
	return d
}

func (d decimal) abs() decimal {
	if d.sign() < 0 {
		return d.neg()
	}
	return d
}

func (d decimal) mul(e decimal) decimal {
	if d.big == nil && e.big == nil {
		hi, lo := bits.Mul64(magnitude(d.coef), magnitude(e.coef))
		if hi == 0 && lo <= math.MaxInt64 {
			n := int64(lo)
			if d.coef < 0 != (e.coef < 0) {
				n = -n
			}
			return decimal{coef: n, exp: d.exp + e.exp}
		}
	}
	return wide(new(big.Int).Mul(d.int(), e.int()), d.exp+e.exp)
}

func (d decimal) add(e decimal) decimal {
	d, e = align(d, e)
	if d.big == nil && e.big == nil {
		if n := d.coef + e.coef; (n > d.coef) == (e.coef > 0) && n != math.MinInt64 {
			return decimal{coef: n, exp: d.exp}
		}
	}
	return wide(new(big.Int).Add(d.int(), e.int()), d.exp)
}

func (d decimal) cmp(e decimal) int {
	if s, t := d.sign(), e.sign(); s != t || s == 0 {
		return cmp.Compare(s, t)
	}
	d, e = align(d, e)
	if d.big == nil && e.big == nil {
		return cmp.Compare(d.coef, e.coef)
	}
	return d.int().Cmp(e.int())
}

// align gives both the smaller exponent.
func align(d, e decimal) (decimal, decimal) {
	if d.exp > e.exp {
		return d.down(e.exp), e
	}
	return d, e.down(d.exp)
}

// down is d written with a smaller exponent.
func (d decimal) down(exp int32) decimal {
	n := int(d.exp - exp)
	if n == 0 {
		return d
	}
	if d.zero() {
		return decimal{exp: exp}
	}
	if d.big == nil && n < len(pow10) {
		if hi, lo := bits.Mul64(magnitude(d.coef), uint64(pow10[n])); hi == 0 && lo <= math.MaxInt64 {
			return decimal{coef: d.coef * pow10[n], exp: exp}
		}
	}
	return wide(new(big.Int).Mul(d.int(), tenTo(n)), exp)
}

// round rounds to places after the point, halves away from zero as people do it on paper. What has fewer stays as it is.
func (d decimal) round(places int) decimal {
	drop := -int(d.exp) - places
	if drop <= 0 {
		return d
	}
	return d.shorten(drop)
}

// shorten rounds the last n digits away.
func (d decimal) shorten(n int) decimal {
	exp := d.exp + int32(n)
	if d.big == nil {
		if n >= len(pow10) {
			if n == len(pow10) && magnitude(d.coef) >= 5e18 { // at least half of 10^19
				return decimal{coef: int64(d.sign()), exp: exp}
			}
			return decimal{exp: exp}
		}
		q, r := d.coef/pow10[n], d.coef%pow10[n]
		if magnitude(r) >= uint64(pow10[n])-magnitude(r) {
			q += int64(d.sign())
		}
		return decimal{coef: q, exp: exp}
	}
	return wide(quoHalfAway(d.big, tenTo(n)), exp)
}

// quo is d / by, by > 0: exact where it ends within quotientDigits, else rounded to that many.
func (d decimal) quo(by *big.Int) (q decimal, exact bool) {
	n := d.int()
	more := max(0, quotientDigits-len(n.Text(10))+len(by.Text(10)))
	n = new(big.Int).Mul(n, tenTo(more))
	exp := d.exp - int32(more)
	if rest := new(big.Int).Rem(n, by); rest.Sign() != 0 {
		return wide(quoHalfAway(n, by), exp), false
	}
	return wide(new(big.Int).Quo(n, by), exp).trim(), true
}

// trim drops zeros after the point.
func (d decimal) trim() decimal {
	ten := big.NewInt(10)
	n, rest := d.int(), new(big.Int)
	for d.exp < 0 {
		q, r := new(big.Int).QuoRem(n, ten, rest)
		if r.Sign() != 0 {
			break
		}
		n = q
		d.exp++
	}
	return wide(n, d.exp)
}

// significant rounds to n significant digits and drops the zeros after the point.
func (d decimal) significant(n int) decimal {
	if extra := len(d.abs().int().Text(10)) - n; extra > 0 {
		d = d.shorten(extra)
	}
	return d.trim()
}

// whole says whether d has no fraction.
func (d decimal) whole() bool {
	if d.exp >= 0 || d.zero() {
		return true
	}
	return d.cmp(d.round(0)) == 0
}

// finite says whether a reader that takes numbers as float64 can read d.
func (d decimal) finite() bool {
	if d.big == nil && d.exp < maxPower-20 && d.exp >= minExp {
		return true
	}
	return d.exp >= 3*minExp && !math.IsInf(d.float(), 0)
}

// quoHalfAway is n / by, by > 0, halves away from zero.
func quoHalfAway(n, by *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(n, by, new(big.Int))
	if r.Abs(r).Lsh(r, 1).Cmp(by) >= 0 {
		q.Add(q, big.NewInt(int64(n.Sign())))
	}
	return q
}

func tenTo(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

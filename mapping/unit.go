package mapping

import (
	"math/big"
	"slices"
	"strings"
)

// A unit is measured in the first one of its family: first = value × factor + zero.
type unit struct {
	name   string
	factor string // a quotient of whole numbers or decimals
	zero   string
}

// families are the units that convert into each other, each by exact factors. The pound is 0.45359237 kg (1959
// agreement), a psi that times 9.80665 m/s² on 0.0254² m², a knot 1852 m an hour.
var families = [][]unit{
	{{"g", "1", ""}, {"mg", "1/1000", ""}, {"kg", "1000", ""}, {"t", "1000000", ""}, {"lb", "453.59237", ""}, {"oz", "28.349523125", ""}},
	{{"K", "1", ""}, {"°C", "1", "273.15"}, {"°F", "5/9", "2298.35/9"}},
	{{"Pa", "1", ""}, {"hPa", "100", ""}, {"kPa", "1000", ""}, {"mbar", "100", ""}, {"bar", "100000", ""}, {"psi", "44482216152605/6451600000", ""}},
	{{"m/s", "1", ""}, {"km/h", "5/18", ""}, {"kn", "463/900", ""}, {"mph", "0.44704", ""}},
	{{"W", "1", ""}, {"kW", "1000", ""}, {"MW", "1000000", ""}},
	{{"Wh", "1", ""}, {"kWh", "1000", ""}, {"MWh", "1000000", ""}},
	{{"var", "1", ""}, {"kvar", "1000", ""}},
	{{"varh", "1", ""}, {"kvarh", "1000", ""}},
	{{"VA", "1", ""}, {"kVA", "1000", ""}},
	{{"V", "1", ""}, {"mV", "1/1000", ""}},
	{{"A", "1", ""}, {"mA", "1/1000", ""}},
	{{"s", "1", ""}, {"ms", "1/1000", ""}, {"min", "60", ""}, {"h", "3600", ""}},
}

// A conversion is y = (x × factor + zero) / by, all exact; by is nil where it is 1.
type conversion struct {
	factor, zero decimal
	by           *big.Int
}

// conversions gives, for each unit that converts into to, how; nil if to is in no family.
func conversions(to string) map[string]*conversion {
	for _, family := range families {
		i := slices.IndexFunc(family, func(u unit) bool { return u.name == to })
		if i < 0 {
			continue
		}
		all := make(map[string]*conversion, len(family))
		for _, u := range family {
			all[u.name] = newConversion(u, family[i])
		}
		all[to] = nil // nothing to do
		return all
	}
	return nil
}

// familyOf lists the units that convert into to, for a message.
func familyOf(to string) string {
	for _, family := range families {
		names := make([]string, len(family))
		for i, u := range family {
			names[i] = u.name
		}
		if slices.Contains(names, to) {
			return strings.Join(names, ", ")
		}
	}
	return ""
}

// newConversion: from × f1 + z1 = to × f2 + z2, so to = (from × f1 + z1 - z2) / f2.
func newConversion(from, to unit) *conversion {
	f2 := rational(to.factor)
	factor := rational(from.factor)
	factor.Quo(factor, f2)
	zero := rational(from.zero)
	zero.Sub(zero, rational(to.zero)).Quo(zero, f2)

	by := new(big.Int).Mul(factor.Denom(), zero.Denom())
	by.Quo(by, new(big.Int).GCD(nil, nil, factor.Denom(), zero.Denom())) // least common multiple
	whole := func(r *big.Rat) decimal {
		n := new(big.Int).Quo(by, r.Denom())
		return wide(n.Mul(n, r.Num()), 0)
	}
	c := &conversion{factor: whole(factor), zero: whole(zero), by: by}
	if f, ok := c.factor.quo(by); ok {
		if z, ok := c.zero.quo(by); ok {
			return &conversion{factor: f, zero: z}
		}
	}
	return c
}

// of converts x; exact is false where the digits do not end.
func (c *conversion) of(x decimal) (y decimal, exact bool) {
	y = x.mul(c.factor)
	if !c.zero.zero() {
		y = y.add(c.zero)
	}
	if c.by == nil {
		return y, true
	}
	return y.quo(c.by)
}

func rational(s string) *big.Rat {
	r := new(big.Rat)
	if s == "" {
		return r
	}
	over, under, quotient := strings.Cut(s, "/")
	r.SetString(over)
	if quotient {
		d, _ := new(big.Rat).SetString(under)
		r.Quo(r, d)
	}
	return r
}

package mapping

import (
	"errors"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/builtin"
)

// errAbsent ends an expression whose result is absent.
var errAbsent = errors.New("absent")

const functionHelp = "there are abs, round, clamp, min, max, hex, bits, and with memory rate, delta, avg, min, max, ago"

// memoryFunctions take the name of a point. min and max with a window do too.
var memoryFunctions = map[string]bool{"rate": true, "delta": true, "avg": true, "ago": true}

// A function takes numbers.
type function struct {
	usage       string
	least, most int // arguments; most < 0: any
	result      valueKind
	ofUnit      bool // the result has the unit of the arguments
	shape       any  // for expr's types
	of          func(x []float64) (any, error)
	name        string // inside expr; "": capitalised
}

var functions = map[string]*function{
	"abs":   {usage: "abs(x)", least: 1, most: 1, result: number, ofUnit: true, shape: new(func(float64) float64), of: abs},
	"round": {usage: "round(x, digits)", least: 1, most: 2, result: number, ofUnit: true, shape: new(func(float64, ...float64) float64), of: round},
	"clamp": {usage: "clamp(x, lowest, highest)", least: 3, most: 3, result: number, ofUnit: true, shape: new(func(float64, float64, float64) float64), of: clamp},
	"min":   {usage: "min(a, b, …), or min(point, '1m')", least: 1, most: -1, result: number, ofUnit: true, shape: new(func(float64, ...float64) float64), of: lowest},
	"max":   {usage: "max(a, b, …), or max(point, '1m')", least: 1, most: -1, result: number, ofUnit: true, shape: new(func(float64, ...float64) float64), of: highest},
	"hex":   {usage: "hex(x)", least: 1, most: 1, result: text, shape: new(func(float64) string), of: hex},
	"bits":  {usage: "bits(x, first, last)", least: 3, most: 3, result: number, shape: new(func(float64, float64, float64) float64), of: bitField},
	"/":     {name: "Quotient", shape: new(func(float64, float64) float64), of: quotient},
	"%":     {name: "Remainder", shape: new(func(float64, float64) float64), of: remainder},
}

// inside is the name in expr's machine, upper case so that no point can have it.
func (f *function) inside(name string) string {
	if f.name != "" {
		return f.name
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

func (f *function) builtin(name string) *builtin.Function {
	return &builtin.Function{
		Name:  name,
		Types: []reflect.Type{reflect.TypeOf(f.shape).Elem()},
		Func: func(args ...any) (any, error) {
			var room [8]float64
			x := room[:0]
			for _, a := range args {
				x = append(x, a.(float64))
			}
			return f.of(x)
		},
	}
}

func abs(x []float64) (any, error) { return math.Abs(x[0]), nil }

// round rounds the digits that people see, halves away from zero: round(2.675, 2) is 2.68.
func round(x []float64) (any, error) {
	places := 0.0
	if len(x) == 2 {
		places = x[1]
	}
	d, ok := fromFloat(x[0])
	if !ok || places != math.Trunc(places) || math.Abs(places) > maxPower {
		return nil, errAbsent
	}
	return d.round(int(places)).float(), nil
}

func clamp(x []float64) (any, error) {
	if x[1] > x[2] {
		return nil, errAbsent
	}
	return min(max(x[0], x[1]), x[2]), nil
}

func lowest(x []float64) (any, error)  { return slices.Min(x), nil }
func highest(x []float64) (any, error) { return slices.Max(x), nil }

// hex writes a whole number in lower-case hexadecimal digits.
func hex(x []float64) (any, error) {
	n, ok := register(x[0])
	if !ok {
		return nil, errAbsent
	}
	return strconv.FormatUint(n, 16), nil
}

// bitField gives the bits first to last of x, both included, as a number.
func bitField(x []float64) (any, error) {
	n, ok := register(x[0])
	first, last := x[1], x[2]
	if !ok || first < 0 || first > last || last > 52 || first != math.Trunc(first) || last != math.Trunc(last) {
		return nil, errAbsent
	}
	width := uint(last-first) + 1
	return float64(n >> uint(first) & (1<<width - 1)), nil
}

// register takes what a float64 holds exactly: whole numbers up to 2^53.
func register(x float64) (uint64, bool) {
	return uint64(max(x, 0)), x >= 0 && x <= 1<<53 && x == math.Trunc(x)
}

func quotient(x []float64) (any, error) {
	if x[1] == 0 {
		return nil, errAbsent
	}
	return x[0] / x[1], nil
}

func remainder(x []float64) (any, error) {
	if x[1] == 0 {
		return nil, errAbsent
	}
	return math.Mod(x[0], x[1]), nil
}

// nearest is the one name that a person may have meant, or "".
func nearest[T any](name string, names map[string]T) string {
	best, least := "", 3 // more than two letters wrong is another word
	for _, n := range slices.Sorted(maps.Keys(names)) {
		switch d := distance(name, n); {
		case d >= len(n):
		case d < least:
			best, least = n, d
		case d == least:
			best = ""
		}
	}
	return best
}

// distance counts the letters to change, add, leave out (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := last
			if a[i] != b[j] {
				change++
			}
			last = row[j+1]
			row[j+1] = min(change, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}

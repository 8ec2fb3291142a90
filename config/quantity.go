package config

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"time"
)

// Durations and sizes are texts with a unit, for a bare number would be a guess.
var durationForm = regexp.MustCompile(`^(\d{1,15}(?:\.\d{1,9})?)(ms|s|m|h|d)$`)

var durationUnits = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

func parseDuration(n *node, k key) (any, error) {
	s, ok := n.scalar.(string)
	if !ok {
		if d := n.decimal(); d != "" {
			return nil, wrong("TYP002", fmt.Sprintf(`write "%ss" or "%sms"`, d, d), "%s = %s has no unit", n.name, d)
		}
		return nil, errType
	}
	m := durationForm.FindStringSubmatch(s)
	if m == nil {
		return nil, wrong("TYP002", `use a number with ms, s, m, h or d, as in "500ms" or "7d"`, "%s = %q is not a duration", n.name, s)
	}
	d, _ := strconv.ParseFloat(m[1], 64)
	ns := d * float64(durationUnits[m[2]])
	lo, hi := time.Duration(k.lo)*time.Millisecond, time.Duration(k.hi)*time.Millisecond
	if hi == 0 {
		hi = 100 * 365 * 24 * time.Hour
	}
	if ns > float64(hi) || ns < float64(lo) || (lo == 0 && k.hi == 0 && ns <= 0) {
		return nil, wrong("TYP002", fmt.Sprintf("use %s to %s", short(max(lo, time.Millisecond)), short(hi)), "%s = %q is out of range", n.name, s)
	}
	return time.Duration(math.Round(ns)), nil
}

// A silent is how long a device may say nothing before it counts as quiet.
type silent struct {
	periods float64 // of its own; 0: after
	after   time.Duration
}

// usualSilence is the default of stale.
var usualSilence = silent{periods: 3}

var periodsForm = regexp.MustCompile(`^(\d{1,4}(?:\.\d{1,3})?)x$`)

func parseSilence(n *node, k key) (any, error) {
	s, _ := n.scalar.(string)
	if m := periodsForm.FindStringSubmatch(s); m != nil {
		x, _ := strconv.ParseFloat(m[1], 64)
		if x < 1 {
			return nil, wrong("TYP002", `use "1x" or more`, "%s = %q would be quiet between two readings", n.name, s)
		}
		return silent{periods: x}, nil
	}
	d, err := parseDuration(n, k)
	if err != nil {
		return nil, err
	}
	return silent{after: d.(time.Duration)}, nil
}

// of is the silence of a device with this period, 0 where nobody can tell: it talks by itself.
func (s silent) of(period time.Duration) time.Duration {
	if s.periods == 0 {
		return s.after
	}
	return time.Duration(s.periods * float64(period))
}

// short writes a duration as the grammar does.
func short(d time.Duration) string {
	for _, unit := range []string{"d", "h", "m", "s"} {
		if u := durationUnits[unit]; d >= u && d%u == 0 {
			return fmt.Sprintf("%d%s", d/u, unit)
		}
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

var sizeForm = regexp.MustCompile(`^(\d{1,12}(?:\.\d{1,6})?)(B|kB|MB|GB|KiB|MiB|GiB)$`)

var sizeUnits = map[string]int64{"B": 1, "kB": 1000, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

func parseSize(n *node, k key) (any, error) {
	s, ok := n.scalar.(string)
	if !ok {
		if d := n.decimal(); d != "" {
			return nil, wrong("TYP003", fmt.Sprintf(`write "%sB", or a multiple such as "64MiB"`, d), "%s = %s has no unit", n.name, d)
		}
		return nil, errType
	}
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return nil, wrong("TYP003", `use a number with B, kB, MB, GB, KiB, MiB or GiB, as in "64MiB"`, "%s = %q is not a size", n.name, s)
	}
	f, _ := new(big.Rat).SetString(m[1])
	f.Mul(f, new(big.Rat).SetInt64(sizeUnits[m[2]]))
	bytes := new(big.Int).Quo(f.Num(), f.Denom())
	if !bytes.IsInt64() || bytes.Int64() < max(k.lo, 1) || (k.hi > 0 && bytes.Int64() > k.hi) {
		return nil, wrong("TYP003", sizeBounds(k), "%s = %q is out of range", n.name, s)
	}
	return bytes.Int64(), nil
}

func sizeBounds(k key) string {
	if k.hi > 0 {
		return "use " + shortSize(max(k.lo, 1)) + " to " + shortSize(k.hi)
	}
	return "use " + shortSize(max(k.lo, 1)) + " or more"
}

// shortSize writes a size as the grammar does.
func shortSize(n int64) string {
	for _, unit := range []string{"GiB", "MiB", "KiB"} {
		if u := sizeUnits[unit]; n%u == 0 {
			return fmt.Sprintf("%d%s", n/u, unit)
		}
	}
	return fmt.Sprintf("%dB", n)
}

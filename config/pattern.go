package config

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// Patterns take linear time, but repeats in one another multiply the memory that the compiled pattern takes: 30 bytes of
// text can become 100 MB. What a device sends needs a hundredth of this.
const (
	maxPattern  = 10_000  // steps of one compiled pattern, some 100 bytes each
	maxPatterns = 100_000 // of all patterns of the configuration
)

// compile reads a pattern, unless it is too large.
func compile(s string) (*regexp.Regexp, error) {
	if size := patternSize(s); size > maxPattern {
		return nil, wrong("TYP006", "repeats in one another multiply: make the numbers in { } smaller",
			"the pattern is too large: compiled it has more than %d steps", maxPattern)
	}
	r, err := regexp.Compile(s)
	if err != nil {
		why := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		why = strings.TrimSuffix(why, ": `"+s+"`")
		return nil, wrong("TYP006", why, "the pattern cannot be read")
	}
	return r, nil
}

// affords tells whether the patterns of n still fit with those before it. It is asked before they are compiled.
func (l *loader) affords(n *node) bool {
	texts := []string{n.text()}
	for _, e := range n.elems {
		texts = append(texts, e.text())
	}
	for _, s := range texts {
		if size := patternSize(s); size <= maxPattern { // a larger one is refused by itself
			l.patterns += size
		}
	}
	return l.patterns <= maxPatterns
}

// patternSize is about how many steps a pattern has when it is compiled; 0 if it is none. The parsed form is small: repeats
// are written out only when it is compiled.
func patternSize(s string) int {
	re, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return 0
	}
	return steps(re)
}

func steps(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n = 1 + len(re.Rune)/4 // ranges are memory too
	case syntax.OpCapture:
		n = 2
	}
	for _, sub := range re.Sub {
		n = min(n+1+steps(sub), 2*maxPattern)
	}
	if re.Op == syntax.OpRepeat {
		n = min(n*max(re.Min, re.Max, 1), 2*maxPattern)
	}
	return n
}

package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zone data are built in
	"unicode/utf8"

	"legacybridge/adapters"
	"legacybridge/hardware/port"
)

// A class is an alphabet of names.
type class byte

const (
	anyName   class = iota
	tableName       // links, devices: [a-z0-9][a-z0-9-]*
	pointName       // points, computed: [a-z][a-z0-9_]*, which are JSON keys
	topicName       // events, types, ids, formats: [A-Za-z0-9_.-]{1,36}
	suffix          // as topicName, or empty
)

var classes = map[class]struct {
	pattern *regexp.Regexp
	rule    string
}{
	tableName: {regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`), "small letters, digits and -"},
	pointName: {regexp.MustCompile(`^[a-z][a-z0-9_]*$`), "small letters, digits and _, a letter first"},
	suffix:    {regexp.MustCompile(`^[A-Za-z0-9_.-]{0,36}$`), "at most 36 of the characters A-Z a-z 0-9 _ . -"},
	topicName: {regexp.MustCompile(`^[A-Za-z0-9_.-]{1,36}$`), "1 to 36 of the characters A-Z a-z 0-9 _ . -"},
}

func (l *loader) checkName(n *node, at place, name string, c class) {
	if rule, ok := classes[c]; ok && !rule.pattern.MatchString(name) {
		n.bad = true
		p := l.errorf("TYP007", at, "%q cannot be used as a name", name)
		p.label = "use " + rule.rule
	}
}

// A problemText is what is wrong with a value: message, label, and a code other than the kind's.
type problemText struct {
	code, message, label string
	at                   place // of a part of the value; zero: all of it
}

func (e *problemText) Error() string { return e.message }

func wrong(code, label, format string, args ...any) error {
	return &problemText{code: code, message: fmt.Sprintf(format, args...), label: label}
}

func wrongAt(at place, code, label, format string, args ...any) error {
	return &problemText{code, fmt.Sprintf(format, args...), label, at}
}

var errType = errors.New("wrong type")

// scalar parses a value that is no table of the grammar.
func (l *loader) scalar(n *node, k key) {
	if k.kind == secretTable {
		l.secret(n)
		return
	}
	if (k.kind == regex || k.kind == regexes) && !l.affords(n) {
		n.bad = true
		if !l.dear {
			l.dear = true
			p := l.errorf("TYP006", n.value(), "the patterns of the configuration are too large together: compiled they have more than %d steps", maxPatterns)
			p.label = "the pattern that is too much; it may not be the largest"
		}
		return
	}
	v, err := parseValue(n, k)
	switch text, ok := errors.AsType[*problemText](err); {
	case err == nil:
		n.parsed = v
	case ok:
		n.bad = true
		if text.at.src == nil {
			text.at = n.value()
		}
		p := l.errorf(text.code, text.at, "%s", text.message)
		p.label = text.label
		if k.kind == word && n.typeName() == "a text" {
			if meant := near(strings.ToLower(n.text()), k.words); meant != "" {
				p.replace(strconv.Quote(meant))
			}
			if k.code == "MOD004" {
				p.note("help", "not sure? The device's manual, or a value you know, decides between the four")
			}
		}
		if text.code == "TYP006" && strings.HasPrefix(n.value().written(), `"`) {
			p.note("help", "put patterns in single quotes: nothing needs to be doubled there")
		}
	default:
		l.wrongType(n, examples[k.kind][0], examples[k.kind][1])
	}
}

func parseValue(n *node, k key) (any, error) {
	s, isText := n.scalar.(string)
	switch k.kind {
	case anyText, rawBytes:
		if !isText {
			return nil, errType
		}
		if k.kind == rawBytes {
			return []byte(s), nil
		}
		return s, nil
	case yesNo:
		if v, ok := n.scalar.(bool); ok {
			return v, nil
		}
		return nil, errType
	case whole:
		v, ok := n.scalar.(int64)
		if !ok {
			return nil, errType
		}
		if (k.lo != 0 || k.hi != 0) && (v < k.lo || v > k.hi) {
			return nil, wrong("TYP004", bounds(k.lo, k.hi), "%s = %d is out of range", n.name, v)
		}
		return v, nil
	case number:
		if d := n.decimal(); d != "" {
			return d, nil
		}
		return nil, errType
	case fraction:
		f, err := strconv.ParseFloat(n.decimal(), 64)
		if err != nil {
			return nil, errType
		}
		if f < 0 || f > 1 {
			return nil, wrong("TYP004", "use 0 to 1", "%s = %s is out of range", n.name, n.decimal())
		}
		return f, nil
	case duration:
		return parseDuration(n, k)
	case size:
		return parseSize(n, k)
	case silence:
		return parseSilence(n, k)
	case word:
		if !isText {
			if v, ok := n.scalar.(int64); ok && slices.Contains(k.words, strconv.FormatInt(v, 10)) {
				return strconv.FormatInt(v, 10), nil
			}
			return nil, errType
		}
		if !slices.Contains(k.words, s) {
			code := k.code
			if code == "" {
				code = "TYP005"
			}
			return nil, wrong(code, "use "+or(k.words), "%q is not %s", s, k.what)
		}
		return s, nil
	case name:
		if !isText {
			return nil, errType
		}
		if rule := classes[k.class]; rule.pattern != nil && !rule.pattern.MatchString(s) {
			return nil, wrong("TYP007", "use "+rule.rule, "%q cannot be used as %s", s, n.name)
		}
		return s, nil
	case texts, names, textOrTexts:
		if isText && k.kind == textOrTexts {
			return []string{s}, nil
		}
		return textList(n)
	case regex:
		if !isText {
			return nil, errType
		}
		return compile(s)
	case regexes:
		list, err := oneOrMore(n)
		if err != nil {
			return nil, err
		}
		var all []*regexp.Regexp
		for _, s := range list {
			r, err := compile(s)
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
		return all, nil
	case letter, letterOrNone:
		if !isText {
			return nil, errType
		}
		if s == "" && k.kind == letterOrNone {
			return rune(0), nil
		}
		r, length := utf8.DecodeRuneInString(s)
		if length != len(s) || r == utf8.RuneError {
			return nil, wrong("TYP008", "one character", "%s = %q is not one character", n.name, s)
		}
		return r, nil
	case zone:
		if !isText {
			return nil, errType
		}
		if z, err := time.LoadLocation(s); err == nil && s != "" && s != "Local" {
			return z, nil
		}
		return nil, wrong("TYP009", `use a name such as "Europe/Berlin", "Asia/Seoul" or "UTC"`, "there is no time zone %q", s)
	case mode:
		if !isText {
			return nil, errType
		}
		m, err := port.ParseMode(s)
		if err != nil {
			why := strings.TrimPrefix(err.Error(), fmt.Sprintf("mode %q: ", s))
			return nil, wrong("SER021", `as in "9600 8N1" or "4800 7E1 xonxoff"`, "%s", why)
		}
		return m, nil
	case hostPort:
		if !isText {
			return nil, errType
		}
		return s, checkHostPort(s)
	case hexBytes:
		if !isText {
			return nil, errType
		}
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil || len(b) == 0 {
			return nil, wrong("TYP010", `two hexadecimal digits for each byte, as in "02" or "1b 40"`, "%s = %q is not hexadecimal", n.name, s)
		}
		return b, nil
	case byteRange:
		return parseRange(n)
	case servers:
		return parseServers(n)
	case encoding, encodings:
		list, err := oneOrMore(n)
		if err != nil || (k.kind == encoding && !isText) {
			return nil, errType
		}
		if _, err := adapters.NewEncoding(list...); err != nil {
			why, known, _ := strings.Cut(err.Error(), "; ")
			return nil, wrong("TYP011", known, "%s", why)
		}
		if k.kind == encoding {
			return s, nil
		}
		return list, nil
	case enum:
		return parseEnum(n)
	case raws:
		if n.elems == nil {
			return nil, errType
		}
		list := []string{}
		for _, e := range n.elems {
			if e.scalar == nil || (e.text() == "" && e.scalar != "") {
				return nil, errType
			}
			list = append(list, e.text())
		}
		return list, nil
	case bitSet:
		return parseBits(n)
	case change:
		return parseChange(n)
	case unitOf:
		return parseUnit(n)
	}
	return nil, errType
}

func bounds(lo, hi int64) string {
	if hi == math.MaxInt64 {
		return fmt.Sprintf("use %d or more", lo)
	}
	return fmt.Sprintf("use %d to %d", lo, hi)
}

func textList(n *node) ([]string, error) {
	if n.elems == nil {
		return nil, errType
	}
	list := []string{}
	for _, e := range n.elems {
		s, ok := e.scalar.(string)
		if !ok {
			return nil, errType
		}
		list = append(list, s)
	}
	return list, nil
}

func oneOrMore(n *node) ([]string, error) {
	if s, ok := n.scalar.(string); ok {
		return []string{s}, nil
	}
	list, err := textList(n)
	if err == nil && len(list) == 0 {
		return nil, errType
	}
	return list, err
}

package csvfile

import (
	"fmt"
	"strings"
	"time"
)

// A timeFormat is a strftime format, compiled once. It parses about as fast as the digits can be read, which time.Parse does not.
type timeFormat []step

// A step takes one letter's part, or one literal byte, off the text.
type step struct {
	letter  byte // 0: literal
	literal byte // ' ' matches any number of blanks
}

// A wall is what a text says about the time, before the zone is settled.
type wall struct {
	year, month, day     int
	yearDay              int
	hour, minute, second int
	nano                 int
	hour12               bool // hour counts to 12
	pm                   bool
	offset               int // seconds east, if hasOffset
	epoch                int64
	hasOffset, hasEpoch  bool
}

// The compound letters, in simple ones.
var compound = map[byte]string{'T': "%H:%M:%S", 'R': "%H:%M", 'D': "%m/%d/%y", 'F': "%Y-%m-%d", 'r': "%I:%M:%S %p"}

const timeLetters = "YymdeHkIlMSfLpbBhaAjzs"

// compileTime reads a strftime format: the letters of strptime, %f for a fraction of one to nine digits, %L for milliseconds.
func compileTime(format string) (timeFormat, error) {
	var f timeFormat
	has := map[byte]bool{}
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c == '\t' {
			c = ' '
		}
		if c != '%' {
			f = append(f, step{literal: c})
			continue
		}
		if i++; i == len(format) {
			return nil, fmt.Errorf("time format %q ends with a single %%", format)
		}
		c = format[i]
		if long, ok := compound[c]; ok {
			more, _ := compileTime(long + "%s")
			for _, s := range more[:len(more)-1] {
				f = append(f, s)
				has[s.letter] = true
			}
			continue
		}
		switch {
		case c == '%':
			f = append(f, step{literal: '%'})
		case c == 'n', c == 't':
			f = append(f, step{literal: ' '})
		case strings.IndexByte(timeLetters, c) >= 0:
			f = append(f, step{letter: c})
			has[c] = true
		default:
			return nil, fmt.Errorf("time format %q: %%%c is not known; known are %s and T R D F r", format, c, strings.Join(strings.Split(timeLetters, ""), " "))
		}
	}
	month := has['m'] || has['b'] || has['B'] || has['h']
	day := has['d'] || has['e']
	if !has['s'] && (!has['Y'] && !has['y'] || !has['j'] && !(month && day)) {
		return nil, fmt.Errorf("time format %q has no date: year, month and day are needed", format)
	}
	if (has['I'] || has['l']) && !has['p'] {
		return nil, fmt.Errorf("time format %q counts hours to 12 and does not say %%p", format)
	}
	return f, nil
}

// parse reads the whole of t.
func (f timeFormat) parse(t string) (w wall, ok bool) {
	w = wall{month: 1, day: 1}
	for _, s := range f {
		switch {
		case s.letter != 0:
			if t, ok = w.take(s.letter, t); !ok {
				return w, false
			}
		case s.literal == ' ':
			t = strings.TrimLeft(t, " \t")
		default:
			if t == "" || t[0] != s.literal {
				return w, false
			}
			t = t[1:]
		}
	}
	return w, t == "" && w.settle()
}

// take reads the part of one letter and returns what is left of t.
func (w *wall) take(letter byte, t string) (rest string, ok bool) {
	switch letter {
	case 'Y':
		return digits(t, 4, 4, 0, 9999, &w.year)
	case 'y':
		if t, ok = digits(t, 2, 2, 0, 99, &w.year); w.year < 69 {
			w.year += 100
		}
		w.year += 1900
		return t, ok
	case 'm':
		return digits(t, 1, 2, 1, 12, &w.month)
	case 'd', 'e':
		return digits(strings.TrimLeft(t, " "), 1, 2, 1, 31, &w.day)
	case 'j':
		return digits(t, 1, 3, 1, 366, &w.yearDay)
	case 'H', 'k':
		return digits(strings.TrimLeft(t, " "), 1, 2, 0, 23, &w.hour)
	case 'I', 'l':
		w.hour12 = true
		return digits(strings.TrimLeft(t, " "), 1, 2, 1, 12, &w.hour)
	case 'M':
		return digits(t, 1, 2, 0, 59, &w.minute)
	case 'S':
		return digits(t, 1, 2, 0, 60, &w.second) // 60: a leap second, which becomes the next one
	case 'L':
		t, ok = digits(t, 3, 3, 0, 999, &w.nano)
		w.nano *= 1e6
		return t, ok
	case 'f':
		rest, ok = digits(t, 1, 9, 0, 999_999_999, &w.nano)
		for n := len(t) - len(rest); n < 9; n++ {
			w.nano *= 10
		}
		return rest, ok
	case 'p':
		if len(t) < 2 || t[1]|0x20 != 'm' || t[0]|0x20 != 'a' && t[0]|0x20 != 'p' {
			return t, false
		}
		w.pm = t[0]|0x20 == 'p'
		return t[2:], true
	case 'b', 'B', 'h':
		return name(t, &w.month, func(n int) string { return time.Month(n).String() }, 1, 12)
	case 'a', 'A':
		var day int
		return name(t, &day, func(n int) string { return time.Weekday(n).String() }, 0, 6)
	case 'z':
		return w.zone(t)
	default: // 's'
		w.hasEpoch = true
		return digits(t, 1, 11, 0, 99_999_999_999, &w.epoch)
	}
}

// zone reads Z, +hhmm or +hh:mm.
func (w *wall) zone(t string) (rest string, ok bool) {
	w.hasOffset = true
	if t != "" && t[0]|0x20 == 'z' {
		return t[1:], true
	}
	if t == "" || t[0] != '+' && t[0] != '-' {
		return t, false
	}
	var hours, minutes int
	sign := 1
	if t[0] == '-' {
		sign = -1
	}
	if t, ok = digits(t[1:], 2, 2, 0, 15, &hours); !ok {
		return t, false
	}
	t = strings.TrimPrefix(t, ":")
	t, ok = digits(t, 2, 2, 0, 59, &minutes)
	w.offset = sign * (hours*3600 + minutes*60)
	return t, ok
}

// settle brings hours to 24 and days of the year to months, and refuses days that do not exist.
func (w *wall) settle() bool {
	if w.hour12 {
		w.hour %= 12
		if w.pm {
			w.hour += 12
		}
	}
	if w.yearDay > 0 {
		t := time.Date(w.year, 1, w.yearDay, 0, 0, 0, 0, time.UTC)
		w.month, w.day = int(t.Month()), t.Day()
		return t.Year() == w.year
	}
	return w.day <= 28 || w.day <= daysIn(w.month, w.year)
}

func daysIn(month, year int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// digits reads least to most digits.
func digits[N int | int64](t string, least, most int, lowest, highest N, into *N) (rest string, ok bool) {
	n, i := N(0), 0
	for i < most && i < len(t) && '0' <= t[i] && t[i] <= '9' {
		n = n*10 + N(t[i]-'0')
		i++
	}
	*into = n
	return t[i:], i >= least && lowest <= n && n <= highest
}

// name reads an English name, whole or its first three letters, in any case.
func name(t string, into *int, names func(int) string, first, last int) (rest string, ok bool) {
	for n := first; n <= last; n++ {
		full := names(n)
		if len(t) >= len(full) && strings.EqualFold(t[:len(full)], full) {
			*into = n
			return t[len(full):], true
		}
		if len(t) >= 3 && strings.EqualFold(t[:3], full[:3]) && (len(t) == 3 || t[3]|0x20 < 'a' || t[3]|0x20 > 'z') {
			*into = n
			return t[3:], true
		}
	}
	return t, false
}

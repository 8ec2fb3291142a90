package config

import (
	"strconv"
	"strings"
)

// endOfString returns the offset after the string that begins at pos, -1 if it does not end.
func endOfString(text string, pos int) int {
	quote := text[pos : pos+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(text[pos:], triple) {
		for i := pos + 3; i < len(text); i++ {
			switch {
			case text[i] == '\\' && quote == `"`:
				i++
			case strings.HasPrefix(text[i:], triple):
				end := i + 3
				for range 2 { // up to two quotes may stand before the closing three
					if strings.HasPrefix(text[end:], quote) {
						end++
					}
				}
				return end
			}
		}
		return -1
	}
	for i := pos + 1; i < len(text) && text[i] != '\n'; i++ {
		switch {
		case text[i] == '\\' && quote == `"`:
			i++
		case text[i] == quote[0]:
			return i + 1
		}
	}
	return -1
}

// unquote decodes a one-line string in double quotes. starts holds, for each byte of the result, the offset in s where
// it was written, and len(s)-1 for the end.
func unquote(s string) (text string, starts []int) {
	var b strings.Builder
	add := func(at int, piece string) {
		b.WriteString(piece)
		for range len(piece) {
			starts = append(starts, at)
		}
	}
	for i := 1; i < len(s)-1; i++ {
		if s[i] != '\\' || i+1 >= len(s)-1 {
			add(i, s[i:i+1])
			continue
		}
		at, digits := i, 0
		i++
		switch s[i] {
		case 'x':
			digits = 2
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default:
			if n := strings.IndexByte("btnfre", s[i]); n >= 0 {
				add(at, "\b\t\n\f\r\x1b"[n:n+1])
			} else {
				add(at, s[i:i+1])
			}
			continue
		}
		end := min(i+1+digits, len(s)-1)
		code, _ := strconv.ParseUint(s[i+1:end], 16, 32)
		add(at, string(rune(code)))
		i = end - 1
	}
	return b.String(), append(starts, len(s)-1)
}

package csvfile

import "strings"

// A flaw is why a record is no row. The empty flaw is none.
type flaw struct {
	code, why string
}

// fields splits the text of one row and appends its values to dst. Values are as in the file, blanks included; quotes
// around a value are removed, doubled ones in it halved. A quote inside an unquoted value stands for itself.
func fields(dst []string, row, sep string, quote byte) ([]string, flaw) {
	if strings.IndexByte(row, quote) < 0 {
		return plainFields(dst, row, sep)
	}
	for first := len(dst); ; {
		if len(dst)-first == maxFields {
			return dst, flaw{"CSV001", tooManyFields}
		}
		if row == "" || row[0] != quote {
			value, rest, more := strings.Cut(row, sep)
			dst = append(dst, value)
			if !more {
				return dst, flaw{}
			}
			row = rest
			continue
		}
		value, rest, closed := quoted(row[1:], quote)
		if !closed {
			return dst, flaw{"CSV002", "a quote is opened and not closed; the line is set aside and the lines after it are read on"}
		}
		dst = append(dst, value)
		if rest == "" {
			return dst, flaw{}
		}
		var ok bool
		if row, ok = strings.CutPrefix(rest, sep); !ok {
			return dst, flaw{"CSV002", "there is text after a closing quote; quotes inside a quoted value must be doubled"}
		}
	}
}

const tooManyFields = "the row has more than 1024 columns"

func plainFields(dst []string, row, sep string) ([]string, flaw) {
	first := len(dst)
	if len(sep) == 1 { // IndexByte is several times faster than Index
		for len(dst)-first < maxFields {
			i := strings.IndexByte(row, sep[0])
			if i < 0 {
				return append(dst, row), flaw{}
			}
			dst = append(dst, row[:i])
			row = row[i+1:]
		}
		return dst, flaw{"CSV001", tooManyFields}
	}
	for len(dst)-first < maxFields {
		value, rest, more := strings.Cut(row, sep)
		dst = append(dst, value)
		if !more {
			return dst, flaw{}
		}
		row = rest
	}
	return dst, flaw{"CSV001", tooManyFields}
}

// quoted takes a value whose opening quote is gone.
func quoted(s string, quote byte) (value, rest string, closed bool) {
	doubled := false
	for i := 0; i < len(s); i++ {
		j := strings.IndexByte(s[i:], quote)
		if j < 0 {
			return "", "", false
		}
		i += j
		if i+1 < len(s) && s[i+1] == quote {
			doubled = true
			i++
			continue
		}
		value, rest = s[:i], s[i+1:]
		if doubled {
			q := string(quote)
			value = strings.ReplaceAll(value, q+q, q)
		}
		return value, rest, true
	}
	return "", "", false
}

// leavesOpen tells whether a quoted value is still open at the end of s, given whether one was at its beginning. It follows
// the same rules as fields.
func leavesOpen[T string | []byte](s T, sep string, quote byte, open bool) bool {
	for i := 0; ; {
		if !open {
			if i < len(s) && s[i] == quote {
				open = true
				i++
			}
		}
		for open {
			for i < len(s) && s[i] != quote {
				i++
			}
			if i == len(s) {
				return true
			}
			if i++; i < len(s) && s[i] == quote {
				i++
				continue
			}
			open = false
		}
		for i < len(s) && (s[i] != sep[0] || len(s)-i < len(sep) || string(s[i:i+len(sep)]) != sep) {
			i++
		}
		if i == len(s) {
			return false
		}
		i += len(sep)
	}
}

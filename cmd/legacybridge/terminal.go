package main

import (
	"strconv"
	"strings"
	"unicode"
)

// isCommand tells characters that a terminal takes for more than a picture: control characters, those that turn the
// direction of writing, and line ends by other names. Names of files and texts of equipment and networks are not ours.
func isCommand(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// plain writes such characters out, so that text is one line and nothing but text.
func plain(text string) string {
	if !strings.ContainsFunc(text, isCommand) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if !isCommand(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// plainLines is plain for what may have several lines.
func plainLines(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = plain(lines[i])
	}
	return strings.Join(lines, "\n")
}

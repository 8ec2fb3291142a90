package config

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// tabStop is how far a tab reaches, in cells, as terminals have it.
const tabStop = 8

// wide are the letters that take two cells (Unicode East Asian Width W and F, in blocks).
var wide = [][2]rune{
	{0x1100, 0x115F}, {0x2E80, 0x303E}, {0x3041, 0x33FF}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xA000, 0xA4CF},
	{0xA960, 0xA97F}, {0xAC00, 0xD7A3}, {0xF900, 0xFAFF}, {0xFE30, 0xFE6F}, {0xFF01, 0xFF60}, {0xFFE0, 0xFFE6},
	{0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD},
}

// width is the number of display cells of s, which begins a line.
func width(s string) int {
	cells := 0
	for _, r := range s {
		cells += runeCells(r, cells)
	}
	return cells
}

// runeCells is the width of r at the given cell of a line.
func runeCells(r rune, at int) int {
	switch {
	case r == '\t':
		return tabStop - at%tabStop
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf), r >= 0x1160 && r <= 0x11FF:
		return 0
	}
	for _, block := range wide {
		if r >= block[0] && r <= block[1] {
			return 2
		}
	}
	return 1
}

// display is s as a terminal may show it: tabs as blanks, and control characters, which could steer the terminal, as a
// replacement of their width.
func display(s string) string {
	var b strings.Builder
	cells := 0
	for _, r := range s {
		n := runeCells(r, cells)
		switch {
		case r == '\t':
			b.WriteString(strings.Repeat(" ", n))
		case unicode.Is(unicode.Cf, r):
		case unicode.IsControl(r) || r == utf8.RuneError:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
		cells += n
	}
	return b.String()
}

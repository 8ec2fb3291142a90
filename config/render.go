package config

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Write shows the problems: full (source line, caret, cause, fix), short (one line each), json (one array), or github
// (workflow annotations). Only full has colours.
func (p Problems) Write(w io.Writer, format string, color bool) error {
	var b strings.Builder
	switch format {
	case "full":
		if len(p) == 0 {
			return nil
		}
		for i := range p {
			p[i].full(&b, color)
			b.WriteByte('\n')
		}
		b.WriteString(p.closing())
	case "short":
		for i := range p {
			fmt.Fprintf(&b, "%s: %s %s: %s\n", p[i].where(), p[i].Severity, p[i].Code, p[i].short())
		}
	case "json":
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if p == nil {
			p = Problems{}
		}
		if err := enc.Encode(p); err != nil {
			return err
		}
	case "github":
		for i := range p {
			p[i].github(&b)
		}
	default:
		return fmt.Errorf("no format %q: use full, short, json or github", format)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (p Problems) closing() string {
	errors, warnings := p.Count()
	var parts []string
	if errors > 0 {
		parts = append(parts, count(errors, "error"))
	}
	if warnings > 0 {
		parts = append(parts, count(warnings, "warning"))
	}
	if more := p[0].more; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more,", more))
	}
	return fmt.Sprintf("%s in %s. Nothing was changed.\n", strings.Join(parts, ", "), count(p[0].files, "file"))
}

func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

func (p *Problem) where() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// short is the message on one line, with what to do about it if that is known.
func (p *Problem) short() string {
	hint := p.hint
	if hint == "" {
		hint = p.label
	}
	if hint == "" {
		return display(p.Message)
	}
	return display(p.Message + " (" + hint + ")")
}

func (p *Problem) github(b *strings.Builder) {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	fmt.Fprintf(b, "::%s file=%s", p.Severity, property.Replace(p.File))
	if p.Line > 0 {
		fmt.Fprintf(b, ",line=%d,col=%d,endColumn=%d", p.Line, p.Column, p.EndColumn)
	}
	fmt.Fprintf(b, ",title=%s::%s\n", p.Code, data.Replace(p.short()))
}

// A painter colours, or does not.
type painter bool

const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	blue   = "\x1b[1;34m"
	bold   = "\x1b[1m"
	plain  = "\x1b[0m"
)

func (on painter) paint(color, s string) string {
	if !on || s == "" {
		return s
	}
	return color + s + plain
}

// full writes one problem as cli.md shows it.
func (p *Problem) full(b *strings.Builder, color bool) {
	c, tone := painter(color), red
	if p.Severity == Warning {
		tone = yellow
	}
	fmt.Fprintf(b, "%s: %s\n", c.paint(tone, string(p.Severity)+"["+p.Code+"]"), c.paint(bold, display(p.Message)))

	lines := []int{p.Line}
	for _, s := range p.beside {
		n, _, _ := s.cells()
		lines = append(lines, n)
	}
	secondLine, secondFrom, secondTo := p.second.cells()
	lines = append(lines, secondLine)
	gutter := len(strconv.Itoa(slices.Max(lines)))
	bar := c.paint(blue, strings.Repeat(" ", gutter+1)+"|")
	row := func(n int, text string) {
		fmt.Fprintf(b, "%s %s\n", c.paint(blue, fmt.Sprintf("%*d |", gutter, n)), text)
	}
	pointer := func(from, to int, sign, tone, label string) {
		mark := strings.Repeat(" ", from-1) + c.paint(tone, strings.TrimRight(strings.Repeat(sign, to-from)+" "+display(label), " "))
		fmt.Fprintf(b, "%s %s\n", bar, mark)
	}

	fmt.Fprintf(b, "%s %s\n", c.paint(blue, strings.Repeat(" ", gutter)+"-->"), display(p.where()))
	if p.Line > 0 && !p.hide {
		fmt.Fprintln(b, bar)
		from, to := p.Column, p.EndColumn
		if len(p.beside) > 0 {
			p.lines(b, c, row, strings.Repeat(" ", gutter+1)+"...")
		} else {
			if above := p.Line - 1; p.before && above > 0 && isAssignment(p.at.src.row(above)) {
				text, _, _ := window(p.at.src.row(above), 1, 1)
				row(above, text)
			}
			var text string
			text, from, to = window(p.at.src.row(p.Line), from, to)
			row(p.Line, text)
		}
		pointer(from, to, "^", tone, p.label)
	}
	if secondLine > 0 {
		fmt.Fprintln(b, bar)
		fmt.Fprintf(b, "%s %s:%d:%d\n", c.paint(blue, strings.Repeat(" ", gutter)+":::"), display(p.second.src.name), secondLine, secondFrom)
		fmt.Fprintln(b, bar)
		text, from, to := window(p.second.src.row(secondLine), secondFrom, secondTo)
		row(secondLine, text)
		pointer(from, to, "-", blue, p.there)
	}
	for _, note := range p.notes {
		fmt.Fprintf(b, "%s= %s\n", strings.Repeat(" ", gutter+1), display(note))
	}
}

// besideColumn is where the arrow of a line with an annotation stands, unless a line is longer.
const besideColumn = 23

// lines writes several lines of one file, each with what is said about it.
func (p *Problem) lines(b *strings.Builder, c painter, row func(int, string), gap string) {
	all := slices.Clone(p.beside)
	slices.SortFunc(all, func(x, y beside) int { return x.off - y.off })
	column := besideColumn
	for _, s := range all {
		n, _, _ := s.cells()
		text, _, _ := window(s.src.row(n), 1, 1)
		column = max(column, width(text)+2)
	}
	last := 0
	for _, s := range all {
		n, _, _ := s.cells()
		if n == last {
			continue
		}
		if last > 0 && n > last+1 {
			fmt.Fprintln(b, c.paint(blue, gap))
		}
		text, _, _ := window(s.src.row(n), 1, 1)
		row(n, text+strings.Repeat(" ", column-width(text))+c.paint(blue, "← "+display(s.text)))
		last = n
	}
}

// Lines up to wholeLine cells are shown whole; longer ones are cut at a comma before cutLine, but never the marked part.
const (
	wholeLine = 100
	cutLine   = 80
)

// window is the part of a line that is shown, and the columns of the marked part in it. Secrets are covered.
func window(row string, from, to int) (text string, shownFrom, shownTo int) {
	row = display(cover(row))
	if width(row) <= wholeLine {
		return row, from, to
	}
	cells := []rune(row)
	start := 0
	if to > cutLine {
		start = skip(cells, min(from-1, to-1-cutLine/2))
		shift := width(string(cells[:start])) - 1
		from, to = max(from-shift, 1), max(to-shift, 2)
	}
	text = string(cells[start:])
	if start > 0 {
		text = "…" + text
	}
	if width(text) > wholeLine {
		to = min(to, wholeLine)
		shown := []rune(text)
		head := string(shown[:skip(shown, max(cutLine, to))])
		if n := strings.LastIndex(head, ", "); n >= 0 && width(head[:n+2]) >= to {
			head = head[:n+2]
		}
		text = head + "…"
	}
	return text, from, to
}

// skip returns how many runes take the given number of cells.
func skip(runes []rune, cells int) int {
	at := 0
	for i, r := range runes {
		if at += runeCells(r, at); at > cells {
			return i
		}
	}
	return len(runes)
}

// isAssignment tells whether a line says something about the same table.
func isAssignment(row string) bool {
	row = strings.TrimSpace(row)
	return row != "" && row[0] != '[' && row[0] != '#'
}

package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"legacybridge/adapters/csvfile"
	"legacybridge/mapping"
)

// file is a CSV link.
func (b *linkBuilder) file() *csvfile.Config {
	c := &csvfile.Config{
		Link:         b.name,
		Files:        b.loader.path(b.kind, val(b.node, b.kind.name, "")),
		Follow:       val(b.node, "follow", true),
		FromEnd:      val(b.node, "start", "begin") == "end",
		FlushPartial: val(b.node, "flush_partial_after", time.Duration(0)),
		Poll:         val(b.node, "poll", time.Second),
		Encoding:     val(b.node, "encoding", []string(nil)),
	}
	if _, err := filepath.Match(c.Files, ""); !b.kind.bad && (err != nil || val(b.node, b.kind.name, "") == "") {
		b.errorf("CSV024", b.kind.value(), "this names no file").label = `as in "/mnt/kiln/LOG_*.csv"`
	}
	n := b.sub("csv")
	decimal, thousands := val(n, "decimal", '.'), val(n, "thousands", rune(0))
	c.Format = csvfile.Format{
		Separator: val(n, "separator", ','),
		Quote:     val(n, "quote", '"'),
		Comment:   val(n, "comment", rune(0)),
		Skip:      int(val(n, "skip", int64(0))),
		Header:    val(n, "header", true),
		Columns:   val(n, "columns", []string(nil)),
		Footer:    val(n, "footer", (*regexp.Regexp)(nil)),
		MaxRecord: int(val(n, "max_record", int64(64<<10))),
	}
	b.csvKeys(n, &c.Format, decimal, thousands)
	if t := n.sub("time"); t != nil {
		c.Format.Time = &csvfile.Time{
			Columns: val(t, "column", []string(nil)),
			Format:  val(t, "format", ""),
			Zone:    val(t, "zone", b.cfg.Site.Zone),
			DST:     val(t, "dst", ""),
		}
		b.column(t.kid("column"), c.Format.Time.Columns)
		b.timeFormat(t, *c.Format.Time)
	}
	return c
}

func (b *linkBuilder) timeFormat(n *node, t csvfile.Time) {
	if columns := n.kid("column"); n.has("column") && len(t.Columns) == 0 {
		b.errorf("CSV023", columns.value(), "the time has no column").label = `as in "Time", or ["Date", "Time"]`
		return
	}
	if err := csvfile.CheckTime(t); err != nil && n.has("column") && n.has("format") {
		p := b.errorf("CSV023", n.kid("format").value(), "%v", err)
		p.label = `as in "%d.%m.%Y %H:%M:%S"`
	}
}

// csvKeys checks the keys of csv against one another.
func (b *linkBuilder) csvKeys(n *node, f *csvfile.Format, decimal, thousands rune) {
	if n.has("columns") && f.Header {
		p := b.errorf("CSV021", n.kid("columns").key(), `"columns" is for files without a header line`)
		p.label = "add  header = false, or leave it out"
	}
	if !f.Header && n.kid("columns") == nil {
		p := b.errorf("CSV021", n.kid("header").key(), "without a header line the columns have no names")
		p.label = `add  columns = ["…", "…"]`
	}
	for _, k := range []*node{n.kid("quote"), n.kid("comment"), n.kid("separator")} {
		if k == nil || k.bad {
			continue
		}
		if r, _ := k.parsed.(rune); strings.ContainsRune("\r\n", r) && r != 0 || r >= utf8.RuneSelf && k.name != "separator" {
			k.bad = true
			b.errorf("CSV022", k.value(), "%q cannot be the %s of a file", string(r), k.name).label = "use a printable ASCII character"
		}
	}
	roles := []struct {
		key string
		r   rune
	}{{"separator", f.Separator}, {"quote", f.Quote}, {"decimal", decimal}, {"thousands", thousands}, {"comment", f.Comment}}
	for i, a := range roles {
		for _, other := range roles[:i] {
			if a.r == 0 || a.r != other.r || (a.key == "decimal" && other.key == "separator") || (a.key == "thousands" && other.key == "separator") {
				continue // a number with a comma stands in quotes where the comma separates
			}
			k := n.kid(a.key)
			if k == nil {
				k = n.kid(other.key)
			}
			if k != nil && !k.bad {
				p := b.errorf("CSV022", k.value(), "%s and %s are the same character", other.key, a.key)
				p.label = "each needs its own"
			}
		}
	}
	seen := map[string]bool{}
	for i, name := range f.Columns {
		if seen[name] && n.has("columns") {
			b.errorf("CSV021", n.kid("columns").elems[i].value(), "column %q is named twice", name).label = "each column needs its own name"
		}
		seen[name] = true
	}
}

// column wants columns that exist, where the configuration names them all.
func (b *linkBuilder) column(n *node, names []string) {
	known := val(b.sub("csv"), "columns", []string(nil))
	if n == nil || n.bad || len(known) == 0 {
		return
	}
	for i, name := range names {
		if slices.Contains(known, name) {
			continue
		}
		at := n.value()
		if i < len(n.elems) {
			at = n.elems[i].value()
		}
		p := b.errorf("REF005", at, "csv.columns of %s has no %q", b.name, name)
		p.label = "its columns are " + list(known)
		if meant := near(name, known); meant != "" {
			p.label = fmt.Sprintf("did you mean %q?", meant)
			p.replace(`"` + meant + `"`)
		}
	}
}

// fileDevice takes every row of a file.
func (b *linkBuilder) fileDevice(d *deviceDef, m mapping.Device) csvfile.Device {
	dev := csvfile.Device{Name: d.name}
	use := func(column string) {
		if !slices.Contains(dev.Uses, column) {
			dev.Uses = append(dev.Uses, column)
		}
	}
	for _, p := range d.points {
		header := val(p.node, "column", "")
		b.column(p.kid("column"), []string{header})
		dev.Columns = append(dev.Columns, csvfile.Column{Point: p.name, Header: header})
		if c := p.unitPlace().column; c != "" {
			b.column(p.kid("read_unit").kid("column"), []string{c})
			use(c)
		}
	}
	for _, c := range templateColumns(m.ID) {
		b.column(d.kid("id"), []string{c})
		use(c)
	}
	return dev
}

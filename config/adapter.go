package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"legacybridge/adapters/csvfile"
	"legacybridge/adapters/modbus"
	"legacybridge/adapters/serial"
	"legacybridge/hardware/port"
	"legacybridge/mapping"
)

// frame says where a record of a serial line ends.
func (b *linkBuilder) frame() serial.Frame {
	n := b.sub("frame")
	f := serial.Frame{End: []byte("\n"), Max: 4096}
	if n == nil {
		return f
	}
	f = serial.Frame{
		Start:  val(n, "start", []byte(nil)),
		End:    val(n, "end", []byte(nil)),
		Length: int(val(n, "length", int64(0))),
		Idle:   val(n, "idle", time.Duration(0)),
		Max:    int(val(n, "max", int64(4096))),
	}
	if n.kid("end") == nil && n.kid("length") == nil && n.kid("idle") == nil {
		p := b.errorf("FRM021", n.head(), "the frames of %s have no end", b.name)
		p.label = "add end, length or idle"
	}
	if n.has("end") && len(f.End) == 0 {
		b.errorf("FRM021", n.kid("end").value(), "an empty end never comes").label = `as in "\r\n"`
	}
	least := max(f.Length, len(f.Start)+len(f.End))
	if least > f.Max {
		at := n.kid("max")
		if at == nil {
			at = n.kid("length")
		}
		if at != nil {
			b.errorf("FRM022", at.value(), "a frame has at least %d bytes and at most %d", least, f.Max).label = "no frame would ever pass"
		}
	}
	return f
}

// lineDevice is a device on a serial line.
func (b *linkBuilder) lineDevice(d *deviceDef, m mapping.Device) serial.Device {
	dev := serial.Device{Name: d.name, Lines: val(d.node, "line", []*regexp.Regexp(nil)), Every: m.Polled, Align: b.align(m)}
	if ask := d.sub("ask"); ask != nil {
		dev.Ask = &serial.Ask{Send: val(ask, "send", []byte(nil)), Timeout: val(ask, "timeout", time.Second)}
		if ask.has("send") && len(dev.Ask.Send) == 0 {
			b.errorf("FRM023", ask.kid("send").value(), "an empty question gets no answer").label = `as in "SI\r\n"`
		}
	}
	used := map[string]bool{}
	for _, p := range d.points {
		b.group(d, p.kid("from"))
		b.bytes(d, p)
		dev.Points = append(dev.Points, p.serial())
		if from := p.unitPlace().group; from != "" && !used[from] {
			used[from] = true
			b.group(d, p.kid("read_unit"))
			dev.Uses = append(dev.Uses, from)
		}
	}
	return dev
}

// group wants a group that a point uses in one of the device's lines.
func (b *linkBuilder) group(d *deviceDef, n *node) {
	if n == nil || n.bad || (d.kid("line") != nil && !d.has("line")) {
		return
	}
	at, name := n.value(), n.text()
	if k := n.kid("from"); k != nil {
		at, name = k.value(), k.text()
	}
	var known []string
	for _, r := range val(d.node, "line", []*regexp.Regexp(nil)) {
		known = append(known, r.SubexpNames()...)
	}
	known = slices.DeleteFunc(known, func(s string) bool { return s == "" })
	if name == "" || slices.Contains(known, name) {
		if name == "" {
			b.errorf("REF004", at, "a group has a name").label = "the NAME of (?<NAME>…) in line"
		}
		return
	}
	p := b.errorf("REF004", at, "line of %s has no group %q", d.name, name)
	switch meant := near(name, known); {
	case !d.has("line"):
		p.label = "the device has no line"
		p.note("fix", `line = '^(?<%s>[\d.]+) kg$'`, name)
	case meant != "":
		p.label = fmt.Sprintf("did you mean %q?", meant)
		p.replace(`"` + meant + `"`)
	case len(known) == 0:
		p.label = "it has no named group at all: write (?<" + name + ">…)"
	default:
		p.label = "its groups are " + list(known)
	}
}

// bytes holds a place in a frame against the frame.
func (b *linkBuilder) bytes(d *deviceDef, p *pointDef) {
	frame := b.sub("frame")
	at, ok := p.span("at")
	length := int(val(frame, "length", int64(0)))
	if !ok || length == 0 || val(frame, "end", []byte(nil)) != nil {
		return
	}
	if first, last := at.from, at.to-1; first >= length || (at.to > 0 && last >= length) || -first > length {
		p := b.errorf("FRM024", p.kid("at").value(), "a frame of %s has only %d bytes", b.name, length)
		p.label = fmt.Sprintf("the bytes are 0 to %d", length-1)
	}
}

// bus is a Modbus link.
func (b *linkBuilder) bus(wire port.Config) *modbus.Config {
	def := b.def.sub("modbus")
	framings := map[medium]modbus.Framing{onModbusTCP: modbus.TCP, onModbusRTU: modbus.RTU, onModbusRTUTCP: modbus.RTUOverTCP}
	return &modbus.Config{
		Link:    b.name,
		Port:    wire,
		Framing: framings[b.medium],
		Timeout: first("timeout", 500*time.Millisecond, b.node, def),
		Retries: int(first("retries", int64(2), b.node, def)),
		MaxGap:  int(first("max_gap", int64(8), b.node, def)),
		MaxRead: int(first("max_read", int64(120), b.node, def)),
		Gap:     val(b.node, "gap", time.Duration(0)),
	}
}

// busDevice is a unit of a Modbus link.
func (b *linkBuilder) busDevice(d *deviceDef, m mapping.Device) modbus.Device {
	dev := modbus.Device{Name: d.name, Unit: byte(val(d.node, "unit", int64(1))), Every: m.Polled, Align: b.align(m)}
	if n := d.kid("unit"); dev.Unit == 0 && !n.bad {
		p := b.errorf("MOD007", n.value(), "unit 0 is for everybody, and nobody answers it")
		p.label = "use 1 to 247; 255 for many Modbus TCP devices"
	}
	for _, p := range d.points {
		dev.Points = append(dev.Points, b.register(d, p))
	}
	b.sameUnit(d)
	return dev
}

// sameUnit refuses a unit that two devices of a link have.
func (b *linkBuilder) sameUnit(d *deviceDef) {
	place := func(d *deviceDef) place {
		if d.has("unit") {
			return d.kid("unit").value()
		}
		return d.head()
	}
	unit := val(d.node, "unit", int64(1))
	for _, other := range b.linkDef.devices {
		if other == d {
			return
		}
		if val(other.node, "unit", int64(1)) != unit || unit == 0 {
			continue
		}
		b.stage = together
		p := b.errorf("BUS002", place(d), "two devices on %s have unit %d", b.name, unit)
		b.stage = meaning
		if d.src == other.src {
			p.beside = []beside{{place(other), "devices." + other.name}, {place(d), "devices." + d.name}}
		} else {
			p.label = "devices." + d.name
			p.second, p.there = place(other), "devices."+other.name
		}
		switch {
		case b.medium == onModbusTCP:
			p.note("note", "both names would get the values of one piece of equipment")
		default:
			p.note("note", "both would answer at once; every reply on the bus would be damaged")
		}
		return
	}
}

// align is the zone in whose time a device is asked on multiples of its period; nil if no event wants that.
func (b *linkBuilder) align(m mapping.Device) *time.Location {
	if m.Polled > 0 && slices.ContainsFunc(m.Events, func(e mapping.EventRule) bool { return e.Align }) {
		return b.cfg.Site.Zone
	}
	return nil
}

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
	if _, err := filepath.Match(c.Files, ""); err != nil || val(b.node, b.kind.name, "") == "" {
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
	}
	return c
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

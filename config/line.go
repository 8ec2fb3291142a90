package config

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"legacybridge/adapters/serial"
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
	ends := len(f.Start) + len(f.End)
	switch at := n.kid("length"); {
	case at != nil && !at.bad && (f.Length <= ends || f.Length > f.Max):
		b.errorf("FRM022", at.value(), "%s do not lie between start and end (%d) and max (%d)", count(f.Length, "byte"), ends, f.Max).label = "no frame would ever pass"
	case f.Max <= ends:
		if at = n.kid("max"); at == nil {
			at = n
		}
		b.errorf("FRM022", at.value(), "start and end are longer than a frame may be").label = "no frame would ever pass"
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
	b.alone(d)
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
	dev.Commands = b.lineCommands(d)
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
	size := 1
	if at.single && p.typ != "" {
		size = max(typeBytes[p.typ], size)
	}
	if at.from+size > length || at.to > length || -at.from > length {
		p := b.errorf("FRM024", p.kid("at").value(), "a frame of %s has only %d bytes", b.name, length)
		p.label = fmt.Sprintf("the bytes are 0 to %d", length-1)
	}
}

package config

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"legacybridge/adapters/modbus"
	"legacybridge/hardware/port"
	"legacybridge/mapping"
)

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
	dev.Commands = b.busCommands(d)
	b.sameUnit(d)
	return dev
}

// alone wants every device of a line to tell its own answers, where there are several.
func (b *linkBuilder) alone(d *deviceDef) {
	if ask := d.kid("ask"); ask != nil && len(b.linkDef.devices) > 1 && d.kid("line") == nil && !d.unfinished() {
		p := b.warnf("BUS003", ask.key(), "%s cannot tell its own answers", d.name)
		p.label = "a late one of another device would be taken for its own"
		p.note("help", "a line that only its own answers match")
	}
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

// maxRegister is the last address on the wire.
const maxRegister = 65535

// register says where the point is on a bus.
func (b *linkBuilder) register(d *deviceDef, p *pointDef) modbus.Point {
	m := modbus.Point{Name: p.name, Type: p.typ, Order: val(p.node, "order", ""), Length: int(val(p.node, "length", int64(0))),
		Encoding: val(p.node, "encoding", "")}
	for table, name := range []string{"holding", "input", "coil", "discrete"} {
		if !p.has(name) {
			continue
		}
		m.Table = modbus.Table(table)
		number := val(p.node, name, int64(0))
		from := val(d.node, "count_from", int64(0))
		if b.looksLikeManual(d, p, name, number, from) {
			return m
		}
		words := int64(max((typeBytes[p.typ]+1)/2, 1))
		if p.typ == "text" {
			words = int64(m.Length+1) / 2
			if p.kid("length") == nil {
				b.errorf("KEY006", p.key(), `point %s has type "text" and no "length"`, p.name).label = "add  length = …, in bytes"
			}
		}
		limit := int64(first("max_read", int64(120), b.linkDef.node, b.def.sub("modbus")))
		if m.Table <= modbus.Input && words > limit {
			pr := b.errorf("MOD009", p.key(), "point %s takes %s, and one request reads at most %d", p.name, count(int(words), "register"), limit)
			pr.label = "raise max_read, or read less"
			return m
		}
		m.Address = b.address(d, p.kid(name), name, number, from, words)
	}
	return m
}

// address is where a number of the maker's list lies on the wire; so many registers begin there.
func (b *linkBuilder) address(d *deviceDef, at *node, table string, number, from, words int64) uint16 {
	switch address := number - from; {
	case address < 0:
		p := b.errorf("MOD001", at.value(), "%s register %d does not exist", table, number)
		p.label = fmt.Sprintf("this device counts from %d%s", from, countedAt(d))
	case address+words-1 > maxRegister:
		p := b.errorf("MOD003", at.value(), "%s register %d does not exist", table, number+words-1)
		p.label = fmt.Sprintf("the last one is %d", maxRegister+from)
	default:
		return uint16(address)
	}
	return 0
}

// manualRanges are the numbers that manuals give registers, the table as the first digit. Coils, 0xxxx, cannot be told.
var manualRanges = map[string][2]int64{"holding": {40001, 400001}, "input": {30001, 300001}, "discrete": {10001, 100001}}

// looksLikeManual refuses a number that has the table in it: it would read another register, without an error.
func (b *linkBuilder) looksLikeManual(d *deviceDef, p *pointDef, table string, number, from int64) bool {
	if val(p.node, "literal", false) {
		return false
	}
	nth := int64(0) // counted from 1
	switch r := manualRanges[table]; {
	case r[0] == 0:
	case number >= r[0] && number <= r[0]+9998:
		nth = number - r[0] + 1
	case number >= r[1] && number <= r[1]+maxRegister:
		nth = number - r[1] + 1
	}
	if nth == 0 {
		return false
	}
	meant := nth - 1 + from
	digit := strconv.FormatInt(number, 10)[:1]
	pr := b.errorf("MOD002", p.kid(table).value(), "%s register %d looks like a %sxxxx number", table, number, digit)
	pr.label = fmt.Sprintf("this device counts from %d%s: write %d", from, countedAt(d), meant)
	pr.replace(strconv.FormatInt(meant, 10))
	pr.note("note", "%d in the manual = %s %d counted from 1 = address %d on the wire", number, table, nth, nth-1)
	pr.note("help", "if the device really has a register %d, write  %s = %d, literal = true", number, table, number)
	return true
}

// countedAt is the line that says from what the device counts.
func countedAt(d *deviceDef) string {
	if n := d.kid("count_from"); n != nil {
		if line, _, _ := n.value().cells(); line > 0 {
			return fmt.Sprintf(" (line %d)", line)
		}
	}
	return ""
}

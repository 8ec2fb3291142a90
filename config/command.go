package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"legacybridge/adapters/modbus"
	"legacybridge/adapters/serial"
	"legacybridge/mapping"
	"legacybridge/publisher"
	"legacybridge/publisher/wiotp"
)

// The grammar of what may be written to equipment.

var writesKeys = []key{
	{name: "allow", kind: yesNo},
	{name: "audit", kind: anyText},
}

var commandKeys = []key{
	{name: "args", kind: named, class: pointName, what: "argument", sub: argKeys},
	{name: "write", kind: tableOf, on: modbusLinks, sub: writeKeys},
	{name: "send", kind: anyText, on: lines},
	{name: "expect", kind: regex, on: lines},
	{name: "verify", kind: tableOf, sub: []key{
		{name: "point", kind: anyText, need: true},
		{name: "within", kind: duration, lo: 10, hi: hour, need: true},
		{name: "tolerance", kind: number},
	}},
	{name: "only_if", kind: anyText},
	{name: "min_interval", kind: duration, lo: 1, hi: day},
	{name: "reply", kind: name, class: topicName},
}

var argKeys = []key{
	{name: "type", kind: word, words: []string{"number", "int", "bool", "text"}, what: "a type of an argument", need: true},
	{name: "min", kind: number},
	{name: "max", kind: number},
	{name: "enum", kind: raws},
}

var writtenTypes = []string{"u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"}

var writeKeys = []key{
	{name: "holding", kind: whole},
	{name: "coil", kind: whole},
	{name: "type", kind: word, words: writtenTypes, what: "a type that can be written"},
	{name: "order", kind: word, words: byteOrders, what: "a byte order", code: "MOD004"},
	{name: "value", kind: anyText, need: true},
	{name: "function", kind: whole, lo: 15, hi: 16},
	{name: "literal", kind: yesNo},
}

// Writes is [writes], and where commands come from.
type Writes struct {
	Allow bool
	Audit string // file
	Topic string // template of the commands' topics
}

func (l *loader) writes(cfg *Config) {
	n := l.single["writes"]
	cfg.Writes = Writes{Allow: val(n, "allow", false), Audit: l.pathOf(n, "audit", "state:writes.log"),
		Topic: val(l.single["platform"], "commands", publisher.DefaultCommands)}
	if cfg.Writes.Allow && cfg.Org == wiotp.Quickstart {
		p := l.errorf("CMD028", n.kid("allow").value(), "Quickstart has no commands")
		p.label = "leave it out, or name an organisation of your own"
		cfg.Writes.Allow = false
		return
	}
	if n.has("audit") && val(n, "audit", "") == "" {
		l.errorf("CFG011", n.kid("audit").value(), "the audit log has no name").label = `as in "state:writes.log"`
	}
	for _, d := range l.devices {
		listed := tables(d.sub("commands"))
		if cfg.Writes.Allow || len(listed) == 0 || n.kid("allow") != nil && n.kid("allow").bad {
			continue
		}
		p := l.warnf("CMD021", listed[0].head(), "the command %s of %s has no effect: nothing is written to equipment", listed[0].name, d.name)
		p.label = "[writes] allow is false"
		if n.has("allow") {
			p.second, p.there = n.kid("allow").value(), "here"
		}
		p.note("fix", "[writes]  allow = true  lets the commands that are listed through, and no others")
		return // one is enough: the cause is the same for all
	}
}

// commands gives the rules of a device's commands.
func (b *linkBuilder) commands(d *deviceDef, m *mapping.Device) {
	for _, n := range tables(d.sub("commands")) {
		c := mapping.Command{Name: n.name, OnlyIf: val(n, "only_if", ""), MinInterval: val(n, "min_interval", time.Duration(0)),
			Reply: val(n, "reply", ""), QoS: b.qos(n), WithID: val(b.def, "with_id", true)}
		for _, a := range tables(n.sub("args")) {
			c.Args = append(c.Args, b.arg(a))
		}
		if v := n.sub("verify"); v != nil {
			c.Verify = mapping.Verify{Point: val(v, "point", ""), Within: val(v, "within", time.Second), Tolerance: val(v, "tolerance", "")}
			b.verified(d, m, v)
		}
		if slices.ContainsFunc(m.Events, func(e mapping.EventRule) bool { return e.Name == c.Reply }) {
			p := b.errorf("CMD026", n.kid("reply").value(), "%s has an event %q already", d.name, c.Reply)
			p.label = "a reply needs a name of its own"
		}
		if b.carrier(d, n, &c) {
			m.Commands = append(m.Commands, c)
		}
	}
}

// carrier is what carries the command: registers or coils, or a text on a line. It is false if it is not there.
func (b *linkBuilder) carrier(d *deviceDef, n *node, c *mapping.Command) bool {
	missing := func(what, example string) bool {
		p := b.errorf("CMD022", n.head(), "the command %s of %s does not say what is %s", n.name, d.name, what)
		p.label = "add  " + example
		return false
	}
	if b.medium&lines != 0 {
		if n.kid("send") == nil {
			return missing("sent", `send = "…\r\n"`)
		}
		if c.Send = val(n, "send", ""); n.has("send") && c.Send == "" {
			b.errorf("CMD022", n.kid("send").value(), "the command %s of %s sends nothing", n.name, d.name).label = `as in "Z\r\n"`
			return false
		}
		return n.has("send")
	}
	w := n.kid("write")
	if w == nil {
		return missing("written", `write = { holding = …, value = "…" }`)
	}
	if w.bad || !w.table || !w.has("value") || !b.oneTable(d, n, w) {
		return false
	}
	if c.Value = val(w, "value", ""); strings.TrimSpace(c.Value) == "" {
		b.errorf("CMD022", w.kid("value").value(), "the command %s of %s writes no value", n.name, d.name).label = "an expression over its arguments"
		return false
	}
	c.Type = val(w, "type", "u16")
	if w.kid("coil") != nil {
		c.Type = "bool"
	}
	return true
}

// oneTable wants one place, and keys that fit it.
func (b *linkBuilder) oneTable(d *deviceDef, n, w *node) bool {
	holding, coil := w.kid("holding"), w.kid("coil")
	switch {
	case holding == nil && coil == nil:
		p := b.errorf("CMD023", w.head(), "the command %s of %s does not say where it writes", n.name, d.name)
		p.label = "add  holding = …  or  coil = …"
		p.note("note", "inputs and discrete inputs can only be read")
		return false
	case holding != nil && coil != nil:
		b.errorf("CMD023", coil.key(), "the command %s of %s writes in two places at once", n.name, d.name).label = "leave out one of the two"
		return false
	}
	for _, name := range []string{"type", "order"} {
		if k := w.kid(name); coil != nil && k != nil && !k.bad {
			b.errorf("KEY005", k.key(), "%q has no meaning for a coil", name).label = "a coil is true or false"
			return false
		}
	}
	f := val(w, "function", int64(0))
	if k := w.kid("function"); w.has("function") && (f == 15) != (coil != nil) {
		p := b.errorf("CMD024", k.value(), "function %d does not write this", f)
		p.label = "15 is for coils, 16 for registers"
		return false
	}
	return w.has("holding") || w.has("coil")
}

func (b *linkBuilder) arg(n *node) mapping.Arg {
	kinds := map[string]mapping.ArgKind{"number": mapping.NumberArg, "int": mapping.IntArg, "bool": mapping.BoolArg, "text": mapping.TextArg}
	a := mapping.Arg{Name: n.name, Kind: kinds[val(n, "type", "number")], Min: val(n, "min", ""), Max: val(n, "max", ""), Enum: val(n, "enum", []string(nil))}
	if slices.Contains([]string{"id", "ts", "d"}, n.name) {
		b.errorf("CMD025", n.key(), "%q cannot be the name of an argument", n.name).label = "every command may have a member of this name"
	}
	if n.has("enum") && len(a.Enum) == 0 {
		b.errorf("CMD025", n.kid("enum").value(), "the argument %s can have no value at all", n.name).label = "list the values, or leave enum out"
	}
	if a.Kind == mapping.BoolArg || a.Kind == mapping.TextArg {
		for _, name := range []string{"min", "max"} {
			if n.has(name) {
				b.errorf("CMD025", n.kid(name).key(), "%q has no meaning for the argument %s", name, n.name).label = "it is for numbers"
				a.Min, a.Max = "", ""
			}
		}
	}
	return a
}

// verified wants a point of the device.
func (b *linkBuilder) verified(d *deviceDef, m *mapping.Device, v *node) {
	var names []string
	for _, p := range m.Points {
		names = append(names, p.Name)
	}
	if name := val(v, "point", ""); v.has("point") && !slices.Contains(names, name) {
		b.unknownPoint(d, v.kid("point").value(), name, names)
	}
}

// busCommands says where the commands of a unit are written. Without [writes] allow the adapter gets none at all.
func (b *linkBuilder) busCommands(d *deviceDef) (all []modbus.Command) {
	for _, n := range tables(d.sub("commands")) {
		w := n.sub("write")
		if w == nil {
			continue
		}
		c := modbus.Command{Name: n.name, Type: val(w, "type", ""), Order: val(w, "order", ""), Function: int(val(w, "function", int64(0)))}
		table := "holding"
		if w.has("coil") {
			table, c.Table = "coil", modbus.Coil
		}
		number, from := val(w, table, int64(0)), val(d.node, "count_from", int64(0))
		if !w.has(table) || b.looksLikeManual(d, &pointDef{node: w}, table, number, from) {
			continue
		}
		c.Address = b.address(d, w.kid(table), table, number, from, int64(max(typeBytes[c.Type]/2, 1)))
		all = append(all, c)
	}
	if !b.cfg.Writes.Allow {
		return nil
	}
	return all
}

// lineCommands says what the answers of a line look like.
func (b *linkBuilder) lineCommands(d *deviceDef) (all []serial.Command) {
	for _, n := range tables(d.sub("commands")) {
		if b.cfg.Writes.Allow {
			all = append(all, serial.Command{Name: n.name, Expect: val(n, "expect", (*regexp.Regexp)(nil))})
		}
	}
	return all
}

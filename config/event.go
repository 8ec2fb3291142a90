package config

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/wiotp"
)

// defaultEvent is what a device without events sends.
const defaultEvent = "data"

// events gives the events of a device.
func (b *linkBuilder) events(d *deviceDef, m *mapping.Device) {
	m.Polled = b.polled(d)
	if k := d.kid("every"); k != nil && m.Polled == 0 && !k.bad {
		b.talks(d, k)
	}
	var names []string
	for _, p := range m.Points {
		names = append(names, p.Name)
	}
	for _, c := range m.Computed {
		names = append(names, c.Name)
	}
	if d.kid("events") == nil {
		m.Events = []mapping.EventRule{b.event(d, m, &node{src: d.src, name: defaultEvent, table: true, mark: d.mark}, names)}
	}
	for _, n := range tables(d.sub("events")) {
		m.Events = append(m.Events, b.event(d, m, n, names))
	}
	if n := d.kid("events"); n != nil && n.table && len(n.kids) == 0 {
		b.errorf("EVT007", n.head(), "device %s sends no event", d.name).label = `leave the table out for one event "data" with all points`
	}
}

// talks says that a period has no meaning for a device that is not asked.
func (b *linkBuilder) talks(d *deviceDef, k *node) {
	if d.unfinished() {
		return
	}
	p := b.errorf("EVT011", k.key(), "%s talks by itself: nobody asks it every %s", d.name, strings.Trim(k.value().written(), `"'`))
	p.label = "leave it out"
	if b.medium&lines != 0 {
		p.note("help", `a device that must be asked has  ask = { send = "…" }`)
	} else {
		p.note("help", "how often the file is looked at is the link's  poll")
	}
}

func (b *linkBuilder) event(d *deviceDef, m *mapping.Device, n *node, names []string) mapping.EventRule {
	batch := n.sub("batch")
	tooLarge := map[string]mapping.TooLarge{"chunk": mapping.Chunk, "split": mapping.Split, "reject": mapping.Reject}
	e := mapping.EventRule{
		Name:     n.name,
		Points:   b.eventPoints(d, n, names),
		Align:    val(n, "align", false),
		OnChange: b.changes(d, m, n, names),
		AtLeast:  val(n, "at_least", time.Duration(0)),
		When:     val(n, "when", ""),
		RowTime:  first("timestamp", "arrival", n, b.def) == "row",
		Batch:    mapping.Batch{Max: int(val(batch, "max", int64(0))), Within: val(batch, "within", time.Duration(0))},
		Format:   first("format", "json", n, b.def),
		Flat:     first("payload", "d", n, b.def) == "flat",
		QoS:      b.qos(n),
		TooLarge: tooLarge[first("too_large", "chunk", n, b.def)],
		Suffix:   first("chunk_suffix", "", n, b.def),
		WithID:   first("with_id", true, n, b.def),
	}
	b.pace(d, m, n, &e)
	if e.RowTime && b.sub("csv").sub("time") == nil {
		b.noTime(d, n)
		e.RowTime = false
	}
	if k := n.kid("too_large"); k != nil && e.TooLarge == mapping.Split && batch == nil {
		p := b.warnf("EVT005", k.value(), `without "batch" there is nothing to split`)
		p.label = "a reading that is too large becomes a dead letter"
	}
	if len(e.Name)+len(e.Suffix) > wiotp.MaxSegment && e.Suffix != "" && !n.bad {
		at := n.kid("chunk_suffix")
		if at == nil {
			at = b.def.kid("chunk_suffix")
		}
		p := b.errorf("TYP007", at.value(), "%q is longer than %d characters", e.Name+e.Suffix, wiotp.MaxSegment)
		p.label = "shorten it, or the name of the event"
	}
	if k := n.kid("when"); k != nil && !k.bad && strings.TrimSpace(e.When) == "" {
		k.bad = true
		b.errorf("EVT008", k.value(), "the condition is empty").label = "leave it out to send always"
	}
	return e
}

// noTime says that readings have no time of their own. [defaults] speaks for those that have one, and files should.
func (b *linkBuilder) noTime(d *deviceDef, n *node) {
	isFile := b.medium&rows != 0
	switch k := n.kid("timestamp"); {
	case k != nil:
		p := b.errorf("EVT004", k.value(), "the readings of %s have no time of their own", d.name)
		p.label = `use "arrival"`
		if isFile {
			p.label = `use "arrival", or add  csv.time`
		}
	case isFile:
		p := b.warnf("EVT004", d.head(), "the rows of %s are given the time of their arrival", d.name)
		p.label = `[defaults] says "row", but csv.time of the link is missing`
	}
}

// pace settles how often an event is sent.
func (b *linkBuilder) pace(d *deviceDef, m *mapping.Device, n *node, e *mapping.EventRule) {
	k := n.kid("every")
	if m.Polled == 0 {
		if k != nil && !k.bad {
			b.talks(d, k)
		}
		if a := n.kid("align"); e.Align && a != nil {
			a.bad = true
			b.errorf("EVT003", a.key(), "%s talks by itself, and nobody can say when", d.name).label = "leave it out"
		}
		e.Align = false
		return
	}
	every := val(n, "every", first("every", 10*time.Second, d.node, b.def))
	if every > m.Polled || e.Align {
		e.Every = every
	}
	if day := 24 * time.Hour; e.Align && day%every != 0 && every%day != 0 {
		p := b.errorf("EVT003", n.kid("align").key(), "every %s does not divide a day", short(every))
		p.label = "multiples of it would jump at midnight"
	}
	if k := n.kid("at_least"); k != nil && !k.bad && e.AtLeast < every {
		p := b.warnf("EVT009", k.value(), "at_least is shorter than the %s between two readings", short(every))
		p.label = "every reading would be sent"
	}
}

// eventPoints are the points of an event, in the order in which it names them.
func (b *linkBuilder) eventPoints(d *deviceDef, n *node, names []string) []string {
	k := n.kid("points")
	if k == nil {
		return names
	}
	var points []string
	globs := val(n, "points", []string(nil))
	for i, glob := range globs {
		found := matches(glob, names)
		if len(found) == 0 {
			k.bad = true
			b.unknownPoint(d, k.elems[i].value(), glob, names)
		}
		for _, name := range found {
			if !slices.Contains(points, name) {
				points = append(points, name)
			}
		}
	}
	if !k.bad && len(k.elems) == 0 {
		k.bad = true
		b.errorf("EVT001", k.value(), "event %s has no points", n.name).label = "leave it out for all points"
	}
	return points
}

// changes are what an event waits for; a name goes before a glob.
func (b *linkBuilder) changes(d *deviceDef, m *mapping.Device, n *node, names []string) []mapping.Change {
	k := n.sub("on_change")
	if k == nil {
		return nil
	}
	if len(k.kids) == 0 {
		k.bad = true
		b.errorf("EVT008", k.value(), "on_change names no point").label = `as in  { power = "2%" }; leave it out to send every reading`
	}
	byPoint := map[string]mapping.Change{}
	globs := slices.SortedStableFunc(slices.Values(k.kids), func(x, y *node) int {
		return cmp.Compare(strings.Count(y.name, "*")+strings.Count(y.name, "?"), strings.Count(x.name, "*")+strings.Count(x.name, "?"))
	})
	for _, g := range globs {
		found := matches(g.name, names)
		if len(found) == 0 && !g.bad {
			g.bad = true
			b.unknownPoint(d, g.key(), g.name, names)
		}
		c, ok := g.parsed.(mapping.Change)
		if !ok {
			continue
		}
		for _, name := range found {
			i := slices.IndexFunc(m.Points, func(p mapping.Point) bool { return p.Name == name })
			if i >= 0 && !c.Any && !numeric(m.Points[i]) && !b.spoilt(d, name) {
				g.bad = true
				p := b.errorf("EVT002", g.value(), "%s is no number: it cannot move by %s", name, g.value().written())
				p.label = `use "any"`
				p.replace(`"any"`)
				break
			}
			c.Point = name
			byPoint[name] = c
		}
	}
	var all []mapping.Change
	for _, name := range names {
		if c, ok := byPoint[name]; ok {
			all = append(all, c)
		}
	}
	return all
}

// spoilt tells whether a point has a problem of its own.
func (b *linkBuilder) spoilt(d *deviceDef, name string) bool {
	n := d.sub("points").kid(name)
	return n != nil && slices.ContainsFunc(n.kids, func(k *node) bool { return k.bad })
}

package config

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

// reserved are members that a payload has anyway.
var reserved = []string{"ts", "id", "clock"}

// device gives the rules of one device.
func (b *linkBuilder) device(d *deviceDef) mapping.Device {
	m := mapping.Device{Name: d.name, Type: val(d.node, "type", ""), ID: val(d.node, "id", d.name), IDs: val(d.node, "ids", []string(nil))}
	b.id(d, m.ID)
	decimal, thousands := rune(0), rune(0)
	if b.medium&rows != 0 {
		decimal, thousands = val(b.sub("csv"), "decimal", '.'), val(b.sub("csv"), "thousands", rune(0))
		if thousands == decimal { // reported
			thousands = 0
		}
	}
	for _, n := range tables(d.sub("points")) {
		b.notReserved(n)
		p, point := b.point(n, decimal, thousands)
		d.points = append(d.points, p)
		m.Points = append(m.Points, point)
	}
	for _, n := range tables(d.sub("computed")) {
		b.notReserved(n)
		if other := d.sub("points").kid(n.name); other != nil {
			p := b.errorf("EVT006", n.key(), "%q is a point and a computed value", n.name)
			p.label = "one name, one value"
			p.second, p.there = other.key(), "the point"
			continue
		}
		m.Computed = append(m.Computed, mapping.Computed{
			Name:     n.name,
			Is:       val(n, "is", ""),
			Unit:     val(n, "unit", ""),
			Decimals: int(val(n, "decimals", int64(-1))),
			Min:      val(n, "min", ""),
			Max:      val(n, "max", ""),
		})
	}
	if points := d.kid("points"); !d.unfinished() && (points == nil || (len(points.kids) == 0 && !points.bad)) {
		p := b.errorf("EVT007", d.head(), "device %s has no points", d.name)
		p.label = "nothing would be read from it"
		p.note("fix", "[devices.%s.points]", d.name)
	}
	b.events(d, &m)
	b.commands(d, &m)
	return m
}

// unfinished tells whether a key that is not supported yet would bring points: nothing is said about those.
func (d *deviceDef) unfinished() bool { return d.kid("profile") != nil }

// tables are the tables of a table of tables.
func tables(n *node) []*node {
	if n == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.kids), func(k *node) bool { return !k.table })
}

func (b *linkBuilder) notReserved(n *node) {
	if slices.Contains(reserved, n.name) {
		n.bad = true
		b.errorf("REF007", n.key(), "%q cannot be the name of a point", n.name).label = "every payload has a member of this name"
	}
}

// placeholders of an id.
var idPart = regexp.MustCompile(`\{row\.[^{}]+\}`)

// id checks the registered id, or the template that makes it.
func (b *linkBuilder) id(d *deviceDef, id string) {
	n, ids := d.kid("id"), d.kid("ids")
	if n != nil && n.bad {
		return
	}
	at, before := d.idPlace(), len(b.problems)
	defer func() { d.badID = len(b.problems) > before }()
	if !strings.ContainsAny(id, "{}") {
		if err := wiotp.CheckSegment("the id", id); err != nil {
			b.errorf("TYP007", at, "%q cannot be the id of a device", id).label = "use " + classes[topicName].rule
		}
		if ids != nil && !ids.bad {
			p := b.errorf("REF009", ids.key(), `"ids" is for an id that is made of columns`)
			p.label = `with id = "LAB-{row.Line}"`
		}
		return
	}
	switch {
	case b.medium&rows == 0:
		b.errorf("REF009", at, "only rows of a file can say whose they are").label = "write the id itself"
	case strings.ContainsAny(idPart.ReplaceAllString(id, ""), "{}"):
		b.errorf("REF009", at, "%q cannot be understood", id).label = "columns are written {row.COLUMN}"
	case ids == nil:
		p := b.errorf("REF009", at, "which ids may come is not said")
		p.label = "data never invent devices"
		p.note("fix", `ids = ["LAB-1", "LAB-2"]  lists them`)
	case !ids.bad && len(val(d.node, "ids", []string(nil))) == 0:
		b.errorf("REF009", ids.value(), `"ids" is empty`).label = "no row would belong to a device"
	}
	made := template(id)
	for i, one := range val(d.node, "ids", []string(nil)) {
		at := ids.elems[i].value()
		if err := wiotp.CheckSegment("the id", one); err != nil {
			b.errorf("TYP007", at, "%q cannot be the id of a device", one).label = "use " + classes[topicName].rule
		} else if made != nil && !made.MatchString(one) {
			p := b.errorf("REF009", at, "%q can never come of %q", one, id)
			p.label = "the fixed part of id differs"
		}
	}
}

// template is a pattern of what an id with columns can be.
func template(id string) *regexp.Regexp {
	var b strings.Builder
	last := 0
	for _, at := range idPart.FindAllStringIndex(id, -1) {
		b.WriteString(regexp.QuoteMeta(id[last:at[0]]) + ".*")
		last = at[1]
	}
	r, err := regexp.Compile("^" + b.String() + regexp.QuoteMeta(id[last:]) + "$")
	if err != nil {
		return nil
	}
	return r
}

// identities lists the registered devices for the embedded platform; two devices may not be one there.
func (l *loader) identities(cfg *Config) {
	taken := map[localplatform.Device]*deviceDef{}
	for _, link := range cfg.Links {
		for _, m := range link.Mapping.Devices {
			d := l.byName(m.Name)
			if d.badID {
				continue
			}
			ids := m.IDs
			if len(ids) == 0 {
				ids = []string{m.ID}
			}
			for _, id := range ids {
				one := localplatform.Device{Type: m.Type, ID: id}
				other := taken[one]
				if other == nil {
					taken[one] = d
					cfg.LocalCfg.Devices = append(cfg.LocalCfg.Devices, one)
					continue
				}
				if m.Type == "" || other == d {
					continue
				}
				p := l.errorf("REF008", d.idPlace(), "%s and %s are both %s/%s on the platform", other.name, d.name, m.Type, id)
				p.label = "each device has its own type and id"
				p.second, p.there = other.idPlace(), "the other one"
				break
			}
		}
	}
}

func (d *deviceDef) idPlace() place {
	if n := d.kid("id"); n != nil {
		return n.value()
	}
	return d.head()
}

func (l *loader) byName(name string) *deviceDef {
	i := slices.IndexFunc(l.devices, func(d *deviceDef) bool { return d.name == name })
	return l.devices[i]
}

// polled is how often a device is asked: as often as its fastest event wants it; 0 if it talks by itself.
func (b *linkBuilder) polled(d *deviceDef) time.Duration {
	if b.medium&modbusLinks == 0 && d.sub("ask") == nil {
		return 0
	}
	every := first("every", 10*time.Second, d.node, b.def)
	events := tables(d.sub("events"))
	if len(events) == 0 {
		return every
	}
	fastest := time.Duration(0)
	for _, e := range events {
		if own := val(e, "every", every); fastest == 0 || own < fastest {
			fastest = own
		}
	}
	return fastest
}

// matches returns the names that a name or glob stands for, in their own order.
func matches(glob string, names []string) []string {
	if !strings.ContainsAny(glob, "*?") {
		if slices.Contains(names, glob) {
			return []string{glob}
		}
		return nil
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		ok, err := path.Match(glob, name)
		return err != nil || !ok
	})
}

// unknownPoint says that nothing has this name.
func (b *linkBuilder) unknownPoint(d *deviceDef, at place, name string, names []string) {
	if d.unfinished() || len(names) == 0 {
		return // that is said already
	}
	if strings.ContainsAny(name, "*?") {
		p := b.errorf("REF003", at, "no point of %s matches %q", d.name, name)
		p.label = "its points are " + list(names)
		return
	}
	p := b.errorf("REF002", at, "%s has no point %q", d.name, name)
	if meant := near(name, names); meant != "" {
		p.label = fmt.Sprintf("did you mean %q?", meant)
		if strings.HasPrefix(at.written(), `"`) {
			meant = `"` + meant + `"`
		}
		p.replace(meant)
		return
	}
	p.label = "its points are " + list(names)
}

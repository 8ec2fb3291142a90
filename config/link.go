package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"legacybridge/adapters/serial"
	"legacybridge/hardware/port"
	"legacybridge/mapping"
)

// A linkDef is one [links.NAME].
type linkDef struct {
	*node
	kind    *node // the key that names the adapter; nil if there is not exactly one
	medium  medium
	devices []*deviceDef
}

// A deviceDef is one [devices.NAME].
type deviceDef struct {
	*node
	link   *linkDef // nil: unknown
	points []*pointDef
	badID  bool // a problem with id or ids was reported
}

func (d *deviceDef) medium() medium {
	if d.link == nil {
		return 0
	}
	return d.link.medium
}

// connect finds out what each link is and which devices are on it.
func (l *loader) connect() {
	var names []string
	byName := map[string]*linkDef{}
	for _, d := range l.links {
		names = append(names, d.name)
		byName[d.name] = d
		l.linkKind(d)
	}
	for _, d := range l.devices {
		n := d.kid("link")
		if n == nil {
			continue // the grammar says so
		}
		name, ok := n.scalar.(string)
		if !ok {
			continue
		}
		if d.link = byName[name]; d.link == nil && !l.partial {
			d.link = l.missingLink(n, name, names, byName)
		}
		if d.link != nil {
			d.link.devices = append(d.link.devices, d)
		}
	}
	for _, d := range l.links {
		if len(d.devices) == 0 && d.kind != nil && !l.partial {
			p := l.warnf("REF006", d.head(), "nothing is read from link %s", d.name)
			p.label = "no device is on it"
		}
	}
}

func (l *loader) missingLink(n *node, name string, names []string, byName map[string]*linkDef) *linkDef {
	n.bad = true
	p := l.errorf("REF001", n.value(), "link %q does not exist", name)
	p.before = true
	p.label = "no [links." + name + "] in any file"
	meant := near(name, names)
	if meant == "" {
		if len(names) > 0 {
			p.note("help", "links are %s", list(names))
		}
		return nil
	}
	p.hint = `did you mean "` + meant + `"?`
	p.second, p.there = byName[meant].head(), "did you mean this one?"
	p.replace(`"` + meant + `"`)
	p.note("fix", `link = "%s"`, meant)
	return byName[meant]
}

// linkKind wants exactly one of the keys that name an adapter.
func (l *loader) linkKind(d *linkDef) {
	var kinds []string
	for _, k := range linkKinds {
		if !k.soon {
			kinds = append(kinds, k.name)
		}
		n := d.kid(k.name)
		switch {
		case n == nil:
		case d.kind == nil:
			d.kind, d.medium = n, k.on
		default:
			p := l.errorf("KEY004", n.key(), "link %s is two things at once", d.name)
			p.label = "one link is one wire: leave out one of the two"
			p.second, p.there = d.kind.key(), "the other one"
			d.medium |= k.on
		}
	}
	if d.kind == nil {
		var known []string
		for _, k := range d.kids {
			if meant := near(k.name, kinds); meant != "" {
				known = append(known, k.name)
			}
		}
		if len(known) == 0 { // a slip of one of them is reported as that
			p := l.errorf("KEY004", d.head(), "link %s does not say what it is", d.name)
			p.label = "add " + or(kinds)
		}
	}
}

// link fills the Config of one link's adapter and mapping. ok is false if it cannot be told what it is.
func (l *loader) link(d *linkDef, cfg *Config) (Link, bool) {
	def := l.single["defaults"]
	link := Link{Name: d.name, Reopen: 2 * time.Second, Stale: map[string]time.Duration{}}
	link.Mapping = mapping.Config{ClockFloor: l.opt.Build, Zone: cfg.Site.Zone}
	if d.kind == nil || d.medium&(onModbusASCII|onFolder) != 0 || d.medium&(d.medium-1) != 0 {
		return link, false
	}
	wire := port.Config{}
	if d.medium&ttys != 0 {
		wire.TTY = l.tty(d)
		wire.Mode = first("mode", port.Mode{Baud: 9600, Bits: 8, Parity: 'N', Stop: 1}, d.node, def.sub("serial"))
		link.Reopen = val(def.sub("serial"), "reopen", link.Reopen)
	} else if d.medium&rows == 0 {
		wire.TCP = val(d.node, d.kind.name, "")
	}
	link.Reopen = val(d.node, "reopen", link.Reopen)

	b := &linkBuilder{loader: l, linkDef: d, def: def, cfg: cfg}
	switch {
	case d.medium&lines != 0:
		link.Serial = &serial.Config{Link: d.name, Port: wire, Encoding: val(d.node, "encoding", []string(nil)), Frame: b.frame()}
		for _, s := range val(d.node, "open", []string(nil)) {
			link.Serial.Open = append(link.Serial.Open, []byte(s))
		}
	case d.medium&modbusLinks != 0:
		link.Modbus = b.bus(wire)
	default:
		link.CSV = b.file()
		link.Reopen = link.CSV.Poll
	}
	for _, dev := range d.devices {
		m := b.device(dev)
		m.Live = link.Serial != nil // a line has no time of its own
		link.Stale[m.Name] = first("stale", usualSilence, dev.node, def).of(m.Polled)
		link.Mapping.Devices = append(link.Mapping.Devices, m)
		switch {
		case link.Serial != nil:
			link.Serial.Devices = append(link.Serial.Devices, b.lineDevice(dev, m))
		case link.Modbus != nil:
			link.Modbus.Devices = append(link.Modbus.Devices, b.busDevice(dev, m))
		case link.CSV != nil:
			link.CSV.Devices = append(link.CSV.Devices, b.fileDevice(dev, m))
		}
	}
	l.rules(d, link.Mapping)
	return link, true
}

// A linkBuilder fills one link.
type linkBuilder struct {
	*loader
	*linkDef
	def *node // [defaults]
	cfg *Config
}

var unstable = regexp.MustCompile(`^/dev/tty(USB|ACM)\d+$`)

// tty is the path of a serial port. Names that change with plugging are refused: they would one day be another device's.
func (l *loader) tty(d *linkDef) string {
	if d.kind.bad {
		return ""
	}
	path := l.path(d.kind, val(d.node, d.kind.name, ""))
	switch {
	case val(d.node, d.kind.name, "") == "":
		l.errorf("SER024", d.kind.value(), "the port has no name").label = `as in "/dev/serial/by-id/…"`
	case unstable.MatchString(path) && !val(d.node, "allow_unstable", false):
		p := l.errorf("SER022", d.kind.value(), "%s is another adapter after the next plugging", path)
		if stable := l.stableName(path); stable != "" {
			p.label = "use its stable name"
			p.replace(`"` + stable + `"`)
			p.note("fix", `%s = "%s"`, d.kind.name, stable)
		} else {
			p.label = "use its name below /dev/serial/by-id"
			p.note("help", "ls -l /dev/serial/by-id  shows the stable names of what is plugged in")
		}
		p.note("help", "if it can never be mistaken, write  allow_unstable = true")
	case strings.HasPrefix(path, "/dev/serial/by-path/"):
		p := l.warnf("SER023", d.kind.value(), "%s uses a by-path name: it changes if the cable moves to another socket", d.name)
		p.label = "a by-id name follows the adapter"
	}
	return path
}

// stableName is the link of udev that points to a port, "" if there is none.
func (l *loader) stableName(path string) string {
	for _, folder := range []string{"by-id", "by-path"} {
		found, err := filepath.Glob(filepath.Join(l.ports, folder, "*"))
		if err != nil {
			continue
		}
		for _, f := range found {
			if to, err := os.Readlink(f); err == nil && filepath.Base(to) == filepath.Base(path) {
				return f
			}
		}
	}
	return ""
}

// sharedPorts refuses a wire that has two owners.
func (l *loader) sharedPorts() {
	taken := map[string]*linkDef{}
	for _, d := range l.links {
		if d.kind == nil || d.kind.bad || d.medium&rows != 0 {
			continue
		}
		wire := val(d.node, d.kind.name, "")
		if d.medium&ttys != 0 {
			wire = l.path(d.kind, wire)
			if real, err := filepath.EvalSymlinks(wire); err == nil {
				wire = real
			}
		}
		if other := taken[wire]; other != nil {
			p := l.errorf("BUS001", d.kind.value(), "links %s and %s use the same wire", other.name, d.name)
			p.label = "one wire is one link: put the devices on one"
			p.second, p.there = other.kind.value(), "the other one"
			continue
		}
		taken[wire] = d
	}
}

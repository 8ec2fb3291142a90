package config

import (
	"errors"
	"slices"
	"strings"

	"legacybridge/mapping"
)

// rules lets package mapping check what it will compile, and shows its findings at their place in the file.
func (l *loader) rules(d *linkDef, cfg mapping.Config) {
	// One device at a time: a compiled large link would be the most that this process ever holds.
	var faults []*mapping.RuleError
	for i := range cfg.Devices {
		one := cfg
		one.Devices = cfg.Devices[i : i+1]
		_, err := mapping.New(one)
		faults = append(faults, ruleErrors(err)...)
	}
	for _, e := range faults {
		var dev *deviceDef
		for _, c := range d.devices {
			if c.name == e.Device {
				dev = c
			}
		}
		if e.Code == "EVT001" { // names that do not exist are known here, each at its own place
			continue
		}
		if dev == nil || dev.unfinished() || len(dev.points) == 0 || (dev.badID && slices.Equal(e.Path, []string{"id"})) {
			continue
		}
		n := dev.along(e.Path)
		if n == nil { // reported, with what is really wrong
			continue
		}
		at := n.head()
		if !n.table {
			at = n.value()
			if e.Offset >= 0 {
				at = n.inside(e.Offset, max(e.Length, 1))
			}
		}
		p := l.errorf(e.Code, at, "%s: %s", strings.Join(append([]string{e.Device}, e.Path...), "."), e.Why)
		p.label = e.Help
	}
}

// along follows a path below a device as far as the file has it. It is nil where a problem was reported on the way.
func (d *deviceDef) along(path []string) *node {
	n := d.node
	for _, step := range path {
		k := n.kid(step)
		if k == nil && n.name == "on_change" {
			for _, glob := range n.kids {
				if len(matches(glob.name, []string{step})) > 0 {
					k = glob
				}
			}
		}
		switch {
		case k == nil:
			return n
		case k.bad:
			return nil
		}
		n = k
	}
	return n
}

// ruleErrors takes a joined error apart.
func ruleErrors(err error) []*mapping.RuleError {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*mapping.RuleError
		for _, e := range joined.Unwrap() {
			all = append(all, ruleErrors(e)...)
		}
		return all
	}
	if e, ok := errors.AsType[*mapping.RuleError](err); ok {
		return []*mapping.RuleError{e}
	}
	return nil // there is no other kind
}

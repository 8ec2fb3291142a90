package mapping

import (
	"slices"
	"strings"
	"time"
)

// A device is one device's rules, made ready to run, and what they remember.
//
// Its values are its points and then its computed values, each in the order of the configuration.
type device struct {
	Device
	units    int // events that a reading can become, at least 1: what one lost reading counts
	points   []point
	counted  []bool // by value: it is in an event, so it counts when it is left out
	needed   []int  // points that an event, a change or an expression asks for
	computed []computed
	steps    []step // memories and computed values, in the order in which they can be had
	events   []event
	memories []memorySpec
	commands []command

	id     []piece           // of a template
	states map[string]*state // by produced id
	only   *state            // without a template

	shapes   []*shape // the ones met last, newest first
	values   []value  // of the reading at hand
	recalled []recalled
	count    int // index in Output.Counts of the Map under way
	epoch    int // the Map that count belongs to
}

// An event is an event rule.
type event struct {
	EventRule
	members []member
	changes []change
	when    *expression
}

type computed struct {
	Computed
	rounding
	expression *expression
}

// A step updates one memory, or computes one value.
type step struct {
	memory bool
	index  int // among memories, or computed
}

// A state is what the rules remember for one registered id.
type state struct {
	id       string
	events   []eventState
	memories []memory
}

// A piece of an id template is a literal or, if column is set, the name of a text of the reading.
type piece struct{ literal, column string }

// A shape says where the values of readings with the same names stand.
type shape struct {
	names  []string
	points []int // for each of needed: index in Values, -1: it is not there
	units  []int // for each of needed: the text of its unit
	id     []int // for each piece: the text of its column
}

// maxShapes is how many forms of readings a device is remembered with: a line that different patterns match has one for
// each. More are looked up anew, which is slower and nothing else.
const maxShapes = 8

// shape finds or makes the shape for names. It keeps no memory of the reading.
func (d *device) shape(names []string) *shape {
	for i, s := range d.shapes {
		if slices.Equal(s.names, names) {
			if i > 0 {
				copy(d.shapes[1:], d.shapes[:i])
				d.shapes[0] = s
			}
			return s
		}
	}
	s := &shape{names: make([]string, len(names))}
	for i, name := range names {
		s.names[i] = strings.Clone(name)
	}
	for _, i := range d.needed {
		s.points = append(s.points, slices.Index(names, d.points[i].Name))
		unit := -1
		if d.points[i].UnitFrom != "" {
			unit = slices.Index(names, d.points[i].UnitFrom)
		}
		s.units = append(s.units, unit)
	}
	for _, p := range d.id {
		column := -1
		if p.column != "" {
			column = slices.Index(names, p.column)
		}
		s.id = append(s.id, column)
	}
	d.shapes = slices.Insert(d.shapes[:min(len(d.shapes), maxShapes-1)], 0, s)
	return s
}

// state finds the memory of the registered id that a reading belongs to. buf is room for the id.
func (d *device) state(s *shape, values []string, buf []byte) (*state, []byte, *fault) {
	if d.only != nil {
		return d.only, buf, nil
	}
	buf = buf[:0]
	for i, p := range d.id {
		switch {
		case p.column == "":
			buf = append(buf, p.literal...)
		case s.id[i] < 0:
			return nil, buf, &fault{"MAP016", "the id " + d.ID + " needs " + p.column + ", which the record does not have"}
		default:
			buf = append(buf, trimBlanks(values[s.id[i]])...)
		}
	}
	found, ok := d.states[string(buf)]
	if !ok {
		return nil, buf, &fault{"MAP016", "the record is for the id " + quote(string(buf)) + ", which is not in ids"}
	}
	return found, buf, nil
}

// read gives all values of a reading their meaning. absences counts those that were left out.
func (d *device) read(s *shape, texts []string) (absences int, bad *fault) {
	for n, i := range d.needed {
		v := &d.values[i]
		at := s.points[n]
		*v = value{}
		if at >= 0 {
			unit := ""
			if s.units[n] >= 0 {
				unit = texts[s.units[n]]
			}
			if bad := d.points[i].read(v, texts[at], unit); bad != nil {
				return 0, bad
			}
		}
		if v.kind == absent && d.counted[i] {
			absences++
		}
	}
	return absences, nil
}

// compute updates the memories and the computed values of a reading at t.
func (d *device) compute(m *Mapper, s *state, t time.Time) (absences int) {
	for _, step := range d.steps {
		if step.memory {
			spec := &d.memories[step.index]
			r := &d.recalled[step.index]
			r.x, r.ok = s.memories[step.index].next(spec, &d.values[spec.source], t)
			continue
		}
		c := &d.computed[step.index]
		i := len(d.points) + step.index
		v := &d.values[i]
		c.expression.run(&m.machine, d.values, d.recalled, v, &c.rounding)
		if v.kind == absent && d.counted[i] {
			absences++
		}
	}
	return absences
}

// empty says whether all points of e are absent.
func (e *event) empty(values []value) bool {
	for i := range e.members {
		if values[e.members[i].index].kind != absent {
			return false
		}
	}
	return true
}

package mapping

import (
	"slices"
	"time"

	"github.com/expr-lang/expr/vm"

	"legacybridge/adapters"
)

// A Mapper maps the readings of one link. It remembers what was last sent, so it belongs to one goroutine.
type Mapper struct {
	devices map[string]*device
	floor   time.Time
	zone    *time.Location
	machine vm.VM
	epoch   int
	buf     []byte // of the payload at hand
}

// New checks cfg and compiles its expressions. Its error joins one *RuleError for each fault found.
func New(cfg Config) (*Mapper, error) {
	m := &Mapper{devices: make(map[string]*device, len(cfg.Devices)), floor: cfg.ClockFloor, zone: cfg.Zone}
	m.machine.MemoryBudget = memoryBudget
	if m.zone == nil {
		m.zone = time.UTC
	}
	var bad ruleErrors
	for _, rules := range cfg.Devices {
		if m.devices[rules.Name] != nil {
			bad.add(rules.Name, "MAP003", "there are two devices of this name", "")
			continue
		}
		m.devices[rules.Name] = newDevice(rules, &bad)
	}
	if err := bad.join(); err != nil {
		return nil, err
	}
	return m, nil
}

// Map maps readings that arrived at now. What it returns does not share memory with the readings.
func (m *Mapper) Map(now time.Time, readings []adapters.Reading) Output {
	return m.run(now, readings, false, "")
}

// Replay maps one reading, a dead letter's, once more: into the event that the letter names, or into all of its device.
// Neither every nor on_change and at_least hold an event back, but when does. now is when the record arrived. A mapper
// that replays should not map what a source reads, for it remembers what it saw.
func (m *Mapper) Replay(now time.Time, reading adapters.Reading, event string) Output {
	return m.run(now, []adapters.Reading{reading}, true, event)
}

func (m *Mapper) run(now time.Time, readings []adapters.Reading, replay bool, only string) Output {
	m.epoch++
	w := writer{m: m, now: now, left: len(readings), replay: replay, only: only}
	var last *device // readings of one device mostly come together
	for i := range readings {
		r := &readings[i]
		if last == nil || last.Name != r.Device {
			last = m.devices[r.Device]
		}
		w.reading(last, r)
		w.left--
	}
	return w.out
}

// A writer makes the output of one Map.
type writer struct {
	m      *Mapper
	now    time.Time
	left   int // readings that are not done
	replay bool
	only   string // the one event wanted; "": all
	out    Output
	slab   []byte // payloads are cut from it, so that most need no allocation of their own
}

func (w *writer) reading(d *device, r *adapters.Reading) {
	if d == nil {
		w.stray(r)
		return
	}
	units := d.units
	if w.only != "" {
		units = 1
	}
	count := w.count(d)
	before := len(w.out.Events)
	filtered, absences, bad := w.events(d, r)
	if bad != nil { // then there are no events
		w.out.Dead = append(w.out.Dead, w.dead(d, r, bad, units))
		count.Read += units
		return
	}
	count.Read += len(w.out.Events) - before + filtered
	count.Filtered += filtered
	count.Absent += absences
}

// stray is a record that belongs to no device of this link: a fault of the link, or of ours.
func (w *writer) stray(r *adapters.Reading) {
	bad := &fault{"MAP017", "the record is for the device " + quote(r.Device) + ", which this link does not have"}
	if r.Fault != nil {
		bad = &fault{r.Fault.Code, r.Fault.Why}
	}
	letter := w.dead(nil, r, bad, 1)
	w.out.Dead = append(w.out.Dead, letter)
	for i := range w.out.Counts {
		if w.out.Counts[i].Device == letter.Device {
			w.out.Counts[i].Read++
			return
		}
	}
	w.out.Counts = append(w.out.Counts, Count{Device: letter.Device, Read: 1})
}

// count is the ledger's line of d in this Map.
func (w *writer) count(d *device) *Count {
	if d.epoch != w.m.epoch {
		d.epoch, d.count = w.m.epoch, len(w.out.Counts)
		w.out.Counts = append(w.out.Counts, Count{Device: d.Name})
	}
	return &w.out.Counts[d.count]
}

// events appends what a reading becomes. On a fault it has changed nothing that is remembered.
func (w *writer) events(d *device, r *adapters.Reading) (filtered, absences int, bad *fault) {
	if r.Fault != nil {
		return 0, 0, &fault{r.Fault.Code, r.Fault.Why}
	}
	if len(r.Names) != len(r.Values) {
		return 0, 0, &fault{"MAP017", "the record has more or fewer values than names, so none can be told"}
	}
	own, arrival := w.times(d, r)
	if s := own.Unix(); s < firstSecond || s > lastSecond {
		return 0, 0, &fault{"MAP018", "the record's time is not in the years 0 to 9999, so no timestamp can say it"}
	}
	if w.only != "" && !d.has(w.only) {
		return 0, 0, &fault{"MAP017", "the rules have no event " + quote(w.only) + " any more"}
	}
	shape := d.shape(r.Names)
	state, buf, bad := d.state(shape, r.Values, w.m.buf)
	w.m.buf = buf
	if bad != nil {
		return 0, 0, bad
	}
	absences, bad = d.read(shape, r.Values)
	if bad != nil {
		return 0, 0, bad
	}
	absences += d.compute(w.m, state, own)
	w.conditions(d, own)
	for i := range d.events {
		e := &d.events[i]
		if w.only != "" && e.Name != w.only {
			continue
		}
		if !w.passes(d, e, &state.events[i], own) {
			filtered++
			continue
		}
		e.remember(&state.events[i], d.values, own)
		at, machine := arrival, true
		if e.RowTime {
			at, machine = own, own.Equal(arrival)
		}
		w.event(d, e, state.id, at, machine && at.Before(w.m.floor))
	}
	return filtered, absences, nil
}

// conditions notes how the interlocks of commands stand.
func (w *writer) conditions(d *device, own time.Time) {
	if w.replay {
		return
	}
	for i := range d.commands {
		c := &d.commands[i]
		if c.onlyIf == nil {
			continue
		}
		var v value
		c.onlyIf.run(&w.m.machine, d.values, d.recalled, &v, nil)
		now := Condition{Device: d.Name, Command: c.Name, Time: own}
		switch {
		case v.kind == truth && v.truth:
			now.State = True
		case v.kind == truth:
			now.State = False
		}
		at := slices.IndexFunc(w.out.Conditions, func(o Condition) bool { return o.Device == now.Device && o.Command == now.Command })
		if at < 0 {
			w.out.Conditions = append(w.out.Conditions, now)
			continue
		}
		w.out.Conditions[at] = now
	}
}

// times are the record's own time, if it has one, and when it arrived. Readings of an asked device, or one that talks
// by itself, have no time of their own: theirs is the arrival, and truer than now, for they may have waited for a commit.
func (w *writer) times(d *device, r *adapters.Reading) (own, arrival time.Time) {
	switch {
	case r.Time.IsZero():
		return w.now, w.now
	case d.Polled > 0 || d.Live:
		return r.Time, r.Time
	}
	return r.Time, w.now
}

func (w *writer) passes(d *device, e *event, s *eventState, t time.Time) bool {
	if !w.replay && !e.isDue(s, t, d.Polled, w.m.zone) || e.empty(d.values) {
		return false
	}
	if e.when != nil {
		var v value
		e.when.run(&w.m.machine, d.values, d.recalled, &v, nil)
		if !v.truth {
			return false
		}
	}
	return w.replay || e.wants(s, d.values, t)
}

func (w *writer) event(d *device, e *event, id string, at time.Time, unset bool) {
	w.m.buf = e.appendPayload(w.m.buf[:0], d.values, at, unset)
	if w.out.Events == nil {
		w.out.Events = make([]Event, 0, min(w.left*len(d.events), 1024))
	}
	number := NoNumber
	if e.WithID {
		number = AsMember
	}
	w.out.Events = append(w.out.Events, Event{
		Device: d.Name, Type: d.Type, ID: id, Name: e.Name, Format: e.Format, QoS: e.QoS,
		Time: at, Payload: w.cut(w.m.buf, len(d.events)), Number: number,
		Batch: e.Batch, TooLarge: e.TooLarge, Suffix: e.Suffix,
	})
}

// maxSlab bounds what one kept payload can hold on to.
const maxSlab = 64 << 10

// cut copies p into the slab. A new slab has room for such a payload of each reading that is left.
func (w *writer) cut(p []byte, events int) []byte {
	if len(p) > cap(w.slab)-len(w.slab) {
		w.slab = make([]byte, 0, max(len(p), min(len(p)*w.left*events, maxSlab)))
	}
	n := len(w.slab)
	w.slab = append(w.slab, p...)
	return w.slab[n:len(w.slab):len(w.slab)]
}

func (d *device) has(event string) bool {
	for i := range d.events {
		if d.events[i].Name == event {
			return true
		}
	}
	return false
}

package modbus

import (
	"errors"
	"fmt"
	"time"

	"github.com/goburrow/modbus"

	"legacybridge/adapters"
)

// maxShapes bounds what is kept of name lists with gaps; a unit that fails in more ways pays with memory per reading.
const maxShapes = 64

// A unit is one device of the bus: its requests, how it has answered, and when it is asked again.
type unit struct {
	Device
	origin   string
	points   []point
	requests []request
	of       []int // the request of each point
	names    []string
	shapes   map[string][]string // names without those of unanswered requests
	client   modbus.Client       // of the current Run

	text    []byte    // of the values of one poll, in order of arrival
	spans   [][2]int  // of each point in text
	got     []byte    // per request, 1 if it was answered with values in this poll
	arrived time.Time // the last of these answers

	tick  time.Time     // the poll that is due or was last made
	due   time.Time     // when to make it, or to repeat it, in the time that passes
	wall  time.Time     // due as a time of day; zero: it is none
	ahead time.Duration // how far due was away when it was set
	began time.Time     // the last poll
	done  bool          // Once: polled

	polled bool // at least once
	probe  int  // the request that was answered last: the one to ask a silent unit
	misses int  // polls in a row without an answer
	busy   int  // times in a row that the unit said so

	fault   error   // of the last miss
	late    history // polls before which one was left out
	damaged history // replies that were damaged
	counts  adapters.Counts
	state   adapters.DeviceState // as last reported
}

func newUnit(cfg *Config, d Device) (*unit, error) {
	if d.Unit == 0 {
		return nil, errors.New("unit 0 is for broadcasts, which nobody answers")
	}
	if d.Every <= 0 {
		return nil, fmt.Errorf("every is %v, must be positive", d.Every)
	}
	if len(d.Points) == 0 {
		return nil, errors.New("no points to read")
	}
	for _, c := range d.Commands {
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	u := &unit{Device: d, origin: fmt.Sprintf("%s unit %d", cfg.Link, d.Unit), shapes: map[string][]string{}}
	var err error
	if u.requests, err = plan(d.Points, cfg.MaxGap, cfg.MaxRead); err != nil {
		return nil, err
	}
	for _, p := range d.Points {
		point, err := newPoint(p)
		if err != nil {
			return nil, err
		}
		u.points = append(u.points, point)
		u.names = append(u.names, p.Name)
	}
	u.of = make([]int, len(u.points))
	for i, r := range u.requests {
		for _, p := range r.points {
			u.of[p] = i
		}
	}
	u.spans = make([][2]int, len(u.points))
	u.got = make([]byte, len(u.requests))
	u.late.size, u.damaged.size = 32, 50
	return u, nil
}

// read sends r once and decodes what came.
func (u *unit) read(r *request) error {
	var reply []byte
	var err error
	start, count := uint16(r.start), uint16(r.count)
	switch r.table {
	case Holding:
		reply, err = u.client.ReadHoldingRegisters(start, count)
	case Input:
		reply, err = u.client.ReadInputRegisters(start, count)
	case Coil:
		reply, err = u.client.ReadCoils(start, count)
	case Discrete:
		reply, err = u.client.ReadDiscreteInputs(start, count)
	}
	if err != nil {
		return err
	}
	var bit [1]byte
	for _, i := range r.points {
		p, from := &u.points[i], len(u.text)
		u.text = p.append(u.text, r.raw(p, reply, &bit))
		u.spans[i] = [2]int{from, len(u.text)}
	}
	u.arrived = time.Now()
	return nil
}

// ask sends r until it is answered, at most tries times. Only a lost error is returned: the others are the unit's,
// and are counted and kept in r.
func (u *unit) ask(w *wire, r *request, tries int) error {
	for ; tries > 0; tries-- {
		discarded := w.discarded
		r.fault = u.read(r)
		u.counts.Bad += w.discarded - discarded
		if l, ok := errors.AsType[lost](r.fault); ok {
			return l
		}
		if u.count(r.fault) {
			r.misses, r.after = 0, time.Time{}
			return nil
		}
		if _, ok := errors.AsType[*modbus.ModbusError](r.fault); ok {
			break // a gateway has tried itself
		}
	}
	r.misses++
	return nil
}

// count counts what became of a request and tells whether the unit has answered it, be it with a refusal.
func (u *unit) count(fault error) bool {
	if refusal, ok := errors.AsType[*modbus.ModbusError](fault); ok {
		u.counts.Exceptions++
		u.damaged.add(false)
		return !silentBehindGateway(refusal)
	}
	switch {
	case fault == nil:
		u.counts.Frames++
		u.damaged.add(false)
		return true
	case errors.Is(fault, errSilent), errors.Is(fault, errHungUp):
		u.counts.Timeouts++
	default: // errDamaged, or goburrow found what we did not
		u.counts.Bad++
		u.damaged.add(true)
	}
	return false
}

// poll asks for all points. The error is the wire's.
func (u *unit) poll(w *wire, retries int) error {
	u.polled = true
	u.text = u.text[:0]
	clear(u.got)
	answered, busy, unanswered := false, false, 0
	u.began = time.Now()
	first := u.probe
	for i := range u.requests {
		at := (first + i) % len(u.requests)
		r := &u.requests[at]
		if u.misses == 0 && u.began.Before(r.after) {
			continue // ignored by a unit that answers
		}
		tries := 1
		if u.misses == 0 && r.misses == 0 && unanswered == 0 {
			tries += retries
		}
		if err := u.ask(w, r, tries); err != nil {
			return err
		}
		if r.misses > 0 {
			u.fault = r.fault
			if r.misses >= patience {
				r.after = u.began.Add(probeEvery)
			}
			// What was answered last is asked first: if it is silent now, the rest would take as long for nothing.
			if unanswered++; unanswered == 2 || !answered {
				break
			}
			continue
		}
		answered, unanswered = true, 0
		if busy = isBusy(r.fault); busy {
			break // it is so for every request
		}
		u.probe = at
		if r.fault == nil {
			u.got[at] = 1
		}
	}
	if answered {
		u.misses = 0
	} else {
		u.misses++
		u.probe = u.leastIgnored()
	}
	if busy {
		u.busy++
	} else {
		u.busy = 0
	}
	return nil
}

// leastIgnored is the request to ask next when nothing is answered: the unit may know only the others.
func (u *unit) leastIgnored() int {
	least := 0
	for i := range u.requests {
		if u.requests[i].misses < u.requests[least].misses {
			least = i
		}
	}
	return least
}

// reading makes the reading of the last poll. Points of requests that were not answered with values are left out.
func (u *unit) reading() (adapters.Reading, bool) {
	n := len(u.points)
	for i, got := range u.got {
		if got == 0 {
			n -= len(u.requests[i].points)
		}
	}
	if n == 0 {
		return adapters.Reading{}, false
	}
	whole := n == len(u.points)
	names, text, values := u.names, string(u.text), make([]string, 0, n)
	if !whole {
		names = u.shape(n)
	}
	for i, of := range u.of {
		if u.got[of] != 0 {
			values = append(values, text[u.spans[i][0]:u.spans[i][1]])
		}
	}
	return adapters.Reading{Device: u.Name, Time: u.arrived.UTC(), Origin: u.origin, Names: names, Values: values}, true
}

// shape returns the n names of the requests in got: always the same list for the same requests.
func (u *unit) shape(n int) []string {
	if names, ok := u.shapes[string(u.got)]; ok {
		return names
	}
	names := make([]string, 0, n)
	for i, of := range u.of {
		if u.got[of] != 0 {
			names = append(names, u.names[i])
		}
	}
	if len(u.shapes) < maxShapes {
		u.shapes[string(u.got)] = names
	}
	return names
}

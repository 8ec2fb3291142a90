package main_test

import (
	"fmt"
	"time"
)

// A cutMoment is what was promised when the power went.
type cutMoment struct {
	at       time.Time
	seen     int                   // last row whose event had reached the broker: it and those before were stored
	acked    []message             // events that were acknowledged by then
	when     map[message]time.Time // of these
	received map[message]bool      // events that had come by then, acknowledged or not
	unsure   map[message]bool      // of these, what came while it was cut: it may have been stored after it
	promised []message             // events that were stored and not acknowledged
}

// look says what was promised: the first n arrivals came before the cut, the others while it was made.
func (p *powerPlant) look(came []arrival, n int, at time.Time) *cutMoment {
	t := p.t
	t.Helper()
	c := &cutMoment{at: at, seen: p.floor, when: map[message]time.Time{}, received: map[message]bool{}, unsure: map[message]bool{}}
	for i, a := range came {
		for _, e := range events(t, a.message) {
			if i >= n && !c.received[e] {
				c.unsure[e] = true
			}
			c.received[e] = true
			if _, before := c.when[e]; !before && !a.acked.IsZero() {
				c.when[e] = a.acked
				c.acked = append(c.acked, e)
			}
		}
	}
	known := map[message]bool{}
	promise := func(m message) {
		if _, acked := c.when[m]; !acked && !known[m] {
			known[m] = true
			c.promised = append(c.promised, m)
		}
	}
	for _, a := range came[:n] {
		if a.topic == nowTopic {
			c.seen = max(c.seen, rowOf(t, a.message))
			promise(a.message)
			promise(laterOf(t, a.message))
		}
	}
	return c
}

// judge holds what the copy delivered, and what was acknowledged before, against the promises.
func (p *powerPlant) judge(c *cutMoment, got []message, sum *cutResult) {
	t := p.t
	t.Helper()
	o := newOracle()
	o.names("now", nowEvent)
	o.names("later", laterEvent)
	for n := p.floor + 1; n <= p.rows; n++ {
		if p.good(n) {
			o.row(nowEvent, values(n))
			o.row(laterEvent, values(n))
		}
	}
	var all []message
	otherwise := map[string]message{} // how the copy told of a row
	row := func(e message) string { return fmt.Sprint(e.topic, rowOf(t, e)) }
	for _, m := range got {
		for _, e := range events(t, m) {
			otherwise[row(e)] = e
		}
	}
	for _, e := range c.acked {
		if other, told := otherwise[row(e)]; told && other != e && c.unsure[e] {
			continue // it was stored after the cut, and the copy went another way
		}
		all = append(all, e)
	}
	var again, inFlight, recent, older int
	there := map[message]bool{}
	for _, m := range got {
		for _, e := range events(t, m) {
			all = append(all, e)
			there[e] = true
			if c.received[e] {
				again++
			}
			if acked, ok := c.when[e]; ok {
				sum.undone = max(sum.undone, c.at.Sub(acked))
			}
		}
	}
	for e := range c.received {
		switch acked, ok := c.when[e]; {
		case !ok:
			inFlight++
		case c.at.Sub(acked) < cursorAge:
			recent++
		case c.at.Sub(acked) < busyAge:
			older++
		}
	}
	v := o.judge(all)
	lost, missing := 0, 0
	for _, n := range v.lost {
		lost += n
	}
	for _, e := range c.promised {
		if !there[e] {
			if missing++; missing < 5 && !p.mayLose {
				t.Errorf("promised, and not there after the cut: %v", e)
			}
		}
	}
	sum.cuts++
	sum.lost, sum.missing, sum.promised, sum.duplicates = sum.lost+lost, sum.missing+missing, sum.promised+len(c.promised), sum.duplicates+again
	if again >= sum.most {
		sum.most, sum.bound = again, inFlight+recent
	}
	if p.mayLose {
		return
	}
	if lost > 0 || missing > 0 || v.invented > 0 || v.disordered > 0 || v.changed > 0 {
		t.Errorf("cut %d: %d lost, %d of %d promised missing, %d invented, %d out of order, %d changed; for example %q",
			sum.cuts, lost, missing, len(c.promised), v.invented, v.disordered, v.changed, v.examples)
	}
	if again > inFlight+recent+older {
		t.Errorf("cut %d: %d duplicates, want at most %d in flight and %d acknowledged since the cursor was last synced", sum.cuts, again, inFlight, recent+older)
	}
}

// forget drops what was acknowledged long ago: none of it may come again.
func (p *powerPlant) forget(came []arrival, now time.Time) {
	t := p.t
	last := map[string]int{nowTopic: p.floor, laterTopic: p.floor}
	n := 0
	for ; n < len(came) && !came[n].acked.IsZero() && now.Sub(came[n].acked) > longAgo; n++ {
		list := events(t, came[n].message)
		last[came[n].topic] = max(last[came[n].topic], rowOf(t, list[len(list)-1]))
	}
	p.floor = min(last[nowTopic], last[laterTopic])
	p.w.forget(n, func(a *arrival) bool {
		list := events(t, a.message)
		return rowOf(t, list[len(list)-1]) <= p.floor
	})
}

package mapping

import "time"

// A change is one row of on_change.
type change struct {
	index   int // among the device's values
	any     bool
	by      decimal
	percent bool
}

// An eventState is what one event of one produced id remembers.
type eventState struct {
	due  time.Time // next point of the grid of every; zero before the first reading
	slot time.Time // with align: multiple of local time that was served last; zero before the first reading
	sent time.Time // zero: nothing yet
	last []value   // as sent, one for each change
}

// maxEarly is how far before its multiple of local time an aligned reading may come: timers and clocks differ a little.
// More would put a reading into the quarter of an hour before its own.
const maxEarly = time.Second

// isDue says whether a reading at t is one that every asks for, and moves the grid on.
//
// The device is polled more often than the event is sent, and polls come late and early. Half a poll decides which one
// belongs to a point of the grid, so a jitter of a quarter of the poll never takes the wrong one.
func (e *event) isDue(s *eventState, t time.Time, polled time.Duration, zone *time.Location) bool {
	if e.Every == 0 {
		return true
	}
	if e.Align {
		multiple := alignStart(t.Add(min(polled/5, maxEarly)), e.Every, zone)
		if s.slot.IsZero() {
			// After a start: was the multiple behind us served? Only a reading that is next to it is worth sending.
			s.slot = multiple
			return t.Sub(multiple) <= polled/2
		}
		if multiple.After(s.slot) || multiple.Before(s.slot.Add(-e.Every)) { // the clock went back for good
			s.slot = multiple
			return true
		}
		return false
	}
	if e.Every <= polled {
		return true
	}
	early := s.due.Sub(t)
	switch {
	case s.due.IsZero(), early > e.Every+polled: // first reading, or the clock went back
		s.due = t.Add(e.Every)
		return true
	case early > polled/2:
		return false
	}
	// Where the grid falls on polls it follows them slowly, for a poll's clock and the machine's drift apart and one
	// between two polls would be taken now here, now there.
	if polled > 0 && e.Every%polled == 0 && -early < polled {
		s.due = s.due.Add(-early / 4)
	}
	missed := max(0, (t.Sub(s.due)+polled/2)/e.Every)
	s.due = s.due.Add((missed + 1) * e.Every)
	return true
}

// wants says whether what moved since the event was last sent, or the time since then, asks for it.
func (e *event) wants(s *eventState, values []value, t time.Time) bool {
	if len(e.changes) == 0 || s.sent.IsZero() {
		return true
	}
	// The length of the span, so that a clock that went back does not end the heartbeat.
	if e.AtLeast > 0 && t.Sub(s.sent).Abs() >= e.AtLeast {
		return true
	}
	for i := range e.changes {
		if e.changes[i].moved(&values[e.changes[i].index], &s.last[i]) {
			return true
		}
	}
	return false
}

// moved compares with what was sent last. For any, to appear and to vanish are changes; for a distance, a point that
// is absent has not moved, and one that was never sent has.
func (c *change) moved(now, last *value) bool {
	if c.any {
		return !now.same(last)
	}
	if now.kind == absent {
		return false
	}
	if last.kind == absent {
		return true
	}
	distance := now.num.add(last.num.neg()).abs()
	if distance.zero() {
		return false
	}
	if c.percent {
		return distance.mul(decimal{coef: 100}).cmp(last.num.abs().mul(c.by)) >= 0
	}
	return distance.cmp(c.by) >= 0
}

// remember notes what is sent. Where a distance is asked for, an absent point leaves the value that was sent before.
func (e *event) remember(s *eventState, values []value, t time.Time) {
	s.sent = t
	for i := range e.changes {
		c := &e.changes[i]
		if v := &values[c.index]; c.any || v.kind != absent {
			s.last[i] = v.keep()
		}
	}
}

// alignStart is the last multiple of every in local time that is not after t. A multiple that the clock jumps over in
// spring counts as the moment of the jump; one that comes twice in autumn counts twice.
func alignStart(t time.Time, every time.Duration, zone *time.Location) time.Time {
	t = t.Round(0).In(zone)
	for {
		local := wallClock(t)
		start := t.Add(local.Truncate(every).Sub(local))
		jump, _ := t.ZoneBounds()
		if jump.IsZero() || !start.Before(jump) {
			return start
		}
		before := jump.Add(-1)
		if wallClock(jump).Truncate(every).After(wallClock(before)) {
			return jump
		}
		t = before
	}
}

// wallClock is what the local clock shows at t, as if that were UTC.
func wallClock(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.Add(time.Duration(offset) * time.Second).UTC()
}

package modbus

import "time"

const (
	// A unit that missed this many polls in a row is asked once per probeEvery, with one request.
	patience   = 3
	probeEvery = 30 * time.Second
	// The silent units leave the others ten times what their last probe took: a tenth of the time is theirs.
	probeShare = 10
	// After the first and the second miss, as multiples of what they took: most silences are short, and yet the first
	// minute of a dead unit costs no more than a tenth of it.
	firstPause, secondPause = 2, 20

	busyTries = 3
	busyFirst = 100 * time.Millisecond // then doubled
)

// next returns the unit to ask next, and when; nil if all are done. Oldest due first, then who was asked longest ago.
func (s *Source) next(now time.Time) (*unit, time.Time) {
	answering := false
	for _, u := range s.units {
		answering = answering || u.misses == 0
	}
	var first *unit
	var at time.Time
	for _, u := range s.units {
		if u.done {
			continue
		}
		if u.clockSet(now) {
			u.plan(s.started, now, now)
		}
		due := u.due
		if u.misses >= patience && answering && due.Before(s.probeAfter) {
			due = s.probeAfter
		}
		if first == nil || due.Before(at) || due.Equal(at) && u.began.Before(first.began) {
			first, at = u, due
		}
	}
	return first, at
}

// plan makes the first tick not before t the next poll.
func (u *unit) plan(started, now, t time.Time) {
	u.tick = tick(started, t, u.Every, u.Align)
	u.at(now, u.tick.Sub(now))
	if u.Align != nil {
		u.wall = u.tick
	}
}

func (u *unit) at(now time.Time, ahead time.Duration) {
	u.due, u.ahead, u.wall = now.Add(ahead), ahead, time.Time{}
}

// clockSet tells whether the clock was set since an aligned poll was planned: it is then due at another moment. Everything
// else is planned in the time that passes, for times of day cannot be held against times before the clock was set.
func (u *unit) clockSet(now time.Time) bool {
	if u.wall.IsZero() {
		return false
	}
	left := u.due.Sub(now)
	return left > u.ahead+time.Second || (u.wall.Sub(now)-left).Abs() > time.Second
}

// repeat plans u's poll again because the unit said that it is busy, and tells whether there is time for it.
func (s *Source) repeat(u *unit, now time.Time) bool {
	if u.busy == 0 || u.busy > busyTries {
		return false
	}
	wait := busyFirst << (u.busy - 1)
	if !s.cfg.Once && !now.Add(wait).Before(tick(s.started, now.Add(1), u.Every, u.Align)) {
		return false
	}
	u.at(now, wait)
	return true
}

// again plans the next poll of u after one that ended now.
func (s *Source) again(u *unit, now time.Time) {
	took := now.Sub(u.began)
	from := now.Add(1)
	switch {
	case u.misses >= patience:
		s.probeAfter = now.Add((probeShare - 1) * took)
		pause := max(probeEvery, probeShare*took)
		from = later(from, now.Add(min(u.tick.Add(pause).Sub(now), pause))) // not longer for a clock that was put back
	case u.misses == 2:
		from = later(from, now.Add(secondPause*took))
	case u.misses == 1:
		from = later(from, now.Add(firstPause*took))
	}
	last := u.tick
	u.plan(s.started, now, from)
	if u.misses == 0 {
		u.late.add(u.tick.Sub(last) > u.Every*3/2)
	}
}

// hurry makes the silent units due when one has come back.
func (s *Source) hurry(now time.Time) {
	for _, u := range s.units {
		if u.misses >= patience {
			u.tick = now
			u.at(now, 0)
		}
	}
}

// tick returns the first multiple of every, from started or in the local time of zone, not before t.
func tick(started, t time.Time, every time.Duration, zone *time.Location) time.Time {
	if zone == nil {
		n := (t.Sub(started) + every - 1) / every
		return started.Add(max(n, 0) * every)
	}
	for {
		_, offset := t.In(zone).Zone()
		local := t.UnixNano() + int64(offset)*int64(time.Second)
		next := t
		if over := local % int64(every); over > 0 {
			next = t.Add(every - time.Duration(over))
		}
		_, change := t.In(zone).ZoneBounds()
		if change.IsZero() || next.Before(change) {
			return next.Round(0) // without the monotonic clock: this is a time of day
		}
		t = change
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

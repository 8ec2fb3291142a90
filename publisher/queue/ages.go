package queue

import "time"

const (
	// setBy is how far the machine's clock must move beside the time that passed to count as set: a clock that is only
	// steered towards the right time moves 30 ms in a period of agePeriod.
	setBy = 10 * time.Second
	// stepBack is how much earlier than the one before it a record may be stamped: clocks are set a little.
	stepBack = time.Hour
)

// ages tells how long records have been stored, though the machine's clock may be set at any time: at boot it may stand
// years in the past, and jump when a server of time is reached. What this process stored ages with the time that passes,
// whatever the clock does. Of what an earlier one stored the stamp is believed unless it cannot be right (before the
// floor, in the future, earlier than the record before it): then the record is new when this process first sees a clock
// that is set. So nothing is dropped as old for a clock that was wrong, and nothing stays for ever.
type ages struct {
	floor time.Time // before it no clock was set
	first uint64    // numbers from here on were stored by this process
	last  time.Time // the look before
	sets  []setting // what this process saw
	seen  time.Time // the first look at a clock that was set; zero: there was none yet
}

// A setting of the clock, forward by that much, when numbers up to next were stored.
type setting struct {
	next uint64
	by   time.Duration
}

// look is to be called at every turn: numbers from next on are stored after it.
func (a *ages) look(now time.Time, next uint64) {
	if !a.last.IsZero() {
		a.passed(now, now.Sub(a.last), next)
	}
	a.last = now
}

// passed notes that the clock shows now, and that so much time passed since the look before.
func (a *ages) passed(now time.Time, d time.Duration, next uint64) {
	by := now.Round(0).Sub(a.last.Round(0)) - d
	if by.Abs() < setBy {
		return
	}
	const kept = 64 // a clock that is set more often is no clock: the oldest two count as one
	if n := len(a.sets); n > 0 && a.sets[n-1].next == next {
		a.sets[n-1].by += by
	} else if a.sets = append(a.sets, setting{next, by}); len(a.sets) > kept {
		a.sets[1].by += a.sets[0].by
		a.sets = a.sets[1:]
	}
	if !a.seen.IsZero() {
		a.seen = a.seen.Add(by)
	}
}

// A dating goes over records in their order.
type dating struct {
	*ages
	now  time.Time
	high int64 // the latest stamp so far that can be right
}

// date begins to date records, at a look.
func (a *ages) date(now time.Time) *dating {
	if a.seen.IsZero() && !now.Before(a.floor) {
		a.seen = now
	}
	return &dating{ages: a, now: now}
}

// of is when the record of a number was stored, by the clock as it is now. Its stamp is in Unix nanoseconds.
func (d *dating) of(number uint64, stamp int64) time.Time {
	at := time.Unix(0, stamp)
	if number >= d.first {
		for _, s := range d.sets {
			if number < s.next {
				at = at.Add(s.by)
			}
		}
		return at
	}
	if at.Before(d.floor) || at.After(d.now) || stamp < d.high-int64(stepBack) {
		if d.seen.IsZero() {
			return d.now
		}
		return d.seen
	}
	d.high = max(d.high, stamp)
	return at
}

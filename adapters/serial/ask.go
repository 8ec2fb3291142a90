package serial

import (
	"context"
	"fmt"
	"time"
)

const (
	// An answer may have a tail (a prompt, a checksum line). What follows closer than that belongs to it.
	settle = 20 * time.Millisecond
	// A device that has not answered three times is asked so often where others share the line.
	probeEvery = 30 * time.Second
	// A line that never falls silent cannot be asked anything: after so long the question counts as unanswered.
	babbleAfter = 5 * time.Second
	// A port is opened anew after so many silent periods, and so long.
	deadMisses, deadAfter = 5, 30 * time.Second
	// At opening the answer to a question of an earlier process may still come.
	openHush = time.Second
)

// An asker is a device that is asked.
type asker struct {
	Ask
	name  string
	every time.Duration
	align *time.Location
	pulse *pulse

	due   time.Time     // in the time that passes
	wall  time.Time     // due as a time of day; zero: it is none
	ahead time.Duration // how far due was away when it was set
	asked bool          // in this session
}

// A conversation keeps questions and answers apart. After a question that went unanswered the line must have been silent
// for one more timeout before the next: an answer does not say which question it answers.
type conversation struct {
	pending *asker        // asked, and not answered yet
	until   time.Time     // how long its answer is waited for
	hush    time.Time     // no question before
	hushFor time.Duration // renewed by what comes until then
	held    time.Time     // since when the next question has been held back
}

// start plans the first questions.
func (l *session) start(now time.Time) {
	longest := time.Duration(0)
	for _, a := range l.askers {
		if a == nil {
			continue
		}
		a.asked = false
		if a.plan(now, 0); a.align != nil {
			a.planAligned(now)
		}
		longest = max(longest, a.timeout())
	}
	l.hushFor = min(longest, openHush)
	l.hush = now.Add(l.hushFor)
}

// plan sets when a is asked next: at the next multiple of local time, or so long after now.
func (a *asker) plan(now time.Time, ahead time.Duration) {
	a.due, a.ahead, a.wall = now.Add(ahead), ahead, time.Time{}
}

func (a *asker) planAligned(now time.Time) {
	at := nextAligned(now, a.every, a.align)
	a.plan(now, at.Sub(now))
	a.wall = at.Round(0)
}

// clockSet plans aligned questions again when the clock was set since: they are due at another moment. Everything else is
// planned in the time that passes, for times of day cannot be held against times before the clock was set.
func (l *session) clockSet(now time.Time) {
	for _, a := range l.askers {
		if a == nil || a.wall.IsZero() {
			continue
		}
		left := a.due.Sub(now)
		if left > a.ahead+time.Second || (a.wall.Sub(now)-left).Abs() > time.Second {
			a.planAligned(now)
		}
	}
}

// next is the device that is to be asked next, nil if none ever.
func (l *session) next() *asker {
	var next *asker
	for _, a := range l.askers {
		if a != nil && (next == nil || a.due.Before(next.due)) && !(l.cfg.Once && a.asked) {
			next = a
		}
	}
	return next
}

// nextTurn is how long the conversation has nothing to do.
func (l *session) nextTurn(now time.Time) time.Duration {
	if l.pending != nil {
		return l.until.Sub(now)
	}
	a := l.next()
	if a == nil {
		return tick
	}
	turn := a.due
	for _, t := range []time.Time{l.hush, l.settled()} {
		if t.After(turn) {
			turn = t
		}
	}
	return turn.Sub(now)
}

// settled is when the line has been silent enough for a question. Devices that talk by themselves never let it.
func (l *session) settled() time.Time {
	if l.talks() {
		return time.Time{}
	}
	return l.last.Add(settle)
}

// converse asks the device whose turn it is.
func (l *session) converse(ctx context.Context, now time.Time) error {
	l.clockSet(now)
	a := l.next()
	if l.pending != nil || l.behind || a == nil || now.Before(a.due) {
		return nil
	}
	if now.Before(l.hush) || now.Before(l.settled()) {
		if l.held.IsZero() {
			l.held = now
		}
		if now.Sub(l.held) > babbleAfter+2*l.hushFor {
			l.held, a.asked = time.Time{}, true
			a.pulse.missed(fmt.Sprintf("%s does not fall silent, so %s cannot be asked: does a device send by itself? Then it needs no ask", l.cfg.Link, a.name))
			l.again(a, now)
		}
		return nil
	}
	// What waits to be read came before the question.
	n, err := l.read(ctx, glance)
	if err != nil || n > 0 && !l.talks() {
		return err
	}
	if !l.talks() {
		if !l.split.skip && len(l.split.buf) > 0 {
			l.health.counts.Bad++
		}
		l.split.begin()
	}
	if err := l.write(a.Send, max(a.timeout(), writeWait)); err != nil {
		return err
	}
	l.held, l.served, a.asked, a.pulse.late = time.Time{}, false, true, now.Sub(a.due) > a.every
	// A frame that silence ends is here before it is known to have ended.
	l.pending, l.until = a, time.Now().Add(a.timeout()+l.cfg.Frame.Idle)
	return nil
}

// answered ends the wait for an answer. After one that made no sense the right one may still come.
func (l *session) answered(sense bool) {
	a := l.pending
	l.pending = nil
	if !sense {
		l.hush, l.hushFor = l.until, a.timeout()
		a.pulse.misses = 0
	}
	l.again(a, l.last)
}

// expire gives up a question.
func (l *session) expire(now time.Time) {
	a := l.pending
	if a == nil || !now.After(l.until) {
		return
	}
	l.pending = nil
	l.hush, l.hushFor = now.Add(a.timeout()), a.timeout()
	a.pulse.missed(fmt.Sprintf("no answer from %s on %s within %v: power, cable, or does it know the question %s?", a.name, l.cfg.Link, a.timeout(), excerpt(a.Send)))
	l.again(a, now)
}

// disturbed keeps the line quiet for longer: bytes came that nobody asked for.
func (l *session) disturbed(now time.Time) {
	if !l.talks() && l.pending == nil && now.Before(l.hush) {
		l.hush = now.Add(l.hushFor)
	}
}

// overheard does so where devices talk by themselves and only a frame tells whose it is.
func (l *session) overheard() {
	if l.talks() && l.pending == nil && l.last.Before(l.hush) {
		l.hush = l.last.Add(l.hushFor)
	}
}

// again plans the next question to a. Periods that went by unused are left out.
func (l *session) again(a *asker, now time.Time) {
	if a.pulse.misses >= missesDown && l.asks > 1 && a.every < probeEvery {
		a.plan(now, probeEvery)
		return
	}
	if a.align != nil {
		a.planAligned(now)
		return
	}
	a.due = a.due.Add(a.every)
	if late := now.Sub(a.due); late > 0 {
		a.due = a.due.Add((late/a.every + 1) * a.every)
	}
}

// dead says that the port gives no sign of life: nobody answers, and nothing at all comes.
func (l *session) dead(now time.Time) bool {
	if l.talks() || l.cfg.Once {
		return false
	}
	longest, heard := deadAfter, l.opened
	if l.last.After(heard) {
		heard = l.last
	}
	for _, a := range l.askers {
		if a.pulse.misses < deadMisses {
			return false
		}
		longest = max(longest, deadMisses*a.every)
	}
	return now.Sub(heard) >= longest
}

// nextAligned is the first multiple of every after now, in local time of loc.
func nextAligned(now time.Time, every time.Duration, loc *time.Location) time.Time {
	local := now.In(loc)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), time.UTC)
	next := wall.Truncate(every).Add(every)
	at := time.Date(next.Year(), next.Month(), next.Day(), next.Hour(), next.Minute(), next.Second(), next.Nanosecond(), loc)
	if !at.After(now) { // the hour that the clock goes through twice
		at = now.Add(next.Sub(wall))
	}
	return at
}

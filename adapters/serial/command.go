package serial

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"legacybridge/adapters"
)

// A Command is something that may be sent to a device.
type Command struct {
	Name    string
	Expect  *regexp.Regexp // what the answer looks like; nil: none is waited for
	Timeout time.Duration  // for the answer; 0 = that of Ask, else 1 s
}

// awake is how soon a line that takes commands looks whether there is one.
const awake = 25 * time.Millisecond

// An order under way. It ends with the first frame that is its answer, or without one.
type order struct {
	adapters.Order
	device int
	expect *regexp.Regexp
	until  time.Time
	echo   bool             // of it was seen
	answer *adapters.Answer // nil: none yet
}

// A waiter wants the next reading of a device.
type waiter struct {
	ctx    context.Context
	device int
	since  time.Time
	got    chan adapters.Reading // capacity 1
}

// Write implements adapters.Writer. Without Expect what the port took counts as written.
func (s *Source) Write(ctx context.Context, o adapters.Order) adapters.Answer {
	var a adapters.Answer
	if err := s.desk.Do(ctx, func() { a = s.current.order(o) }); err != nil {
		return notSent("nothing was sent on %s: %v", s.cfg.Link, err)
	}
	return a
}

// Read implements adapters.Writer: the device is asked as soon as the line allows, or listened to.
func (s *Source) Read(ctx context.Context, device, _ string) (adapters.Reading, error) {
	w := &waiter{ctx: ctx, device: s.index(device), since: time.Now(), got: make(chan adapters.Reading, 1)}
	if w.device < 0 {
		return adapters.Reading{}, fmt.Errorf("%s is not on %s", device, s.cfg.Link)
	}
	if err := s.desk.Do(ctx, func() { s.current.await(w) }); err != nil {
		return adapters.Reading{}, err
	}
	select {
	case r := <-w.got:
		return r, nil
	case <-ctx.Done():
		return adapters.Reading{}, ctx.Err()
	}
}

func notSent(format string, args ...any) adapters.Answer {
	return adapters.Answer{Code: adapters.CodeNotSent, Why: fmt.Sprintf(format, args...)}
}

func (s *Source) index(device string) int {
	return slices.IndexFunc(s.cfg.Devices, func(d Device) bool { return d.Name == device })
}

// commands tells whether a device of the line takes any.
func (s *Source) commands() bool {
	return slices.ContainsFunc(s.cfg.Devices, func(d Device) bool { return len(d.Commands) > 0 })
}

// serve does what the desk brings, once the line has been silent enough for a question.
func (l *session) serve(now time.Time) (served bool, err error) {
	opening := l.talks() && now.Sub(l.opened) <= underWay // what comes then is not looked at
	if l.pending != nil || l.behind || opening || now.Before(l.settled()) || now.Before(l.hush) {
		return false, nil
	}
	// However many commands come, a question that is due has its turn between two of them.
	if a := l.next(); l.served && a != nil && !now.Before(a.due) {
		return false, nil
	}
	served = l.desk.ServeOne()
	l.served = l.served || served
	err, l.broke = l.broke, nil
	return served, err
}

// await makes the device due at once. A line that never falls silent keeps its own order.
func (l *session) await(w *waiter) {
	if a := l.askers[w.device]; a != nil && a.due.After(time.Now()) && a.pulse.misses < missesDown {
		a.due = time.Now()
	}
	l.waiters = slices.DeleteFunc(l.waiters, func(w *waiter) bool { return w.ctx.Err() != nil })
	l.waiters = append(l.waiters, w)
}

// satisfy hands a reading to those who wait for one.
func (l *session) satisfy(device int, r adapters.Reading) {
	l.waiters = slices.DeleteFunc(l.waiters, func(w *waiter) bool {
		if w.device != device || r.Time.Before(w.since) {
			return w.ctx.Err() != nil
		}
		w.got <- r
		return true
	})
}

// order sends one order and reads on until it is answered. It is called by the owner of the line, between two questions.
func (l *session) order(o adapters.Order) adapters.Answer {
	device := l.index(o.Device)
	if device < 0 {
		return notSent("%s is not on %s", o.Device, l.cfg.Link)
	}
	d := &l.cfg.Devices[device]
	at := slices.IndexFunc(d.Commands, func(c Command) bool { return c.Name == o.Command })
	if at < 0 || o.Value == "" {
		return notSent("%s has no command %s, or it sends nothing", o.Device, o.Command)
	}
	c := d.Commands[at]
	// What waits to be read came before the order.
	if _, err := l.read(l.ctx, glance); err != nil {
		l.broke = err
		return notSent("nothing was sent on %s: %v", l.cfg.Link, err)
	}
	if a, no := o.Vetoed(); no {
		return a
	}
	if !l.talks() {
		l.split.begin()
	}
	timeout := l.timeoutOf(d, c)
	if err := l.write([]byte(o.Value), max(timeout, writeWait)); err != nil {
		l.broke = err
		a := adapters.Answer{Outcome: adapters.Unknown, Code: adapters.CodeNoAnswer, At: time.Now()}
		a.Why = fmt.Sprintf("%s was not sent whole: %v", excerpt([]byte(o.Value)), err)
		return a
	}
	sent := time.Now()
	if c.Expect == nil {
		if !l.talks() { // an answer that nobody waits for is not to be taken for that of the next question
			l.hush, l.hushFor = sent.Add(timeout), timeout
		}
		return adapters.Answer{Outcome: adapters.Written, At: sent, Said: ""}
	}
	return l.expect(&order{Order: o, device: device, expect: c.Expect, until: sent.Add(timeout + l.cfg.Frame.Idle)}, sent, timeout)
}

func (l *session) timeoutOf(d *Device, c Command) time.Duration {
	switch {
	case c.Timeout > 0:
		return c.Timeout
	case d.Ask != nil:
		return d.Ask.timeout()
	}
	return defaultTimeout
}

// expect reads until the order is answered or its time is over.
func (l *session) expect(o *order, sent time.Time, timeout time.Duration) adapters.Answer {
	l.under = o
	defer func() { l.under = nil }()
	ctx, cancel := graceful(l.ctx)
	defer cancel()
	for o.answer == nil && ctx.Err() == nil && time.Now().Before(o.until) {
		wait := min(time.Until(o.until), l.splitPause(), awake)
		if _, err := l.read(ctx, max(wait, time.Millisecond)); err != nil {
			l.broke = err
			break
		}
	}
	if o.answer != nil {
		o.answer.At = sent
		return *o.answer
	}
	l.hush, l.hushFor = time.Now().Add(timeout), timeout
	return adapters.Answer{Outcome: adapters.Unknown, Code: adapters.CodeNoAnswer, At: sent,
		Why: fmt.Sprintf("%s was sent to %s and not answered within %v: whether it was carried out is not known", excerpt([]byte(o.Value)), o.Device, timeout)}
}

// splitPause is how long until silence would end a frame.
func (l *session) splitPause() time.Duration {
	if pause := l.split.pause(); pause > 0 && l.told != l.last {
		return time.Until(l.last.Add(pause))
	}
	return tick
}

// answers holds a frame against the order under way. A frame of a device that talks by itself is no answer, unless it
// looks like one.
func (l *session) answers(f *decoding) bool {
	o := l.under
	if o == nil || o.answer != nil {
		return false
	}
	text, _ := f.Decoder.text.Decode(f.raw)
	if o.expect.MatchString(text) {
		o.answer = &adapters.Answer{Outcome: adapters.Written, Said: text}
		return true
	}
	if o.echo = !o.echo && string(f.raw) == strings.TrimSuffix(o.Value, string(l.cfg.Frame.End)); o.echo {
		return true // the line gives us back what we sent; the answer follows
	}
	for i, a := range l.askers {
		if a == nil && f.matches(i) {
			return false
		}
	}
	o.answer = &adapters.Answer{Outcome: adapters.Denied, Said: text, Code: adapters.CodeRefused,
		Why: fmt.Sprintf("%s answered %s, which is not what expect wants", o.Device, excerpt(f.raw))}
	return true
}

// stopGrace is how long an answer is waited for when the service stops; Run must return within a second.
const stopGrace = 600 * time.Millisecond

// graceful gives a context that is done stopGrace after ctx.
func graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })
	return later, func() { stop(); cancel() }
}

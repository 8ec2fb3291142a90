package serial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"legacybridge/adapters"
	"legacybridge/hardware/port"
)

const (
	// tick is how soon ctx, a failed put and the counters are looked at while the line is silent.
	tick = 250 * time.Millisecond
	// What arrives so soon after opening belongs to a frame that was under way.
	underWay = 100 * time.Millisecond
	// A read that timed out that much too late says nothing about silence: bytes may wait.
	lateWake = 50 * time.Millisecond
	// A read that is to return what waits, and not wait itself.
	glance = 5 * time.Millisecond
	// Beyond that, a wait for the sink may have cost bytes: the kernel keeps some 4 KiB of a tty.
	longWait, kernelBuffer = 500 * time.Millisecond, 4095
	// One of many undecodable frames is kept so often, once the line is garbled: they would push every other dead
	// letter out of the store in a night.
	sampleEvery = 10 * time.Second
	writeWait   = time.Second
)

// A session is one opening of the port, from its first byte to its last.
type session struct {
	*Source
	port   port.Port
	ahead  *adapters.Ahead
	split  *splitter
	buf    [4096]byte
	out    []adapters.Reading // of the bytes just read
	opened time.Time
	last   time.Time // when the last byte came; zero: none yet
	told   time.Time // last, once the splitter knows of the silence after it
	frames int       // from devices that talk by themselves
	kept   time.Time // when an undecodable frame was last kept

	ctx    context.Context // of the Run: what the desk brings has to end with it too
	under  *order          // sent, and not answered yet
	served bool            // a command, since the last question
	broke  error           // what a job from the desk found: the port is gone

	behind  bool // what comes now has waited while the sink was waited for
	backlog int  // bytes of that

	conversation
}

func newSession(s *Source, p port.Port, ahead *adapters.Ahead) *session {
	return &session{Source: s, port: p, ahead: ahead, split: newSplitter(s.cfg.Frame)}
}

// run reads until ctx is done, a put or the port fails, or Once is satisfied.
func (l *session) run(ctx context.Context) error {
	l.ctx = ctx
	l.opened = time.Now()
	l.health.open(l.opened)
	for _, text := range l.cfg.Open {
		if err := l.write(text, writeWait); err != nil {
			return err
		}
	}
	l.start(time.Now())
	for ctx.Err() == nil {
		select {
		case <-l.ahead.Failed():
			return nil // Close says why
		default:
		}
		now := time.Now()
		if l.cfg.Once && l.complete(now) {
			return l.unanswered()
		}
		if l.dead(now) {
			return errSilent
		}
		if served, err := l.serve(now); err != nil {
			return err
		} else if served {
			continue
		}
		if err := l.converse(ctx, now); err != nil {
			return err
		}
		if _, err := l.read(ctx, l.wait(time.Now())); err != nil {
			return err
		}
		l.health.tick(time.Now())
	}
	return nil
}

// wait is how long there is nothing to do but read.
func (l *session) wait(now time.Time) time.Duration {
	if l.behind {
		return glance
	}
	d := tick
	if l.commands() {
		d = awake
	}
	if pause := l.split.pause(); pause > 0 && l.told != l.last {
		d = min(d, l.last.Add(pause).Sub(now))
	}
	return max(min(d, l.nextTurn(now)), time.Millisecond)
}

// read waits for bytes and delivers what they complete, as does silence.
func (l *session) read(ctx context.Context, wait time.Duration) (n int, err error) {
	start := time.Now()
	l.port.SetDeadline(start.Add(wait))
	n, err = l.port.Read(l.buf[:])
	now := time.Now()
	l.expire(now)
	if n > 0 {
		l.heard(now, l.buf[:n])
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
		if n == 0 && now.Sub(start) < wait+lateWake {
			l.silent(now)
		}
	}
	return n, errors.Join(l.deliver(ctx), l.broken(err))
}

func (l *session) heard(now time.Time, b []byte) {
	if l.last.IsZero() && l.talks() && now.Sub(l.opened) <= underWay {
		l.split.underWay()
	}
	l.last = now
	l.disturbed(now)
	if l.behind {
		l.backlog += len(b)
	}
	l.health.window.heard(now, len(b))
	bad := l.split.bad
	l.split.feed(b, l.frame)
	l.health.counts.Bad += l.split.bad - bad
}

// silent says that nothing waits to be read.
func (l *session) silent(now time.Time) {
	bad := l.split.bad
	if l.behind {
		if l.behind = false; l.backlog >= kernelBuffer {
			// There were more bytes than the kernel keeps. What is here goes up to the hole; what comes is from behind it.
			l.split.drop()
			l.split.underWay()
		}
	}
	if pause := l.split.pause(); pause > 0 && l.told != l.last && now.Sub(l.last) >= pause {
		l.told = l.last
		l.split.silence(l.frame)
	}
	l.health.counts.Bad += l.split.bad - bad
}

// frame takes one frame from the splitter. Its time is that of its last byte.
func (l *session) frame(raw []byte, torn bool) {
	f := l.decoder.frame(raw, l.last)
	if torn {
		l.undecodable(f.torn())
		return
	}
	if l.answers(f) {
		l.health.window.good(l.last, len(raw)+len(l.cfg.Frame.End))
		return
	}
	taken, read := false, false
	for i, a := range l.askers {
		if a != nil && a != l.pending {
			continue
		}
		r, ok := f.decode(i)
		if !ok {
			continue
		}
		taken = true
		if r.Fault == nil {
			read = true
			l.health.pulses[i].good(l.last)
			l.out = append(l.out, r)
			l.satisfy(i, r)
		} else {
			l.undecodable(r)
		}
		if a != nil {
			l.answered(r.Fault == nil)
		} else {
			l.frames++
		}
	}
	if !taken && l.foreign(f) {
		taken, read = true, true
	}
	if read {
		l.health.window.good(l.last, len(raw)+len(l.cfg.Frame.End))
	}
	if taken {
		return
	}
	device := ""
	if l.pending != nil {
		device = l.pending.name
		l.answered(false)
	} else {
		l.frames++
	}
	l.undecodable(f.noMatch(device))
}

// foreign tells whether the frame is an answer that nobody waits for, and counts it: it was late.
func (l *session) foreign(f *decoding) bool {
	late := !l.talks() && l.pending == nil
	for i, a := range l.askers {
		late = late || a != nil && a != l.pending && f.matches(i)
	}
	if late {
		l.health.counts.Bad++
		l.overheard()
	}
	return late
}

// undecodable counts a fault, and keeps it, or a sample of many.
func (l *session) undecodable(r adapters.Reading) {
	known := false
	for _, p := range l.health.pulses {
		if p.state.Device == r.Device {
			p.bad()
			known = true
		}
	}
	if !known {
		l.health.counts.Bad++
	}
	if l.health.window.garbled(l.last) && l.last.Sub(l.kept) < sampleEvery {
		return
	}
	l.kept = l.last
	l.out = append(l.out, r)
}

// deliver hands over what was read. If that took long, bytes may have been lost meanwhile.
func (l *session) deliver(ctx context.Context) error {
	if len(l.out) == 0 {
		return nil
	}
	start := time.Now()
	err := l.ahead.Add(ctx, l.out...)
	clear(l.out)
	l.out = l.out[:0]
	if time.Since(start) >= longWait {
		l.behind, l.backlog = true, 0
	}
	return err
}

func (l *session) write(b []byte, wait time.Duration) error {
	l.port.SetDeadline(time.Now().Add(wait))
	_, err := l.port.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &port.Error{Code: port.CodeRefused, Why: fmt.Sprintf("%s takes no bytes: does flow control (xonxoff, rtscts) hold them back", l.cfg.Link)}
	}
	return l.broken(err)
}

// broken makes the error of any port one that has a code.
func (l *session) broken(err error) error {
	if _, ok := errors.AsType[*port.Error](err); ok || err == nil {
		return err
	}
	return &port.Error{Code: port.CodeOf(err), Why: fmt.Sprintf("the wire of %s is gone", l.cfg.Link), Err: err}
}

// complete says that Once has what it wants.
func (l *session) complete(now time.Time) bool {
	if l.pending != nil || l.talks() && l.frames == 0 && now.Sub(l.opened) < l.cfg.Wait {
		return false
	}
	for _, a := range l.askers {
		if a != nil && !a.asked {
			return false
		}
	}
	return true
}

// unanswered names the devices that did not answer when each was asked once.
func (l *session) unanswered() error {
	var names []string
	for _, a := range l.askers {
		if a != nil && a.pulse.misses > 0 {
			names = append(names, a.name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("no answer on %s from %s", l.cfg.Link, strings.Join(names, ", "))
}

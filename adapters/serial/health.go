package serial

import (
	"fmt"
	"time"

	"legacybridge/adapters"
	"legacybridge/hardware/port"
)

const (
	codeNoAnswer = "COM003"
	codeGarbled  = "COM005"
	codeLate     = "COM006"
	codeQuiet    = "COM007"

	reportEvery = time.Second
	missesDown  = 3 // unanswered in a row; one may be a power dip, or a hand on the keys
	// A device that talks by itself has no period. It is quiet after three times its longest pause so far, but not
	// before a minute.
	quietPauses, quietLeast = 3, time.Minute
)

// A pulse is how one device is doing.
type pulse struct {
	state   adapters.DeviceState
	asked   bool
	heard   time.Time     // last reading of this Run, or the opening
	pause   time.Duration // longest between two readings
	misses  int           // unanswered in a row
	strange int           // undecodable in a row
	late    bool          // its last question came more than a period late
	trouble string        // why the last question got no answer
}

// good counts a reading.
func (p *pulse) good(now time.Time) {
	if p.state.Counts.Frames > 0 {
		p.pause = max(p.pause, now.Sub(p.heard))
	}
	p.heard, p.misses, p.strange = now, 0, 0
	p.state.Counts.Frames++
}

// bad counts a frame that was for this device and could not be decoded.
func (p *pulse) bad() {
	p.strange++
	p.state.Counts.Bad++
}

// missed counts a question without an answer.
func (p *pulse) missed(why string) {
	p.misses++
	p.trouble = why
	p.state.Counts.Timeouts++
}

// quietAfter is the silence at which the device counts as quiet.
func (p *pulse) quietAfter() time.Duration { return max(quietLeast, quietPauses*p.pause) }

// judge is how the device is doing, and what is wrong with it.
func (p *pulse) judge(now time.Time) (h adapters.Health, code, why string) {
	silent := now.Sub(p.heard)
	switch {
	case p.misses >= missesDown:
		return adapters.Down, codeNoAnswer, p.trouble
	case p.asked && p.strange >= missesDown:
		return adapters.Garbled, codeNoMatch, "it answers, but nothing that its configuration can read: see the dead letters"
	case p.state.Counts.Frames == 0 && (p.asked || silent < quietLeast):
		return adapters.Starting, "", ""
	case p.asked && p.late:
		return adapters.Late, codeLate, "asked later than configured: the line is too slow for all its questions"
	case !p.asked && silent >= p.quietAfter():
		return adapters.Quiet, codeQuiet, fmt.Sprintf("nothing heard for more than %v", p.quietAfter().Truncate(time.Second))
	}
	return adapters.Up, "", ""
}

// A health gathers how the link is doing and reports it. It belongs to the goroutine of Run.
type health struct {
	link   string
	report func(adapters.State)
	pulses []*pulse
	window window
	counts adapters.Counts // of the link alone: what no device is known for
	opened bool            // at least once
	gone   error           // the port, until it is open again

	sent   adapters.State
	sentAt time.Time
}

// open says that the port is open.
func (h *health) open(now time.Time) {
	if h.opened {
		h.counts.Reopened++
	}
	h.opened, h.gone = true, nil
	for _, p := range h.pulses {
		p.heard = now
	}
	h.tick(now)
}

// lost says that the port is gone.
func (h *health) lost(now time.Time, err error) {
	h.gone = err
	h.tick(now)
}

// tick reports what has changed: health at once, counts alone once a second.
func (h *health) tick(now time.Time) {
	if h.report == nil {
		return
	}
	s := adapters.State{Counts: h.counts}
	changed := h.sentAt.IsZero()
	for _, p := range h.pulses {
		health, code, why := p.judge(now)
		if h.gone != nil {
			health, code, why = adapters.Down, port.CodeOf(h.gone), h.gone.Error()
		}
		if health != p.state.Health {
			p.state.Health, p.state.Since, changed = health, now, true
		}
		changed = changed || p.state.Code != code
		p.state.Code, p.state.Why = code, why
		s.Counts.Frames += p.state.Counts.Frames
		s.Counts.Bad += p.state.Counts.Bad
		s.Counts.Timeouts += p.state.Counts.Timeouts
		s.Devices = append(s.Devices, p.state)
	}
	s.Health, s.Code, s.Why = h.judge(now)
	s.Since = h.sent.Since
	if s.Health != h.sent.Health {
		s.Since, changed = now, true
	}
	if len(s.Devices) == 1 {
		s.Devices = nil
	}
	changed = changed || s.Code != h.sent.Code
	if changed || s.Counts != h.sent.Counts && now.Sub(h.sentAt) >= reportEvery {
		h.sent, h.sentAt = s, now
		h.report(s)
	}
}

// judge is how the link is doing: as bad as what all its devices share.
func (h *health) judge(now time.Time) (adapters.Health, string, string) {
	if h.gone != nil {
		return adapters.Down, port.CodeOf(h.gone), h.gone.Error()
	}
	if h.window.garbled(now) {
		return adapters.Garbled, codeGarbled, "more than 90 % of what came in the last minute cannot be read: baud rate, parity or frame wrong, or noise on the line"
	}
	if len(h.pulses) == 1 {
		p := h.pulses[0].state
		return p.Health, p.Code, p.Why
	}
	tally := map[adapters.Health]int{}
	for _, p := range h.pulses {
		tally[p.state.Health]++
	}
	n := len(h.pulses)
	switch {
	case tally[adapters.Down] == n:
		return adapters.Down, codeNoAnswer, fmt.Sprintf("no device on %s answers: cable, baud rate, parity, or the power of all of them", h.link)
	case tally[adapters.Up] > 0:
		return adapters.Up, "", ""
	case tally[adapters.Late] > 0:
		return adapters.Late, codeLate, "devices are asked later than configured: the line is too slow for all its questions"
	case tally[adapters.Starting] > 0:
		return adapters.Starting, "", ""
	case tally[adapters.Quiet] > 0:
		return adapters.Quiet, codeQuiet, "no device that talks by itself has been heard for longer than usual"
	}
	return adapters.Garbled, codeNoMatch, "no answer can be read with the configuration: see the dead letters"
}

package modbus

import (
	"errors"
	"time"

	"github.com/goburrow/modbus"

	"legacybridge/adapters"
	"legacybridge/hardware/port"
)

const (
	codeNoAnswer  = "COM003"
	codeException = "COM004"
	codeDamaged   = "COM005"
	codeLate      = "COM006"

	reportEvery = time.Second
	// Shares of the last replies, or polls, in percent.
	someDamaged, mostDamaged, enoughReplies = 20, 90, 10
	oftenLate                               = 25
)

// report tells what has changed: health at once, counters within a second.
func (s *Source) report(now time.Time) {
	if s.cfg.Report == nil {
		return
	}
	changed := len(s.reported.Devices) == 0
	for _, u := range s.units {
		health, code := u.judge()
		if health != u.state.Health {
			u.state.Since = now
		}
		changed = changed || health != u.state.Health || code != u.state.Code
		u.state.Health, u.state.Code = health, code
	}
	health, code := s.judge()
	changed = changed || health != s.reported.Health || code != s.reported.Code
	if changed || s.pending && now.Sub(s.at) >= reportEvery {
		s.tell(now, health, code, s.why(code), s.whyOf)
	}
}

// untilReport is how long counters may still wait.
func (s *Source) untilReport() time.Duration {
	if s.cfg.Report == nil || !s.pending {
		return longestWait
	}
	return max(time.Until(s.at.Add(reportEvery)), time.Millisecond)
}

// linkLost tells that the port or the host is gone, and every device with it.
func (s *Source) linkLost(err error) {
	if s.cfg.Report == nil {
		return
	}
	now, health, code := time.Now().UTC(), adapters.Down, port.CodeOf(err)
	if errors.Is(err, errNoise) {
		health, code = adapters.Garbled, codeDamaged
	}
	for _, u := range s.units {
		if u.state.Health != health {
			u.state.Since = now
		}
		u.state.Health, u.state.Code = health, code
	}
	s.tell(now, health, code, err.Error(), func(*unit) string { return err.Error() })
}

func (s *Source) tell(now time.Time, health adapters.Health, code, why string, whyOf func(*unit) string) {
	since := s.reported.Since
	if health != s.reported.Health {
		since = now
	}
	state := adapters.State{Health: health, Since: since, Code: code, Why: why}
	for _, u := range s.units {
		d := u.state
		d.Device, d.Counts = u.Name, u.counts
		d.Why = whyOf(u)
		state.Devices = append(state.Devices, d)
		state.Counts.Frames += u.counts.Frames
		state.Counts.Bad += u.counts.Bad
		state.Counts.Timeouts += u.counts.Timeouts
		state.Counts.Exceptions += u.counts.Exceptions
	}
	if s.wire.opened > 1 {
		state.Counts.Reopened = s.wire.opened - 1
	}
	s.reported, s.at, s.pending = state, now, false
	s.cfg.Report(state)
}

// judge is how the unit is doing, and the code of what is wrong with it.
func (u *unit) judge() (adapters.Health, string) {
	switch {
	case !u.polled:
		return adapters.Starting, ""
	case u.misses > 0:
		if errors.Is(u.fault, errDamaged) {
			return adapters.Garbled, codeDamaged
		}
		if _, ok := errors.AsType[*modbus.ModbusError](u.fault); ok {
			return adapters.Down, codeException
		}
		return adapters.Down, codeNoAnswer
	case u.damaged.most():
		return adapters.Garbled, codeDamaged
	case u.late.share() >= oftenLate:
		return adapters.Late, codeLate
	case u.damaged.some():
		return adapters.Up, codeDamaged
	}
	r, values := u.troubled()
	if r == nil {
		return adapters.Up, ""
	}
	code := codeNoAnswer
	if _, ok := errors.AsType[*modbus.ModbusError](r.fault); ok {
		code = codeException
	}
	if !values {
		return adapters.Down, code
	}
	return adapters.Up, code
}

// troubled returns the first request that did not bring values, and whether another one did.
func (u *unit) troubled() (first *request, values bool) {
	for i := range u.requests {
		if r := &u.requests[i]; r.fault == nil {
			values = true
		} else if first == nil {
			first = r
		}
	}
	return first, values
}

// judge is how the link is doing: as bad as what all its units share.
func (s *Source) judge() (adapters.Health, string) {
	if len(s.units) == 1 {
		u := s.units[0].state
		return u.Health, u.Code
	}
	starting, silent, garbled, late := 0, 0, 0, 0
	for _, u := range s.units {
		switch {
		case u.state.Health == adapters.Starting:
			starting++
		case u.misses > 0:
			silent++
		}
		switch u.state.Health {
		case adapters.Garbled:
			garbled++
		case adapters.Late:
			late++
		}
	}
	switch {
	case garbled == len(s.units), s.wire.damaged.most():
		return adapters.Garbled, codeDamaged
	case silent == len(s.units):
		return adapters.Down, codeNoAnswer
	case starting > 0 && starting+silent == len(s.units):
		return adapters.Starting, ""
	case late > 0:
		return adapters.Late, codeLate
	case s.wire.damaged.some():
		return adapters.Up, codeDamaged
	}
	return adapters.Up, ""
}

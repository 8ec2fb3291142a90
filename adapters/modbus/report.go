package modbus

import (
	"errors"
	"fmt"
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
		s.tell(now, health, code, s.why(code))
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
	now, health, code := time.Now(), adapters.Down, port.CodeOf(err)
	if errors.Is(err, errNoise) {
		health, code = adapters.Garbled, codeDamaged
	}
	for _, u := range s.units {
		if u.state.Health != health {
			u.state.Since = now
		}
		u.state.Health, u.state.Code = health, code
	}
	s.tell(now, health, code, err.Error())
}

func (s *Source) tell(now time.Time, health adapters.Health, code, why string) {
	since := s.reported.Since
	if health != s.reported.Health {
		since = now
	}
	state := adapters.State{Health: health, Since: since, Code: code, Why: why}
	for _, u := range s.units {
		d := u.state
		d.Device, d.Counts = u.Name, u.counts
		if d.Code != "" {
			if d.Why = s.whyOf(u, d.Code); d.Why == "" {
				d.Why = why // the link's
			}
		}
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

// why is the sentence for a code of the link.
func (s *Source) why(code string) string {
	if code == "" {
		return ""
	}
	if len(s.units) == 1 {
		return s.whyOf(s.units[0], code)
	}
	switch code {
	case codeNoAnswer:
		return fmt.Sprintf("no unit %s answers (%s): %s", s.there(), s.tries(), s.common())
	case codeDamaged:
		return s.damage(s.wire.damaged, s.allDamaged())
	default: // late
		return s.overload()
	}
}

// whyOf is the sentence for a code of u, empty for codes of the link.
func (s *Source) whyOf(u *unit, code string) string {
	switch code {
	case codeNoAnswer:
		return s.whySilent(u)
	case codeException:
		r, _ := u.troubled()
		if r == nil {
			return ""
		}
		e, ok := errors.AsType[*modbus.ModbusError](r.fault)
		if !ok {
			return ""
		}
		return fmt.Sprintf("unit %d refuses %v: %s", u.Unit, r, meaning(e.ExceptionCode))
	case codeDamaged:
		return s.damage(u.damaged, s.allDamaged())
	case codeLate:
		return s.overload()
	}
	return ""
}

func (s *Source) whySilent(u *unit) string {
	if u.misses == 0 {
		r, _ := u.troubled()
		return fmt.Sprintf("unit %d does not answer to %v on %s (%s), but to others: has it these?", u.Unit, r, s.cfg.Link, s.tries())
	}
	what := fmt.Sprintf("no answer from unit %d on %s (%s). ", u.Unit, s.cfg.Link, s.tries())
	if errors.Is(u.fault, errHungUp) {
		what = fmt.Sprintf("the host of %s closes the connection when unit %d is asked. ", s.cfg.Link, u.Unit)
	}
	answering := 0
	for _, other := range s.units {
		if other.polled && other.misses == 0 {
			answering++
		}
	}
	switch {
	case answering > 0:
		return what + "Other units " + s.there() + " answer: wiring to this device, its address or its power."
	case len(s.units) > 1:
		return what + "No other unit " + s.there() + " answers: " + s.common() + "."
	case s.cfg.Framing == TCP:
		return what + "It is the only unit: unit number, " + s.common() + "."
	}
	return what + "It is the only unit: power, its address, " + s.common() + "."
}

func (s *Source) damage(h history, all bool) string {
	kind, cause := "CRC", "baud/parity, termination, or A/B swapped"
	switch s.cfg.Framing {
	case TCP:
		kind, cause = "framing", "does the host speak RTU frames (modbus_rtu_tcp)?"
	case RTUOverTCP:
		cause = "baud/parity of the converter, termination, or A/B swapped; or it speaks Modbus TCP (modbus_tcp)"
	}
	text := fmt.Sprintf("%d of %d replies damaged (%s). ", h.count(), h.n, kind)
	if all {
		return text + "All units affected: " + cause + "."
	}
	return text + "Not all units affected: wiring and termination near those that are."
}

func (s *Source) allDamaged() bool {
	for _, u := range s.units {
		if u.damaged.n > 0 && !u.damaged.mostly(someDamaged, 1) {
			return false
		}
	}
	return true
}

func (s *Source) overload() string {
	return "polled later than asked for: more is to be read than the time allows. Poll less often, fewer points, or at a higher baud rate."
}

// common is what makes all units silent.
func (s *Source) common() string {
	switch s.cfg.Framing {
	case TCP:
		return "does the host allow a further connection, is its gateway connected to the units"
	case RTUOverTCP:
		return "the converter's cable, its baud/parity, or A/B swapped; or it speaks Modbus TCP (modbus_tcp)"
	}
	return "cable, baud/parity, or A/B swapped"
}

func (s *Source) there() string {
	if s.cfg.Framing == TCP {
		return "behind this host"
	}
	return "on this bus"
}

// tries is what a request costs before it counts as unanswered: "3 tries, 500 ms each".
func (s *Source) tries() string {
	each := s.cfg.Timeout.String()
	if s.cfg.Timeout < time.Second && s.cfg.Timeout%time.Millisecond == 0 {
		each = fmt.Sprintf("%d ms", s.cfg.Timeout.Milliseconds())
	}
	if s.cfg.Retries == 0 {
		return "1 try, " + each
	}
	return fmt.Sprintf("%d tries, %s each", s.cfg.Retries+1, each)
}

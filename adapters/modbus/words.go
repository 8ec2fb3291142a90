package modbus

import (
	"errors"
	"fmt"
	"time"

	"github.com/goburrow/modbus"
)

// why is the sentence for a code of the link.
func (s *Source) why(code string) string {
	if code == "" {
		return ""
	}
	if len(s.units) == 1 {
		return s.whyOf(s.units[0])
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

// whyOf is the sentence for the code of u.
func (s *Source) whyOf(u *unit) string {
	switch u.state.Code {
	case codeNoAnswer:
		return s.whySilent(u)
	case codeException:
		return whyRefused(u)
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

func whyRefused(u *unit) string {
	for i := range u.requests {
		r := &u.requests[i]
		if e, ok := errors.AsType[*modbus.ModbusError](r.fault); ok {
			return fmt.Sprintf("unit %d refuses %v: %s", u.Unit, r, meaning(e.ExceptionCode))
		}
	}
	return ""
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

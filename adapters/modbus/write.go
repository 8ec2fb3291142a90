package modbus

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/goburrow/modbus"

	"legacybridge/adapters"
)

// A Command is one register, pair of registers or coil that may be written.
type Command struct {
	Name     string
	Table    Table  // Holding or Coil
	Address  uint16 // on the wire
	Type     string // of registers: u16 i16 u32 i32 u64 i64 f32 f64; "" = u16
	Order    string // ABCD CDAB BADC DCBA; "" = ABCD
	Function int    // 15 or 16 for devices that refuse 5 or 6; 0: by size
}

// Functions that write (Modbus Application Protocol V1.1b3, 6.5, 6.6, 6.11, 6.12).
const (
	writeCoil      = 5
	writeRegister  = 6
	writeCoils     = 15
	writeRegisters = 16
	writeReply     = 4 // bytes of a reply behind the function
)

func isWrite(function byte) bool {
	switch function {
	case writeCoil, writeRegister, writeCoils, writeRegisters:
		return true
	}
	return false
}

func (c Command) check() error {
	p := Point{Name: c.Name, Table: c.Table, Type: c.Type, Order: c.Order}
	if _, err := newPoint(p); err != nil {
		return err
	}
	size, _ := p.size()
	switch {
	case c.Table != Holding && c.Table != Coil:
		return fmt.Errorf("command %s: only holding registers and coils can be written", c.Name)
	case c.Table == Holding && (c.Type == "bits" || c.Type == "text"):
		return fmt.Errorf("command %s: a value of type %s cannot be written", c.Name, c.Type)
	case int(c.Address)+size > 1<<16:
		return fmt.Errorf("command %s: %d registers from address %d end beyond 65535", c.Name, size, c.Address)
	case c.Function != 0 && c.Function != writeCoils && c.Function != writeRegisters,
		c.Function == writeCoils && c.Table != Coil, c.Function == writeRegisters && c.Table != Holding:
		return fmt.Errorf("command %s: function %d does not write this, use 15 for coils or 16 for registers", c.Name, c.Function)
	}
	return nil
}

// Encode gives the registers for a value, two bytes each; of a coil one byte, 0 or 1. It is the reverse of Decode, and
// refuses what does not fit.
func Encode(c Command, value string) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Table == Coil {
		on, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("command %s: %q is neither true nor false", c.Name, value)
		}
		if on {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	}
	var raw []byte
	kind := cmp.Or(c.Type, "u16")
	size, err := strconv.Atoi(kind[1:])
	if err != nil {
		return nil, fmt.Errorf("command %s: a value of type %s cannot be written", c.Name, kind)
	}
	var word uint64
	switch kind[0] {
	case 'u':
		word, err = strconv.ParseUint(value, 10, size)
	case 'i':
		var n int64
		n, err = strconv.ParseInt(value, 10, size)
		word = uint64(n)
	default:
		var f float64
		if f, err = strconv.ParseFloat(value, size); math.IsNaN(f) || math.IsInf(f, 0) {
			err = errors.New("not finite")
		}
		if word = math.Float64bits(f); size == 32 {
			word = uint64(math.Float32bits(float32(f)))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("command %s: %q does not fit into a %s", c.Name, value, kind)
	}
	raw = binary.BigEndian.AppendUint64(raw, word)[8-size/8:]
	if c.Order == "CDAB" || c.Order == "DCBA" { // the low word first
		for i, j := 0, len(raw)-2; i < j; i, j = i+2, j-2 {
			raw[i], raw[i+1], raw[j], raw[j+1] = raw[j], raw[j+1], raw[i], raw[i+1]
		}
	}
	if c.Order == "BADC" || c.Order == "DCBA" { // the low byte first
		for i := 0; i < len(raw); i += 2 {
			raw[i], raw[i+1] = raw[i+1], raw[i]
		}
	}
	return raw, nil
}

// Write implements adapters.Writer.
func (s *Source) Write(ctx context.Context, o adapters.Order) adapters.Answer {
	var a adapters.Answer
	if err := s.desk.Do(ctx, func() { a = s.write(o) }); err != nil {
		return notSent("nothing was written on %s: %v", s.cfg.Link, err)
	}
	return a
}

// Read implements adapters.Writer: one request, of the named point.
func (s *Source) Read(ctx context.Context, device, point string) (adapters.Reading, error) {
	var r adapters.Reading
	err := errSilent
	if gone := s.desk.Do(ctx, func() { r, err = s.readBack(device, point) }); gone != nil {
		return r, gone
	}
	return r, err
}

func notSent(format string, args ...any) adapters.Answer {
	return adapters.Answer{Code: adapters.CodeNotSent, Why: fmt.Sprintf(format, args...)}
}

func (s *Source) unit(device string) *unit {
	if i := slices.IndexFunc(s.units, func(u *unit) bool { return u.Name == device }); i >= 0 {
		return s.units[i]
	}
	return nil
}

// write is Write, in the owner's goroutine.
func (s *Source) write(o adapters.Order) adapters.Answer {
	u := s.unit(o.Device)
	if u == nil {
		return notSent("%s is not on %s", o.Device, s.cfg.Link)
	}
	i := slices.IndexFunc(u.Commands, func(c Command) bool { return c.Name == o.Command })
	if i < 0 {
		return notSent("%s has no command %s", o.Device, o.Command)
	}
	c := u.Commands[i]
	raw, err := Encode(c, o.Value)
	if err != nil {
		return notSent("%v", err)
	}
	if err := s.steady(u); err != nil {
		return notSent("unit %d on %s was not written: %s", u.Unit, s.cfg.Link, reason(err))
	}
	if a, no := o.Vetoed(); no {
		return a
	}
	s.pending = true
	s.wire.sent = time.Time{}
	err = u.send(c, raw)
	s.note(u, err)
	return s.judgeWrite(u, err, s.wire.sent)
}

// send packs one write.
func (u *unit) send(c Command, raw []byte) error {
	var err error
	switch {
	case c.Table == Coil && c.Function == writeCoils:
		_, err = u.client.WriteMultipleCoils(c.Address, 1, raw)
	case c.Table == Coil:
		value := uint16(0)
		if raw[0] != 0 {
			value = 0xFF00
		}
		_, err = u.client.WriteSingleCoil(c.Address, value)
	case len(raw) == 2 && c.Function == 0:
		_, err = u.client.WriteSingleRegister(c.Address, binary.BigEndian.Uint16(raw))
	default:
		_, err = u.client.WriteMultipleRegisters(c.Address, uint16(len(raw)/2), raw)
	}
	return err
}

// judgeWrite says what is known after a write. A refusal before the equipment did anything is one; everything else that
// is no confirmation leaves it open, and so does a confirmation that the wire did not pass.
func (s *Source) judgeWrite(u *unit, err error, sent time.Time) adapters.Answer {
	a := adapters.Answer{At: sent}
	if err == nil {
		a.Outcome, a.Said = adapters.Written, "confirmed"
		return a
	}
	if e, ok := errors.AsType[*modbus.ModbusError](err); ok {
		a.Said = fmt.Sprintf("exception %d", e.ExceptionCode)
		what := meaning(e.ExceptionCode)
		switch e.ExceptionCode {
		case 3:
			what = "exception 3, it does not take this value, or not by this function (function = 16?)"
		case 1, 2, exceptionBusy, 7, exceptionPath:
		default: // it had begun, or a gateway had, or only its maker knows
			a.Outcome, a.Code = adapters.Unknown, adapters.CodeNoAnswer
			a.Why = fmt.Sprintf("unit %d on %s was asked to write, and the answer is %s: whether it has is not known", u.Unit, s.cfg.Link, what)
			return a
		}
		a.Code, a.Why = adapters.CodeRefused, fmt.Sprintf("unit %d on %s refuses the write: %s", u.Unit, s.cfg.Link, what)
		return a
	}
	if sent.IsZero() {
		return notSent("unit %d on %s was not written: %s", u.Unit, s.cfg.Link, reason(err))
	}
	a.Outcome, a.Code = adapters.Unknown, adapters.CodeNoAnswer
	a.Why = fmt.Sprintf("unit %d on %s was asked to write, and %s: whether it has is not known", u.Unit, s.cfg.Link, reason(err))
	return a
}

// reason is an error of the wire in words.
func reason(err error) string {
	switch {
	case errors.Is(err, errSilent):
		return "it did not answer"
	case errors.Is(err, errDamaged):
		return "its answer was damaged"
	case errors.Is(err, errHungUp):
		return "the connection was closed instead"
	}
	return err.Error()
}

// readBack is Read, in the owner's goroutine.
func (s *Source) readBack(device, point string) (adapters.Reading, error) {
	u := s.unit(device)
	if u == nil {
		return adapters.Reading{}, fmt.Errorf("%s is not on %s", device, s.cfg.Link)
	}
	at := slices.Index(u.names, point)
	if at < 0 {
		return adapters.Reading{}, fmt.Errorf("%s has no point %s", device, point)
	}
	r := &u.requests[u.of[at]]
	u.text = u.text[:0]
	clear(u.got)
	s.pending = true
	err := u.read(r)
	s.note(u, err)
	if err != nil {
		return adapters.Reading{}, fmt.Errorf("%v of unit %d: %s", r, u.Unit, reason(err))
	}
	u.got[u.of[at]] = 1
	reading, _ := u.reading()
	return reading, nil
}

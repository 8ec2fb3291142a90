package modbus_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/modbus"
)

func TestValuesAreWrittenAsTheyAreRead(t *testing.T) {
	for _, c := range []struct{ typ, order, value, want string }{
		{"", "", "8192", "2000"}, {"u16", "BADC", "8192", "0020"}, {"i16", "", "-2", "fffe"},
		{"u32", "", "305419896", "12345678"}, {"u32", "CDAB", "305419896", "56781234"}, {"u32", "BADC", "305419896", "34127856"},
		{"u32", "DCBA", "305419896", "78563412"}, {"i32", "", "-1", "ffffffff"}, {"f32", "CDAB", "230.2", "33334366"},
		{"u64", "", "18446744073709551615", "ffffffffffffffff"}, {"f64", "DCBA", "1", "000000000000f03f"},
	} {
		got, err := modbus.Encode(modbus.Command{Name: "x", Type: c.typ, Order: c.order}, c.value)
		if err != nil || fmt.Sprintf("%x", got) != c.want {
			t.Errorf("%s %s %s: got %x, %v, want %s", c.typ, c.order, c.value, got, err, c.want)
			continue
		}
		back, err := modbus.Decode(modbus.Point{Name: "x", Type: c.typ, Order: c.order}, got)
		if err != nil || back != c.value {
			t.Errorf("%s %s: %s comes back as %s, %v", c.typ, c.order, c.value, back, err)
		}
	}
	for _, c := range []struct{ typ, value string }{
		{"u16", "65536"}, {"u16", "-1"}, {"i16", "32768"}, {"u16", "1.5"}, {"u16", ""}, {"f32", "1e39"}, {"f32", "NaN"}, {"f64", "inf"}, {"bits", "1"}, {"text", "a"},
	} {
		if got, err := modbus.Encode(modbus.Command{Name: "x", Type: c.typ}, c.value); err == nil {
			t.Errorf("%s %q was encoded as %x, want a refusal", c.typ, c.value, got)
		}
	}
}

// A drive is equipment that takes writes and counts them. Its registers are what was written.
type drive struct {
	station
	regs   map[int]uint16
	writes []string
	reply  func(q asked, confirmation []byte) []piece // nil: the confirmation
}

func newDrive(framing modbus.Framing) *drive {
	d := &drive{regs: map[int]uint16{}}
	d.framing = framing
	d.answer = d.serve
	return d
}

func (d *drive) serve(q asked) []piece {
	if q.fc <= 4 {
		return now(q.registers(func(at int) uint16 { return d.regs[at] }))
	}
	d.writes = append(d.writes, fmt.Sprintf("%d@%d=%d % x", q.fc, q.start, q.count, q.data[:len(q.data)-len(crcOf(q))]))
	switch q.fc {
	case 5, 6:
		d.regs[q.start] = uint16(q.count)
	case 16:
		for i := range q.count {
			d.regs[q.start+i] = binary.BigEndian.Uint16(q.data[2*i:])
		}
	}
	c := q.frame(q.unit, q.fc, byte(q.start>>8), byte(q.start), byte(q.count>>8), byte(q.count))
	if d.reply != nil {
		return d.reply(q, c)
	}
	return now(c)
}

func crcOf(q asked) []byte {
	if q.header != nil {
		return nil
	}
	return make([]byte, 2)
}

func (d *drive) written() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.writes)
}

// driven polls a drive while during gives it orders.
func driven(t *testing.T, d *drive, framing modbus.Framing, during func(w adapters.Writer)) error {
	t.Helper()
	ds := units(1, time.Second, modbus.Point{Name: "speed", Address: 100})
	ds[0].Commands = []modbus.Command{
		{Name: "speed", Address: 100}, {Name: "speed16", Address: 100, Function: 16}, {Name: "level", Address: 110, Type: "f32", Order: "CDAB"},
		{Name: "lamp", Table: modbus.Coil, Address: 4}, {Name: "lamp15", Table: modbus.Coil, Address: 4, Function: 15},
	}
	s, err := modbus.New(modbus.Config{Link: "bus-1", Framing: framing, Timeout: 100 * time.Millisecond, Retries: 2, Devices: ds, Dial: d.dial})
	if err != nil {
		t.Fatal(err)
	}
	var _ adapters.Writer = s
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, nil, newCatch().put) }()
	during(s)
	stop()
	return <-ended
}

func order(command, value string) adapters.Order {
	return adapters.Order{Device: "unit-1", Command: command, Value: value}
}

func TestOrdersAreWrittenByTheFunctionThatFits(t *testing.T) {
	for _, framing := range []modbus.Framing{modbus.TCP, modbus.RTU, modbus.RTUOverTCP} {
		synctest.Test(t, func(t *testing.T) {
			d := newDrive(framing)
			err := driven(t, d, framing, func(w adapters.Writer) {
				for _, o := range []adapters.Order{order("speed", "8192"), order("speed16", "7"), order("level", "230.2"), order("lamp", "true"), order("lamp", "false"), order("lamp15", "true")} {
					if a := w.Write(t.Context(), o); a.Outcome != adapters.Written || a.At.IsZero() {
						t.Errorf("%v: got %+v, want it written", o, a)
					}
				}
				if a := w.Write(t.Context(), order("speed", "65536")); a.Outcome != adapters.NotWritten || a.Code != adapters.CodeNotSent {
					t.Errorf("too large: got %+v", a)
				}
				if a := w.Write(t.Context(), order("other", "1")); a.Outcome != adapters.NotWritten {
					t.Errorf("no such command: got %+v", a)
				}
				r, err := w.Read(t.Context(), "unit-1", "speed")
				if err != nil || len(r.Values) != 1 || r.Values[0] != "7" {
					t.Errorf("read-back: got %v, %v, want 7", r, err)
				}
			})
			if err != nil {
				t.Error(err)
			}
			want := []string{"6@100=8192 ", "16@100=1 00 07", "16@110=2 33 33 43 66", "5@4=65280 ", "5@4=0 ", "15@4=1 01"}
			if got := d.written(); !slices.Equal(got, want) {
				t.Errorf("framing %d: got %q, want %q", framing, got, want)
			}
		})
	}
}

func TestAWriteWithoutItsReplyIsNotRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		reply   func(q asked, c []byte) []piece
		outcome adapters.Outcome
		code    string
	}{
		"silence":        {func(asked, []byte) []piece { return nil }, adapters.Unknown, adapters.CodeNoAnswer},
		"hang-up":        {func(asked, []byte) []piece { return []piece{{hangUp: true}} }, adapters.Unknown, adapters.CodeNoAnswer},
		"another value":  {func(q asked, c []byte) []piece { c = slices.Clone(c); c[11]++; return now(c) }, adapters.Unknown, adapters.CodeNoAnswer},
		"late":           {func(q asked, c []byte) []piece { return []piece{{after: 300 * time.Millisecond, bytes: c}} }, adapters.Unknown, adapters.CodeNoAnswer},
		"refused":        {func(q asked, c []byte) []piece { return now(q.exception(2)) }, adapters.NotWritten, adapters.CodeRefused},
		"busy":           {func(q asked, c []byte) []piece { return now(q.exception(6)) }, adapters.NotWritten, adapters.CodeRefused},
		"broken inside":  {func(q asked, c []byte) []piece { return now(q.exception(4)) }, adapters.Unknown, adapters.CodeNoAnswer},
		"behind gateway": {func(q asked, c []byte) []piece { return now(q.exception(11)) }, adapters.Unknown, adapters.CodeNoAnswer},
		"no way there":   {func(q asked, c []byte) []piece { return now(q.exception(10)) }, adapters.NotWritten, adapters.CodeRefused},
		"its maker's":    {func(q asked, c []byte) []piece { return now(q.exception(0x60)) }, adapters.Unknown, adapters.CodeNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrive(modbus.TCP)
				d.reply = c.reply
				err := driven(t, d, modbus.TCP, func(w adapters.Writer) {
					<-time.After(100 * time.Millisecond) // a connection that has brought an answer is called again, but not for a write
					a := w.Write(t.Context(), order("speed", "5"))
					if a.Outcome != c.outcome || a.Code != c.code || a.Why == "" {
						t.Errorf("got %+v, want outcome %d with %s", a, c.outcome, c.code)
					}
					<-time.After(5 * time.Second) // nothing is sent later either
				})
				if err != nil {
					t.Error(err)
				}
				if got := d.written(); len(got) != 1 {
					t.Errorf("written %q, want once", got)
				}
				d.stop()
			})
		})
	}
}

// A host that closes idle connections must not make every command doubtful.
func TestAnIdleConnectionThatWasClosedIsFoundBeforeTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrive(modbus.TCP)
		err := driven(t, d, modbus.TCP, func(w adapters.Writer) {
			<-time.After(100 * time.Millisecond)
			d.mu.Lock()
			d.line.Close()
			d.mu.Unlock()
			if a := w.Write(t.Context(), order("speed", "5")); a.Outcome != adapters.Written {
				t.Errorf("got %+v, want it written over a new connection", a)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// The reply to FC 5 and 6 is the request once more: with an echo on the line, only the second one counts.
func TestAnEchoIsNoConfirmation(t *testing.T) {
	for name, silent := range map[string]bool{"the drive answers": false, "the drive is dead": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrive(modbus.RTUOverTCP)
				echo := func(q asked) []byte {
					b := []byte{q.unit, q.fc, byte(q.start >> 8), byte(q.start), byte(q.count >> 8), byte(q.count)}
					return binary.LittleEndian.AppendUint16(b, crc16(b))
				}
				d.answer = func(q asked) []piece {
					pieces := d.serve(q)
					if q.fc == 6 && silent {
						pieces = nil
					}
					return append(now(echo(q)), pieces...)
				}
				err := driven(t, d, modbus.RTUOverTCP, func(w adapters.Writer) {
					a := w.Write(t.Context(), order("speed", "5"))
					if want := map[bool]adapters.Outcome{false: adapters.Written, true: adapters.Unknown}[silent]; a.Outcome != want {
						t.Errorf("got %+v, want outcome %d", a, want)
					}
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The first thing on a line may be a command: whether the line gives an echo is learned from a read, not from it.
func TestEchoIsLearnedBeforeTheFirstWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrive(modbus.RTUOverTCP)
		deaf := true
		d.answer = func(q asked) []piece {
			if q.fc <= 4 && deaf {
				return nil
			}
			return d.serve(q)
		}
		err := driven(t, d, modbus.RTUOverTCP, func(w adapters.Writer) {
			a := w.Write(t.Context(), order("speed", "5"))
			if a.Outcome != adapters.NotWritten || a.Code != adapters.CodeNotSent || !strings.Contains(a.Why, "did not answer") {
				t.Errorf("got %+v, want it not sent", a)
			}
			d.mu.Lock()
			deaf = false
			d.mu.Unlock()
			if a := w.Write(t.Context(), order("speed", "6")); a.Outcome != adapters.Written {
				t.Errorf("got %+v, want it written", a)
			}
		})
		if err != nil {
			t.Error(err)
		}
		if got := d.written(); !slices.Equal(got, []string{"6@100=6 "}) {
			t.Errorf("written %q, want the second order alone", got)
		}
	})
}

func TestAnOrderWhoseCallerHasGoneIsNeverWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrive(modbus.TCP)
		ds := units(1, time.Second, modbus.Point{Name: "speed"})
		ds[0].Commands = []modbus.Command{{Name: "speed"}}
		s, err := modbus.New(modbus.Config{Link: "bus-1", Devices: ds, Dial: d.dial})
		if err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		// Nobody owns the link yet: all of them wait, one too many is refused at once.
		var waiting sync.WaitGroup
		for range 20 {
			waiting.Go(func() {
				if a := s.Write(gone, order("speed", "1")); a.Outcome != adapters.NotWritten || a.Code != adapters.CodeNotSent {
					t.Errorf("got %+v, want it not sent", a)
				}
			})
		}
		waiting.Wait()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx, nil, newCatch().put) }()
		<-time.After(3 * time.Second)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := d.written(); len(got) != 0 {
			t.Errorf("written %q, want nothing", got)
		}
	})
}

// A dead unit costs the commands of the others no more than its share of the time.
func TestASickUnitDoesNotHoldUpCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrive(modbus.TCP)
		d.answer = func(q asked) []piece {
			if q.unit == 2 {
				return nil
			}
			return d.serve(q)
		}
		ds := units(2, time.Second, modbus.Point{Name: "speed"})
		ds[0].Commands = []modbus.Command{{Name: "speed"}}
		s, err := modbus.New(modbus.Config{Link: "bus-1", Timeout: 500 * time.Millisecond, Retries: 2, Devices: ds, Dial: d.dial})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx, nil, newCatch().put) }()
		<-time.After(2 * time.Minute) // unit 2 is known to be dead
		slow := 0
		for range 200 {
			<-time.After(317 * time.Millisecond)
			began := time.Now()
			if a := s.Write(t.Context(), order("speed", "1")); a.Outcome != adapters.Written {
				t.Errorf("got %+v", a)
			}
			if time.Since(began) > 100*time.Millisecond {
				slow++
			}
		}
		if slow > 20 {
			t.Errorf("%d of 200 commands waited for the dead unit, want at most a tenth", slow)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

package modbus_test

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/modbus"
)

// However many commands come, the devices of the link are polled.
func TestAFloodOfCommandsLeavesThePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrive(modbus.TCP)
		d.answer = func(q asked) []piece {
			pieces := d.serve(q)
			pieces[0].after = 5 * time.Millisecond
			return pieces
		}
		ds := units(3, time.Second, modbus.Point{Name: "speed"})
		for i := range ds {
			ds[i].Commands = []modbus.Command{{Name: "speed"}}
		}
		c := newCatch()
		s, err := modbus.New(modbus.Config{Link: "bus-1", Devices: ds, Dial: d.dial})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		for i := range 12 { // callers who never pause: the desk is never empty
			go func() {
				for ctx.Err() == nil {
					o := order("speed", "1")
					o.Device = name(i%3 + 1)
					s.Write(ctx, o)
				}
			}()
		}
		if err := s.Run(ctx, nil, c.put); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		for i := range 3 {
			if got := len(c.of(name(i + 1))); got < 29 {
				t.Errorf("%s was polled %d times in 30 s, want 30", name(i+1), got)
			}
		}
		if got := len(d.written()); got < 2000 {
			t.Errorf("%d writes, want the rest of the time to be theirs", got)
		}
	})
}

// A converter that hangs up just before a write may come back as another one, with an echo: nothing is known of it, and
// so nothing is written to it.
func TestNothingIsWrittenToAConnectionThatIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrive(modbus.RTUOverTCP)
		echoing := false
		d.answer = func(q asked) []piece {
			if q.fc <= 4 {
				return d.serve(q)
			}
			_ = d.serve(q)
			if !echoing {
				return nil
			}
			b := []byte{q.unit, q.fc, byte(q.start >> 8), byte(q.start), byte(q.count >> 8), byte(q.count)}
			return now(binary.LittleEndian.AppendUint16(b, crc16(b))) // its own echo alone: the drive is dead
		}
		err := driven(t, d, modbus.RTUOverTCP, func(w adapters.Writer) {
			<-time.After(100 * time.Millisecond) // known as a line without echo
			o := order("speed", "5")
			o.Veto = func() (string, string) { // right before the write
				d.mu.Lock()
				d.line.Close()
				echoing = true
				d.mu.Unlock()
				return "", ""
			}
			if a := w.Write(t.Context(), o); a.Outcome != adapters.NotWritten || !strings.Contains(a.Why, "echo") {
				t.Errorf("got %+v, want it not written", a)
			}
		})
		if err != nil {
			t.Error(err)
		}
		if got := d.written(); len(got) != 0 {
			t.Errorf("written %q, want nothing", got)
		}
	})
}

// What a technician reads of a link that is down is no word of our language.
func TestAnOrderForALinkThatIsDownSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ds := units(1, time.Second, modbus.Point{Name: "speed"})
		ds[0].Commands = []modbus.Command{{Name: "speed"}}
		s, err := modbus.New(modbus.Config{Link: "bus-1", Devices: ds})
		if err != nil {
			t.Fatal(err)
		}
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if a := s.Write(late, order("speed", "1")); a.Why != "nothing was written on bus-1: it is down or busy, and the turn did not come in time" {
			t.Errorf("got %+v", a)
		}
		gone, stop := context.WithCancel(t.Context())
		stop()
		if a := s.Write(gone, order("speed", "1")); !strings.Contains(a.Why, "stopping") {
			t.Errorf("got %+v", a)
		}
	})
}

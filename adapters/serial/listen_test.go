package serial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/serial"
	"legacybridge/hardware/port"
)

func TestFrameUnderWayAtOpeningIsDropped(t *testing.T) {
	for _, c := range []struct {
		after time.Duration // of opening
		want  string
	}{
		{99 * time.Millisecond, "a 2"},
		{101 * time.Millisecond, "a 1; a 2"},
		{time.Minute, "a 1; a 2"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, serial.Config{Devices: []serial.Device{listener("a")}})
			time.Sleep(c.after)
			r.say("a 1\r\n")
			r.say("a 2\r\n")
			r.finish()
			if got := r.readings(); got != c.want {
				t.Errorf("first byte %v after opening: %q, want %q", c.after, got, c.want)
			}
		})
	}
}

func TestReadingHasTheTimeOfItsLastByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{listener("a")}, Frame: serial.Frame{Idle: time.Second}})
		time.Sleep(time.Minute)
		r.say("a ")
		time.Sleep(500 * time.Millisecond)
		r.say("1")
		want := time.Now()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(r.got) != 1 || !r.got[0].Time.Equal(want) {
			t.Errorf("got %+v, want one reading at %v", r.got, want)
		}
		r.finish()
	})
}

func TestLinesThatNobodyMatchesAreDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{listener("a"), listener("b")}})
		time.Sleep(time.Second)
		r.say("a 1\r\nb 2\r\nc 3\r\nb 4\r\n" + strings.Repeat("x", 5000) + "\r\na 5\r\n")
		time.Sleep(2 * time.Second)
		r.finish()
		if got, want := r.readings(), "a 1; b 2; FRM004; b 4; a 5"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if c := r.state().Counts; c.Frames != 4 || c.Bad != 2 {
			t.Errorf("counts %+v, want 4 frames and 2 bad", c)
		}
	})
}

func TestLineWithALongPauseInsideIsNoValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{listener("a")}})
		time.Sleep(time.Second)
		r.say("a 1")
		time.Sleep(11 * time.Second) // switched off in the middle
		r.say("2\r\na 3\r\n")
		r.finish()
		if got, want := r.readings(), "a FRM005; a 3"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A silence ends what is dropped, the next silence ends what comes behind it: one silence is not two.
func TestRestOfAnInterruptedFrameIsNoFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := serial.Device{Name: "a", Points: []serial.Point{{Name: "v", To: 4, Type: "text"}}}
		r := newRig(t, serial.Config{Devices: []serial.Device{d}, Frame: serial.Frame{Length: 4}})
		time.Sleep(time.Second)
		r.say("1234")
		time.Sleep(time.Second)
		r.say("56")
		time.Sleep(time.Second)
		r.say("789012")
		time.Sleep(time.Second)
		r.say("3456")
		r.finish()
		if got, want := r.readings(), "a 1234; a 3456"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Noise on the line damages characters, drops some, and cuts lines: nothing arrives that was not sent.
func TestNoiseInventsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := listener("a")
		d.Lines = []*regexp.Regexp{regexp.MustCompile(`^a (?<v>\d{6})$`)}
		r := newRig(t, serial.Config{Devices: []serial.Device{d}, Frame: serial.Frame{End: []byte("\r\n"), Max: 64}})
		time.Sleep(time.Second)
		rng := rand.New(rand.NewPCG(3, 4))
		whole := 0
		for n := range 3000 {
			line, hurt := []byte(fmt.Sprintf("a %06d\r\n", n)), false
			for i := 0; i < len(line); i++ {
				switch p := rng.IntN(1000); {
				case p < 3:
					line[i], hurt = byte(0x80+rng.IntN(128)), true
				case p < 6 && i < len(line)-2: // a lost line end joins lines, which is noise of another kind
					line, hurt = append(line[:i], line[i+1:]...), true
				case p < 7:
					line, hurt = append(line[:i:i], append([]byte{0}, line[i:]...)...), true
				}
			}
			if !hurt {
				whole++
			}
			r.say(string(line))
		}
		r.finish()
		last, values := -1, 0
		for _, g := range r.got {
			if g.Fault != nil {
				continue
			}
			var n int
			fmt.Sscan(strings.TrimLeft(g.Values[0], "0"), &n)
			if n < last || n >= 3000 || len(g.Values[0]) != 6 {
				t.Errorf("%q after %d was never sent so", g.Values[0], last)
			}
			last = n
			values++
		}
		if values < whole*95/100 || values > whole {
			t.Errorf("%d values of %d lines that were whole", values, whole)
		}
	})
}

func TestOnceTakesOneFrameOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{listener("a")}, Once: true})
		time.Sleep(time.Second)
		r.say("a 1\r\n")
		if err := <-r.over; err != nil || r.readings() != "a 1" {
			t.Errorf("with a frame: %v, want nil and the frame", err)
		}
		start := time.Now()
		r = newRig(t, serial.Config{Devices: []serial.Device{listener("a")}, Once: true})
		if err := <-r.over; err != nil || r.readings() != "" || time.Since(start).Round(time.Second) != 3*time.Second {
			t.Errorf("without one: %v after %v, want nil after 3 s", err, time.Since(start))
		}
	})
}

func TestFailedPutEndsTheRunWithItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errDisk := errors.New("disk is gone")
		ours, theirs := net.Pipe()
		src, err := serial.New(serial.Config{Link: "line", Frame: serial.Frame{End: []byte("\n")}, Devices: []serial.Device{listener("a")},
			Dial: func(context.Context) (port.Port, error) { return ours, nil }})
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan error)
		go func() {
			over <- src.Run(t.Context(), nil, func(context.Context, adapters.Batch) error { return errDisk })
		}()
		time.Sleep(time.Second)
		theirs.Write([]byte("a 1\n"))
		start := time.Now()
		if err := <-over; !errors.Is(err, errDisk) || time.Since(start) > time.Second {
			t.Errorf("Run returned %v after %v, want the sink's error within a second", err, time.Since(start))
		}
	})
}

func TestGoneWireEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{listener("a")}})
		time.Sleep(time.Second)
		r.say("a 1\r\n")
		r.conn.Close()
		err := <-r.over
		if !errors.Is(err, io.EOF) || r.readings() != "a 1" {
			t.Errorf("Run returned %v, want the end of the wire, after what had come", err)
		}
		if s := r.state(); s.Health != adapters.Down || s.Code != "SER004" || s.Why == "" {
			t.Errorf("state %+v, want failing with SER004", s)
		}
	})
}

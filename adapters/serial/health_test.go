package serial_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/serial"
)

func TestWrongBaudRateIsGarbledAndGivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{listener("a")}, Frame: serial.Frame{End: []byte("\n")}})
		time.Sleep(time.Second)
		rng := rand.New(rand.NewPCG(5, 6))
		garbage := func(d time.Duration) {
			for range d / (100 * time.Millisecond) {
				b := make([]byte, 60)
				for i := range b {
					b[i] = byte(rng.IntN(256))
				}
				r.say(string(b))
				time.Sleep(100 * time.Millisecond)
			}
		}
		garbage(55 * time.Second)
		if h := r.state().Health; h == adapters.Garbled {
			t.Errorf("%s before a minute is over", h)
		}
		garbage(10 * time.Second)
		if s := r.state(); s.Health != adapters.Garbled || s.Code != "COM005" || s.Why == "" {
			t.Errorf("after a minute: %+v, want garbled", s)
		}
		r.readings()
		garbage(100 * time.Second)
		kept := r.readings()
		if n := strings.Count(kept, "FRM004"); n == 0 || n > 11 || strings.Contains(kept, "a ") && n != strings.Count(kept, ";")+1 {
			t.Errorf("%d dead letters in 100 s of garbage, want a sample of 10, and nothing else: %q", n, kept)
		}
		for n := range 700 { // mended
			r.say(fmt.Sprintf("a %d\n", n))
			time.Sleep(100 * time.Millisecond)
		}
		if s := r.state(); s.Health != adapters.Up || s.Code != "" || s.Counts.Frames < 600 {
			t.Errorf("after the repair: %+v, want ok", s)
		}
		r.finish()
	})
}

func TestDeviceThatIsSilentForLongerThanUsualIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{listener("a")}})
		synctest.Wait()
		if h := r.state().Health; h != adapters.Starting {
			t.Errorf("at opening: %s, want starting", h)
		}
		for n := range 3 {
			time.Sleep(5 * time.Minute)
			r.say(fmt.Sprintf("a %d\r\n", n))
		}
		synctest.Wait()
		if h := r.state().Health; h != adapters.Up {
			t.Errorf("while it talks: %s, want ok", h)
		}
		time.Sleep(14 * time.Minute)
		if h := r.state().Health; h != adapters.Up {
			t.Errorf("after 14 minutes, its usual pause is 5: %s, want ok", h)
		}
		time.Sleep(2 * time.Minute)
		if s := r.state(); s.Health != adapters.Quiet || s.Why == "" {
			t.Errorf("after 16 minutes: %+v, want quiet", s)
		}
		r.finish()
	})
}

func TestCountsAreReportedAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{listener("a")}})
		time.Sleep(time.Second)
		for n := range 500 {
			r.say(fmt.Sprintf("a %d\r\n", n))
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		r.finish()
		if n := len(r.states); n < 10 || n > 15 {
			t.Errorf("%d reports in 10 s, want one per second", n)
		}
		if c := r.state().Counts; c.Frames != 500 {
			t.Errorf("the last report has %d frames, want 500", c.Frames)
		}
	})
}

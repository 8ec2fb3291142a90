package serial_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata"

	"legacybridge/adapters"
	"legacybridge/adapters/serial"
	"legacybridge/hardware/port"
)

func TestAskedDeviceAnswersEveryPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{asked("a", 10*time.Second), asked("b", 5*time.Second)}})
		r.answer(func(q string) (string, time.Duration) {
			return map[string]string{"a?": "1", "b?": "2"}[q], 100 * time.Millisecond
		})
		time.Sleep(22 * time.Second)
		r.finish()
		got := r.readings()
		if a, b := strings.Count(got, "a 1"), strings.Count(got, "b 2"); a != 3 || b != 5 || len(r.got) != 0 {
			t.Errorf("in 22 s %q, want 3 of a and 5 of b", got)
		}
		s := r.state()
		if s.Health != adapters.Up || len(s.Devices) != 2 || s.Devices[1].Counts.Frames != 5 || s.Counts.Bad != 0 {
			t.Errorf("state %+v", s)
		}
	})
}

func TestAlignedQuestionsComeOnTheLocalHour(t *testing.T) {
	kathmandu, err := time.LoadLocation("Asia/Kathmandu") // UTC+5:45: a full hour there is none elsewhere
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		d := asked("a", time.Hour)
		d.Align = kathmandu
		r := newRig(t, serial.Config{Devices: []serial.Device{d}})
		r.answer(func(string) (string, time.Duration) { return "1", 0 })
		time.Sleep(80 * time.Minute)
		r.finish()
		if len(r.got) != 2 { // the rig starts at 5:45
			t.Errorf("%d readings in 80 minutes, want 2", len(r.got))
		}
		for _, g := range r.got {
			if local := g.Time.In(kathmandu); local.Minute() != 0 || local.Second() != 0 {
				t.Errorf("asked at %v, want full hours there", local)
			}
		}
	})
}

// One answer in five is late by less than one more timeout, one in ten never comes: no device ever gets the answer of
// another one, nor of its own earlier question.
func TestLateAnswerIsNeverTakenForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var devices []serial.Device
		for i := range 4 {
			devices = append(devices, asked(fmt.Sprint("d", i), 3*time.Second))
		}
		r := newRig(t, serial.Config{Devices: devices})
		rng, asked := rand.New(rand.NewPCG(7, 8)), map[string]int{}
		onTime := map[string]bool{} // by device and answer
		late := 0
		r.answer(func(q string) (string, time.Duration) {
			asked[q]++
			text := fmt.Sprintf("%c%06d", q[1], asked[q])
			switch p := rng.IntN(100); {
			case p < 10:
				return "", 0
			case p < 30:
				late++
				return text, time.Second + time.Duration(1+rng.IntN(990))*time.Millisecond
			}
			onTime[text] = true
			return text, time.Duration(rng.IntN(990)) * time.Millisecond
		})
		time.Sleep(time.Hour)
		r.finish()
		values := 0
		for _, g := range r.got {
			if g.Fault != nil || g.Device[1] != g.Values[0][0] || !onTime[g.Values[0]] {
				t.Errorf("%s got %q, %+v", g.Device, g.Values, g.Fault)
			}
			delete(onTime, g.Values[0])
			values++
		}
		if values < 1000 || late < 200 || len(onTime) > 4 {
			t.Errorf("%d values, %d late answers, %d answers on time that did not arrive", values, late, len(onTime))
		}
		if c := r.state().Counts; c.Timeouts == 0 || c.Bad < uint64(late)*9/10 {
			t.Errorf("counts %+v, want the late ones counted", c)
		}
	})
}

func TestUnreadableAnswerIsADeadLetterOfItsDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{asked("a", 10*time.Second), listener("b")}})
		n := 0
		r.answer(func(string) (string, time.Duration) {
			if n++; n == 2 {
				r.say("ES\r\n") // and then the right one, which nobody waits for any more
			}
			return fmt.Sprint(n), 500 * time.Millisecond
		})
		time.Sleep(5 * time.Second)
		r.say("b 7\r\n")
		time.Sleep(20 * time.Second)
		r.finish()
		if got, want := r.readings(), "a 1; b 7; a FRM004; a 3"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestWhatAnAskedDeviceSendsUnaskedIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{asked("a", 10*time.Second)}, Open: [][]byte{[]byte("@\n")}})
		r.answer(func(q string) (string, time.Duration) {
			if q == "@" {
				return "1126493049", 300 * time.Millisecond // the answer to the reset, looks like a value
			}
			return "1", 0
		})
		time.Sleep(5 * time.Second)
		r.say("99\r\n")
		time.Sleep(10 * time.Second)
		r.finish()
		if got, want := r.readings(), "a 1; a 1"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if c := r.state().Counts; c.Bad != 2 || c.Frames != 2 {
			t.Errorf("counts %+v, want 2 bad and 2 frames", c)
		}
	})
}

func TestHalfAnAnswerIsNotJoinedToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{asked("a", 10*time.Second)}})
		n := 0
		r.answer(func(string) (string, time.Duration) {
			if n++; n == 2 {
				r.say("12")
				return "", 0
			}
			return fmt.Sprint(100 + n), 0
		})
		time.Sleep(25 * time.Second)
		r.finish()
		if got, want := r.readings(), "a 101; a 103"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestSilentDeviceDoesNotHoldUpItsNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var devices []serial.Device
		for i := range 4 {
			devices = append(devices, asked(fmt.Sprint("d", i), 2*time.Second))
		}
		r := newRig(t, serial.Config{Devices: devices})
		r.answer(func(q string) (string, time.Duration) {
			if q == "d2?" {
				return "", 0
			}
			return "1", 50 * time.Millisecond
		})
		time.Sleep(20 * time.Minute)
		r.finish()
		got := r.readings()
		for _, d := range []string{"d0", "d1", "d3"} {
			if n := strings.Count(got, d+" 1"); n < 540 {
				t.Errorf("%s was read %d times in 20 minutes, want 90 %% of 600", d, n)
			}
		}
		s := r.state()
		if d := s.Devices[2]; d.Health != adapters.Down || d.Code != "COM003" || !strings.Contains(d.Why, "d2") || s.Health != adapters.Up {
			t.Errorf("link %s, silent device %+v: want ok and COM003", s.Health, d)
		}
	})
}

func TestLineThatNeverFallsSilentIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{asked("a", 10*time.Second), asked("b", 10*time.Second)}})
		questions := 0
		r.answer(func(string) (string, time.Duration) { questions++; return "", 0 })
		for range 600 {
			r.say("5\r\n")
			time.Sleep(100 * time.Millisecond)
		}
		if s := r.state(); s.Health != adapters.Down || !strings.Contains(s.Devices[0].Why, "does not fall silent") {
			t.Errorf("state %+v, want failing, with the reason", s)
		}
		r.finish()
		if got := r.readings(); got != "" || questions != 0 {
			t.Errorf("%d questions, read %q: want none", questions, got)
		}
	})
}

func TestAnswerThatSilenceEndsIsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{asked("a", 10*time.Second)}, Frame: serial.Frame{Idle: 300 * time.Millisecond}})
		r.answer(func(string) (string, time.Duration) {
			time.AfterFunc(900*time.Millisecond, func() { r.say("42") })
			return "", 0
		})
		time.Sleep(8 * time.Second)
		r.finish()
		if got, want := r.readings(), "a 42"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestPortWithoutAnySignOfLifeIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{asked("a", 2*time.Second)}})
		r.answer(func(string) (string, time.Duration) { return "", 0 })
		start := time.Now()
		err := <-r.over
		if took := time.Since(start); err == nil || took < 29*time.Second || took > 32*time.Second {
			t.Errorf("Run returned %v after %v, want an error after 30 s", err, took)
		}
		if s := r.state(); s.Health != adapters.Down || s.Code != "COM003" {
			t.Errorf("state %+v, want COM003: the device is silent, not the port gone", s)
		}
		// The next opening finds it alive.
		over := make(chan error)
		go func() { over <- r.src.Run(t.Context(), nil, r.put) }()
		r.conn.Close()
		r.conn = <-r.end
		r.answer(func(string) (string, time.Duration) { return "1", 0 })
		time.Sleep(5 * time.Second)
		if s := r.state(); s.Health != adapters.Up || s.Counts.Reopened != 1 || !strings.HasPrefix(r.readings(), "a 1") {
			t.Errorf("state %+v, want ok after one reopening", s)
		}
		r.conn.Close()
		<-over
	})
}

func TestOnceAsksEachDeviceOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aligned := asked("b", time.Hour)
		aligned.Align = time.UTC
		devices := []serial.Device{asked("a", time.Second), aligned, asked("c", time.Minute)}
		r := newRig(t, serial.Config{Devices: devices, Once: true})
		r.answer(func(q string) (string, time.Duration) {
			return map[string]string{"a?": "1", "c?": "3"}[q], 10 * time.Millisecond
		})
		err := <-r.over
		if err == nil || err.Error() != "no answer on line from b" {
			t.Errorf("Run returned %v, want one that names b", err)
		}
		if got, want := r.readings(), "a 1; c 3"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestFlowThatIsHeldBackIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{asked("a", time.Second)}})
		// nobody reads the questions
		err := <-r.over
		if err == nil || !strings.Contains(err.Error(), "flow control") {
			t.Errorf("Run returned %v, want the reason", err)
		}
		if timeout, ok := errors.AsType[net.Error](err); ok {
			t.Errorf("%v passes for a time-out of the network", timeout)
		}
	})
}

// The right answer comes after a wrong one, when the next device has been asked if nobody waits.
func TestAnswerBehindAnUnreadableOneIsNotTakenForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{asked("a", 10*time.Second), asked("b", 10*time.Second)}})
		r.answer(func(q string) (string, time.Duration) {
			if q == "a?" {
				r.say("ES\r\n")
				return "111", 500 * time.Millisecond
			}
			return "222", 700 * time.Millisecond
		})
		time.Sleep(15 * time.Second)
		r.finish()
		if got, want := r.readings(), "a FRM004; b 222; a FRM004; b 222"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestTailOfAnAnswerIsNotTakenForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{asked("a", 10*time.Second), asked("b", 10*time.Second)}})
		r.answer(func(q string) (string, time.Duration) {
			if q == "a?" {
				time.AfterFunc(15*time.Millisecond, func() { r.say("0\r\n") }) // a status line, say
				return "111", 0
			}
			return "222", 100 * time.Millisecond
		})
		time.Sleep(8 * time.Second)
		r.finish()
		if got, want := r.readings(), "a 111; b 222"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// An answering kernel has bytes waiting at the very moment of a question.
type answering struct {
	kernel
	due   time.Time
	stale string
}

func (k *answering) Read(b []byte) (int, error) {
	n, err := k.kernel.Read(b)
	if err != nil && k.stale != "" && !time.Now().Before(k.due) {
		k.arrive(k.stale)
		k.stale = ""
	}
	return n, err
}

func (k *answering) Write(b []byte) (int, error) {
	k.arrive("1\r\n")
	return len(b), nil
}

func TestBytesThatWaitAtAQuestionAreNotItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		k := &answering{due: start.Add(10 * time.Second), stale: "99\r\n"}
		var got []string
		src, err := serial.New(serial.Config{Link: "line", Frame: serial.Frame{End: []byte("\r\n")}, Devices: []serial.Device{asked("a", 10*time.Second)},
			Dial: func(context.Context) (port.Port, error) { return k, nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		src.Run(ctx, nil, func(_ context.Context, b adapters.Batch) error {
			for _, r := range b.Readings {
				got = append(got, r.Values...)
			}
			return nil
		})
		if want := []string{"1", "1"}; !slices.Equal(got, want) || k.stale != "" {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

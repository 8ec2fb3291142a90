package serial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
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

// A kernel is a port that keeps so many bytes and drops what comes then, as a tty does that nobody reads.
type kernel struct {
	mu       sync.Mutex
	buf      []byte
	deadline time.Time
}

func (k *kernel) arrive(text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.buf = append(k.buf, text[:min(len(text), 4095-len(k.buf))]...)
}

func (k *kernel) Read(b []byte) (int, error) {
	for {
		k.mu.Lock()
		n := copy(b, k.buf)
		k.buf = k.buf[n:]
		k.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		if !time.Now().Before(k.deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		time.Sleep(time.Millisecond)
	}
}

func (k *kernel) Write(b []byte) (int, error)   { return len(b), nil }
func (k *kernel) SetDeadline(t time.Time) error { k.deadline = t; return nil }
func (k *kernel) Close() error                  { return nil }

func TestBytesLostBehindASlowSinkSpliceNoLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		src, err := serial.New(serial.Config{Link: "line", Frame: serial.Frame{End: []byte("\r\n")}, Devices: []serial.Device{listener("a")},
			Dial: func(context.Context) (port.Port, error) { return k, nil }})
		if err != nil {
			t.Fatal(err)
		}
		slow := make(chan struct{})
		var lines []string // values all of one length, so that a splice looks like one
		sent, seen := map[string]bool{}, 0
		for n := range 3000 {
			lines = append(lines, fmt.Sprint(1000000+n*7919))
			sent[lines[n]] = true
		}
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() {
			over <- src.Run(ctx, nil, func(_ context.Context, b adapters.Batch) error {
				<-slow
				for _, r := range b.Readings {
					if r.Fault != nil || !sent[r.Values[0]] {
						t.Errorf("%q, %+v: never sent", r.Values, r.Fault)
					}
					seen++
				}
				return nil
			})
		}()
		time.Sleep(time.Second)
		for n, v := range lines {
			k.arrive("a " + v + "\r\n")
			if n == 2000 {
				close(slow)
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
		if seen < 1500 {
			t.Errorf("%d of 3000 lines arrived, want those before and behind the hole", seen)
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

// A busy port is one on a machine so busy that every other read finds its deadline passed before it has looked.
type busy struct {
	kernel
	reads int
}

func (b *busy) Read(p []byte) (int, error) {
	if b.reads++; b.reads%2 == 0 {
		time.Sleep(time.Second)
		return 0, os.ErrDeadlineExceeded
	}
	return b.kernel.Read(p)
}

func TestSilenceIsNotTakenFromAReadThatWokeLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &busy{}
		src, err := serial.New(serial.Config{Link: "line", Frame: serial.Frame{Idle: 300 * time.Millisecond},
			Devices: []serial.Device{listener("a")}, Dial: func(context.Context) (port.Port, error) { return b, nil }})
		if err != nil {
			t.Fatal(err)
		}
		values := make(chan string, 100)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() {
			time.Sleep(time.Second)
			for _, c := range "a 1234567" { // never silent for long
				b.arrive(string(c))
				time.Sleep(200 * time.Millisecond)
			}
		}()
		src.Run(ctx, nil, collect(values))
		close(values)
		if v := <-values; v != "1234567" {
			t.Errorf("got %q, want the whole frame", v)
		}
	})
}

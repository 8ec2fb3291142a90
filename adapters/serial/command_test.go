package serial_test

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/adapterstest"
	"legacybridge/adapters/serial"
	"legacybridge/hardware/port"
)

func commanded(name string, every time.Duration) serial.Device {
	d := asked(name, every)
	d.Commands = []serial.Command{{Name: "zero", Expect: regexp.MustCompile(`^Z A$`)}, {Name: "beep"}}
	return d
}

func zero() adapters.Order {
	return adapters.Order{Device: "a", Command: "zero", Value: "Z\r\n"}
}

func TestAnOrderGoesBetweenTwoQuestions(t *testing.T) {
	for name, c := range map[string]struct {
		reply   string
		after   time.Duration
		outcome adapters.Outcome
		code    string
	}{
		"taken":       {"Z A", 50 * time.Millisecond, adapters.Written, ""},
		"refused":     {"Z I", 50 * time.Millisecond, adapters.Denied, adapters.CodeRefused},
		"no answer":   {"", 0, adapters.Unknown, adapters.CodeNoAnswer},
		"late answer": {"Z A", 1300 * time.Millisecond, adapters.Unknown, adapters.CodeNoAnswer},
		"after echo":  {"Z\r\nZ A", 50 * time.Millisecond, adapters.Written, ""},
		"echo alone":  {"Z", 50 * time.Millisecond, adapters.Unknown, adapters.CodeNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, serial.Config{Devices: []serial.Device{commanded("a", time.Second)}})
				var mu sync.Mutex
				orders, under := 0, false
				r.answer(func(q string) (string, time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					if q == "Z" || q == "Z\r" {
						orders++
						if under {
							t.Error("the order was sent while a question was not answered")
						}
						return c.reply, c.after
					}
					under = true
					time.AfterFunc(100*time.Millisecond, func() { mu.Lock(); under = false; mu.Unlock() })
					return "1", 100 * time.Millisecond
				})
				time.Sleep(2030 * time.Millisecond)
				a := r.src.Write(t.Context(), zero())
				if a.Outcome != c.outcome || a.Code != c.code || a.At.IsZero() {
					t.Errorf("got %+v, want outcome %d %s", a, c.outcome, c.code)
				}
				time.Sleep(10 * time.Second)
				r.finish()
				if orders != 1 {
					t.Errorf("sent %d times, want once", orders)
				}
				if got := r.readings(); strings.Count(got, "a 1") < 8 || strings.Contains(got, "FRM") && c.code == "" {
					t.Errorf("readings %q: the questions did not go on", got)
				}
			})
		})
	}
}

// Frames of a device that talks by itself are no answers, and are not lost while one is waited for.
func TestTalkersAreHeardWhileAnAnswerIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := listener("talker")
		d.Commands = []serial.Command{{Name: "zero", Expect: regexp.MustCompile(`^Z A$`)}}
		r := newRig(t, serial.Config{Devices: []serial.Device{d}})
		time.Sleep(time.Second)
		r.say("talker 1\r\n")
		done := make(chan adapters.Answer)
		go func() {
			done <- r.src.Write(t.Context(), adapters.Order{Device: "talker", Command: "zero", Value: "Z\r\n"})
		}()
		if q, err := bufio.NewReader(r.conn).ReadString('\n'); q != "Z\r\n" || err != nil {
			t.Errorf("got %q, %v, want the order", q, err)
		}
		r.say("talker 2\r\nZ A\r\ntalker 3\r\n")
		if a := <-done; a.Outcome != adapters.Written || a.Said != "Z A" {
			t.Errorf("got %+v, want it taken", a)
		}
		time.Sleep(time.Second)
		r.finish()
		if got := r.readings(); got != "talker 1; talker 2; talker 3" {
			t.Errorf("readings %q, want all three of the talker", got)
		}
	})
}

// However many commands come, the questions have their turn.
func TestAFloodOfCommandsLeavesTheQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{commanded("a", time.Second)}})
		r.answer(func(q string) (string, time.Duration) {
			if strings.HasPrefix(q, "Z") {
				return "Z A", 10 * time.Millisecond
			}
			return "1", 10 * time.Millisecond
		})
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		var callers sync.WaitGroup
		orders := make(chan adapters.Outcome, 10000)
		for range 8 {
			callers.Go(func() {
				for ctx.Err() == nil {
					orders <- r.src.Write(ctx, zero()).Outcome
				}
			})
		}
		callers.Wait()
		r.finish()
		if got := strings.Count(r.readings(), "a 1"); got < 25 {
			t.Errorf("%d answers in 30 s, want one each second", got)
		}
		if len(orders) < 200 {
			t.Errorf("%d orders, want the rest of the time to be theirs", len(orders))
		}
	})
}

func TestAReadBackIsYoungerThanTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, serial.Config{Devices: []serial.Device{commanded("a", time.Hour)}})
		n := 0
		r.answer(func(string) (string, time.Duration) { n++; return fmt.Sprint(n), 0 })
		time.Sleep(5 * time.Second)
		before := time.Now()
		got, err := r.src.Read(t.Context(), "a", "v")
		if err != nil || got.Values[0] != "2" || got.Time.Before(before) || time.Since(before) > time.Second {
			t.Errorf("got %+v, %v after %v: want the answer to a new question at once", got, err, time.Since(before))
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.src.Read(short, "b", "v"); err == nil {
			t.Error("a device that is not there was read")
		}
		if a := r.src.Write(t.Context(), adapters.Order{Device: "a", Command: "format", Value: "X"}); a.Outcome != adapters.NotWritten {
			t.Errorf("a command that is not there: %+v", a)
		}
		r.finish()
	})
}

// On a real tty, byte for byte.
func TestAnOrderOnATty(t *testing.T) {
	equipment, path := plug(t)
	d := listener("scale")
	d.Commands = []serial.Command{{Name: "tare", Expect: regexp.MustCompile(`^T S (?<tare>[\d.]+) g$`)}, {Name: "beep"}}
	src, err := serial.New(serial.Config{Link: "line", Port: port.Config{TTY: path, Mode: mode}, Frame: serial.Frame{End: []byte("\r\n")}, Devices: []serial.Device{d}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- src.Run(ctx, nil, collect(make(chan string, 100))) }()
	heard := make(chan string, 10)
	go func() {
		in := bufio.NewScanner(equipment)
		for in.Scan() {
			heard <- in.Text()
			if strings.HasPrefix(in.Text(), "T ") {
				fmt.Fprint(equipment, "T S 12.5 g\r\n")
			}
		}
	}()
	limit, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if a := src.Write(limit, adapters.Order{Device: "scale", Command: "tare", Value: "T 12.5\r\n"}); a.Outcome != adapters.Written || a.Said != "T S 12.5 g" {
		t.Errorf("got %+v, want it taken", a)
	}
	if a := src.Write(limit, adapters.Order{Device: "scale", Command: "beep", Value: "B\r\n"}); a.Outcome != adapters.Written {
		t.Errorf("got %+v, want it sent", a)
	}
	for _, want := range []string{"T 12.5", "B"} {
		if got := strings.TrimRight(<-heard, "\r"); got != want {
			t.Errorf("the equipment heard %q, want %q", got, want)
		}
	}
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func TestWriterContract(t *testing.T) {
	equipment, path := plug(t)
	var mu sync.Mutex
	tared := 0
	go func() {
		in := bufio.NewScanner(equipment)
		for in.Scan() {
			switch strings.TrimRight(in.Text(), "\r") {
			case "a?":
				fmt.Fprint(equipment, "7\r\n")
			case "Z":
				mu.Lock()
				tared++
				mu.Unlock()
				fmt.Fprint(equipment, "Z A\r\n")
			}
		}
	}()
	adapterstest.RunWriter(t, adapterstest.WriterContract{
		New: func() (adapters.Writer, error) {
			d := commanded("a", 100*time.Millisecond)
			return serial.New(serial.Config{Link: "line", Port: port.Config{TTY: path, Mode: mode}, Frame: serial.Frame{End: []byte("\r\n")}, Devices: []serial.Device{d}})
		},
		Order: zero(), Written: func() int { mu.Lock(); defer mu.Unlock(); return tared }, Point: "v",
	})
}

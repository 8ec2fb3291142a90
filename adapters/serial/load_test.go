package serial_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/serial"
	"legacybridge/hardware/port"
)

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

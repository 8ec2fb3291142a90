package main

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/adapters"
	"legacybridge/config"
	"legacybridge/mapping"
)

type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestSilentDeviceIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := &lockedText{}
		b := newBoard(slog.New(newLineHandler(said, &slog.HandlerOptions{ReplaceAttr: tidy}, false)))
		links := []config.Link{{Name: "bus", Stale: map[string]time.Duration{"meter": 30 * time.Second, "reader": 0},
			Mapping: mapping.Config{Devices: []mapping.Device{{Name: "meter"}, {Name: "reader"}}}}}
		go b.listen(t.Context(), links)
		b.heard([]adapters.Reading{{Device: "meter"}})
		count := func(text string) int { return strings.Count(said.String(), text) }

		time.Sleep(29 * time.Second)
		synctest.Wait()
		if n := count("quiet"); n != 0 {
			t.Fatalf("said quiet %d times within stale, want 0", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := count("quiet: no reading source=bus device=meter"); n != 1 {
			t.Fatalf("said quiet %d times, want 1:\n%s", n, said.String())
		}
		b.heard([]adapters.Reading{{Device: "meter"}})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := count("reading again"); n != 1 {
			t.Fatalf("said reading again %d times, want 1", n)
		}
	})
}

// TestFastDeviceIsNotQuietBetweenTwoWrites: a unit that is polled every 20 ms is stale after 60 ms by the rules, and its
// readings come here only as often as the disk takes them.
func TestFastDeviceIsNotQuietBetweenTwoWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := &lockedText{}
		b := newBoard(slog.New(newLineHandler(said, &slog.HandlerOptions{ReplaceAttr: tidy}, false)))
		links := []config.Link{{Name: "bus", Stale: map[string]time.Duration{"meter": 60 * time.Millisecond},
			Mapping: mapping.Config{Devices: []mapping.Device{{Name: "meter"}}}}}
		go b.listen(t.Context(), links)
		for range 100 {
			b.heard([]adapters.Reading{{Device: "meter"}})
			time.Sleep(700 * time.Millisecond)
		}
		synctest.Wait()
		if got := said.String(); got != "" {
			t.Errorf("got\n%swant nothing said", got)
		}
	})
}

func TestLogLineForTheJournal(t *testing.T) {
	var said strings.Builder
	log := slog.New(newLineHandler(&said, &slog.HandlerOptions{ReplaceAttr: tidy}, true)).With("source", "scale-a")
	log.Warn("failing", "err", "port\nvanished", "code", "SER004")
	if got, want := said.String(), "<4>failing source=scale-a err=\"port\\nvanished\" code=SER004\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	said.Reset()
	log.Info("long", "err", strings.Repeat("x", 1000))
	if n := len(said.String()); n > maxLogged+64 {
		t.Errorf("a text from outside took %d bytes of the log, want at most %d", n, maxLogged+64)
	}
}

// TestOneTroubleIsOneLine: a link that goes down takes its devices with it, and says so once for all of them.
func TestOneTroubleIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := &lockedText{}
		b := newBoard(slog.New(newLineHandler(said, &slog.HandlerOptions{ReplaceAttr: tidy}, true)))
		report := b.link("bus")
		state := func(h adapters.Health, code, why string, devices ...adapters.DeviceState) adapters.State {
			return adapters.State{Health: h, Code: code, Why: why, Devices: devices}
		}
		device := func(name string, h adapters.Health, code, why string) adapters.DeviceState {
			return adapters.DeviceState{Device: name, Health: h, Code: code, Why: why}
		}
		says := func(what, want string) {
			t.Helper()
			if got := said.String(); got != want {
				t.Errorf("%s: got\n%swant\n%s", what, got, want)
			}
			said.mu.Lock()
			said.b.Reset()
			said.mu.Unlock()
		}
		report(state(adapters.Up, "", "", device("m1", adapters.Up, "", ""), device("m2", adapters.Up, "", "")))
		says("the start", "<6>reading source=bus\n<6>reading source=bus device=m1\n<6>reading source=bus device=m2\n")
		if b.told("bus") {
			t.Error("told of a trouble, and there is none")
		}
		report(state(adapters.Down, "COM001", "host away", device("m1", adapters.Down, "COM001", "host away"), device("m2", adapters.Down, "COM001", "host away")))
		says("the link goes down", "<4>failing source=bus err=\"host away\" code=COM001\n")
		if !b.told("bus") {
			t.Error("not told of the trouble, and it stands in the log")
		}
		links := []config.Link{{Name: "bus", Stale: map[string]time.Duration{"m1": 3 * time.Second}, Mapping: mapping.Config{Devices: []mapping.Device{{Name: "m1"}}}}}
		go b.listen(t.Context(), links)
		time.Sleep(time.Minute)
		synctest.Wait()
		says("a minute of silence from a host that is away", "")
		report(state(adapters.Up, "", "", device("m1", adapters.Up, "", ""), device("m2", adapters.Down, "COM003", "no answer")))
		says("one of two is back", "<6>reading again source=bus\n<4>failing source=bus device=m2 err=\"no answer\" code=COM003\n")
		report(state(adapters.Up, "", "", device("m1", adapters.Up, "", ""), device("m2", adapters.Up, "", "")))
		says("the other is back", "<6>reading again source=bus device=m2\n")
	})
}

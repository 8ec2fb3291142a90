package csvfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"legacybridge/adapters"
)

// A running source, and what it has put.
type running struct {
	t      *testing.T
	cancel func()
	ended  chan error

	mu     sync.Mutex
	got    []adapters.Reading
	stored adapters.Checkpoint
	states []adapters.State
	more   chan struct{}
}

// start runs a source from a checkpoint until the test or stop ends it.
func start(t *testing.T, cfg Config, from adapters.Checkpoint) *running {
	t.Helper()
	r := &running{t: t, ended: make(chan error, 1), more: make(chan struct{}, 1), stored: from}
	cfg.Report = func(s adapters.State) {
		r.mu.Lock()
		r.states = append(r.states, s)
		r.mu.Unlock()
		r.poke()
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.ended <- s.Run(ctx, from, r.put) }()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *running) poke() {
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// put keeps copies, for a sink may keep nothing.
func (r *running) put(_ context.Context, b adapters.Batch) error {
	r.mu.Lock()
	for _, g := range b.Readings {
		g.Values, g.Raw, g.Head = slices.Clone(g.Values), bytes.Clone(g.Raw), bytes.Clone(g.Head)
		r.got = append(r.got, g)
	}
	r.stored = slices.Clone(b.Checkpoint)
	r.mu.Unlock()
	r.poke()
	return nil
}

// until waits for cond, which is asked when something has come.
func (r *running) until(what string, cond func() bool) {
	r.t.Helper()
	late := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		ok := cond()
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.more:
		case <-late:
			r.t.Fatalf("waited 10 s for %s; got %v", what, r.lines())
		}
	}
}

// lines are the readings in short: values, or the code of the fault with what is kept of the row.
func (r *running) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, g := range r.got {
		all = append(all, short(g))
	}
	return all
}

func short(g adapters.Reading) string {
	if g.Fault != nil {
		return g.Fault.Code + " " + string(g.Raw)
	}
	return strings.Join(g.Values, "|")
}

// want waits for that many readings and compares them.
func (r *running) want(want ...string) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d readings", len(want)), func() bool { return len(r.got) >= len(want) })
	if got := r.lines(); !slices.Equal(got, want) {
		r.t.Fatalf("got %q, want %q", got, want)
	}
}

// state waits for a condition of the link.
func (r *running) state(h adapters.Health, code string) {
	r.t.Helper()
	r.until(fmt.Sprintf("state %s %s", h, code), func() bool {
		n := len(r.states)
		return n > 0 && r.states[n-1].Health == h && r.states[n-1].Code == code
	})
}

// placed waits until the position is stored behind n bytes of the file that is read.
func (r *running) placed(n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("the position %d", n), func() bool {
		b, err := decodeBookmark(r.stored)
		return err == nil && b.cur.offset == int64(n)
	})
}

// stop ends the run and gives the stored position.
func (r *running) stop() adapters.Checkpoint {
	if r.ended != nil {
		r.cancel()
		if err := <-r.ended; err != nil && !errors.Is(err, context.Canceled) {
			r.t.Errorf("Run returned %v, want nil or the context's error", err)
		}
		r.ended = nil
	}
	return r.stored
}

// once reads what is there and gives it.
func once(t *testing.T, cfg Config, from adapters.Checkpoint) (lines []string, stored adapters.Checkpoint, err error) {
	t.Helper()
	cfg.Once = true
	r := &running{t: t, more: make(chan struct{}, 1), stored: from}
	err = newSource(t, cfg, false).Run(t.Context(), from, r.put)
	return r.lines(), r.stored, err
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// aged writes a file that was written last so long ago.
func aged(t testing.TB, file, text string, age time.Duration) {
	t.Helper()
	write(t, file, text)
	at := time.Now().Add(-age)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func temp(t testing.TB, name string) string { return filepath.Join(t.TempDir(), name) }

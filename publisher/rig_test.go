package publisher

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// rig is a publisher with its queue, its log and its last state.
type rig struct {
	*Publisher
	q     *queue.Queue
	log   *syncBuffer
	ended chan struct{} // Run has returned after start
	moved chan struct{} // there is a new state; capacity 1

	mu     sync.Mutex
	last   State
	states []State
}

// newRig has its queue in memory where it can: hours of virtual time sync it thousands of times.
func newRig(tb testing.TB, cfg Config) *rig {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "publisher-")
	if err != nil {
		return newRigIn(tb, cfg, tb.TempDir())
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return newRigIn(tb, cfg, dir)
}

func newRigIn(tb testing.TB, cfg Config, dir string) *rig {
	tb.Helper()
	b := &rig{q: openQueue(tb, dir), log: &syncBuffer{}, moved: make(chan struct{}, 1)}
	if cfg.Servers == nil {
		cfg.Servers = []string{"mqtt://broker"}
	}
	if cfg.ClientID == "" {
		cfg.ClientID = "a:legacy:test"
	}
	cfg.Log = slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Report = func(s State) {
		b.mu.Lock()
		b.last = s
		b.states = append(b.states, s)
		b.mu.Unlock()
		poke(b.moved)
	}
	var err error
	if b.Publisher, err = New(cfg, b.q); err != nil {
		tb.Fatal(err)
	}
	return b
}

func (b *rig) state() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// until waits until ok, which is asked after every state that is reported.
func (b *rig) until(tb testing.TB, what string, ok func(State) bool) {
	tb.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for !ok(b.state()) {
		select {
		case <-b.moved:
		case <-late.C:
			tb.Fatalf("waited a minute for: %s; got %+v\n%s", what, b.state(), b.log)
		}
	}
}

// put queues events as they are, past the gate.
func (b *rig) put(tb testing.TB, events ...mapping.Event) {
	tb.Helper()
	if err := b.q.Append(tb.Context(), "link", nil, mapping.Output{Events: events}); err != nil {
		tb.Fatal(err)
	}
}

// start runs the publisher until stop is called, which fails the test if Run returned an error.
func (b *rig) start(tb testing.TB) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	b.ended = make(chan struct{})
	go func() {
		done <- b.Run(ctx)
		close(b.ended)
	}()
	return func() {
		tb.Helper()
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: got %v, want nil", err)
		}
	}
}

// event is the i-th of a device, with QoS 1.
func event(device string, i int) mapping.Event {
	return mapping.Event{Device: device, Type: "press", ID: device, Name: "cycle", Format: "json", QoS: 1,
		Payload: fmt.Appendf(nil, `{"d":{"n":%d}}`, i)}
}

func events(device string, n int) []mapping.Event {
	list := make([]mapping.Event, n)
	for i := range list {
		list[i] = event(device, i)
	}
	return list
}

func payloads(list []mapping.Event) []string {
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = string(list[i].Payload)
	}
	return texts
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	b    bytes.Buffer
	deaf bool
}

// discard lets the log forget what comes from now on.
func (b *syncBuffer) discard() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deaf = true
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deaf {
		return len(p), nil
	}
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func entry(number uint64, payload []byte) queue.Entry {
	ev := event("press-7", 0)
	ev.Payload = payload
	return queue.Entry{Number: number, First: number, Stored: time.Now(), Event: ev}
}

package publisher

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

// subscriber collects what a broker hands out.
type subscriber struct {
	mu    sync.Mutex
	texts []string
	more  chan struct{}
}

// subscribe returns when the subscription stands.
func subscribe(t *testing.T, server string) *subscriber {
	t.Helper()
	s := &subscriber{more: make(chan struct{}, 1)}
	stands := make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	cfg := Config{Servers: []string{server}, ClientID: "watcher", Report: func(s State) {
		if s.Connected {
			stands <- struct{}{}
		}
	}}
	go func() {
		done <- Watch(ctx, cfg, []string{"#"}, func(m Message) {
			s.mu.Lock()
			s.texts = append(s.texts, string(m.Payload))
			s.mu.Unlock()
			poke(s.more)
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: got %v, want nil", err)
		}
	})
	select {
	case <-stands:
	case <-time.After(10 * time.Second):
		t.Fatal("no subscription within 10 s")
	}
	return s
}

// until waits until the first deliveries of what came begin with want.
func (s *subscriber) until(t *testing.T, want []string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		got, seen := []string(nil), map[string]bool{}
		for _, text := range s.texts {
			if !seen[text] {
				seen[text], got = true, append(got, text)
			}
		}
		s.mu.Unlock()
		if len(got) >= len(want) && slices.Equal(got[:len(want)], want) {
			return
		}
		select {
		case <-s.more:
		case <-late:
			t.Fatalf("got %d messages in 20 s, want %d in order:\n%q", len(got), len(want), got)
		}
	}
}

func (s *subscriber) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.texts)
}

// untilCount waits until n different messages have come.
func (s *subscriber) untilCount(t *testing.T, n int) {
	t.Helper()
	late := time.After(30 * time.Second)
	seen, read := map[string]bool{}, 0
	for {
		s.mu.Lock()
		for ; read < len(s.texts); read++ {
			seen[s.texts[read]] = true
		}
		s.mu.Unlock()
		if len(seen) >= n {
			return
		}
		select {
		case <-s.more:
		case <-late:
			t.Errorf("got %d different messages in 30 s, want %d", len(seen), n)
			return
		}
	}
}

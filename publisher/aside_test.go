package publisher

import (
	"context"
	"testing"
)

// A letter for which the disk has no room is given up with the context: a stop must not wait for somebody to make room.
func TestEventThatCannotBeSetAsideStaysQueuedAtAStop(t *testing.T) {
	r := newRig(t, Config{})
	r.put(t, event("press-7", 1))
	reader := r.q.NewReader()
	defer func() { _ = reader.Close() }()
	e, _, err := reader.Next()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.setAside(ctx, e, codeRefused, "refused"); err != nil {
		t.Errorf("got %v, want nil: Run ends with its context, and not with an error", err)
	}
	if s := r.Publisher.state; s.SetAside != 0 || r.q.State().Waiting != 1 {
		t.Errorf("got %d set aside and %d waiting, want the event in the queue", s.SetAside, r.q.State().Waiting)
	}
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// pour sends n messages to b and returns how many were acknowledged.
func pour(t *testing.T, b *broker, n int) (acked int, err error) {
	t.Helper()
	cfg := Config{Servers: []string{b.listen(t)}, ClientID: "a:legacy:test-send-00001", Window: 10}
	sent := 0
	var count atomic.Int64
	err = Pour(t.Context(), cfg, func(context.Context) (Outgoing, bool) {
		sent++
		return Outgoing{"iot-2/type/press/id/press-7/cmd/reset/fmt/json", 1, fmt.Append(nil, sent)}, sent <= n
	}, func() { count.Add(1) })
	return int(count.Load()), err
}

func TestPourEndsWhenAllIsAcknowledged(t *testing.T) {
	b := newBroker()
	if acked, err := pour(t, b, 500); err != nil || acked != 500 {
		t.Errorf("got %d acknowledged, %v, want 500", acked, err)
	}
	for i, m := range b.got() {
		if m.payload != fmt.Sprint(i+1) {
			t.Fatalf("message %d: got %s, want %d", i, m.payload, i+1)
		}
	}
}

func TestPourSaysWhatAClosedConnectionCanMean(t *testing.T) {
	b := newBroker()
	b.onPublish = func(p *peer, m got) {
		if m.payload == "5" {
			_ = p.Close()
			return
		}
		p.ack(m)
	}
	acked, err := pour(t, b, 500)
	f, ok := errors.AsType[*Failure](err)
	if !ok || acked > 4 || f.Code != codeClosed || !strings.Contains(f.Why, "role") || !strings.Contains(f.Why, "press/press-7") {
		t.Errorf("got %d acknowledged, %v, want 4 at most, and role and device among what it can be", acked, err)
	}
}

func TestPourThatIsNotLetInSaysWhy(t *testing.T) {
	b := newBroker()
	b.onLogin = func(*peer) byte { return 5 }
	acked, err := pour(t, b, 1)
	if !errors.Is(err, ErrUnreachable) || acked != 0 || !strings.Contains(err.Error(), "token") {
		t.Errorf("got %d acknowledged, %v, want the token as a reason", acked, err)
	}
}

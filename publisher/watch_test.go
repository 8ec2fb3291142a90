package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func (p *peer) send(topic, payload string, flags byte) {
	body := append([]byte{0, byte(len(topic))}, topic...)
	if flags>>1&3 > 0 {
		body = append(body, 0, 9)
	}
	body = append(body, payload...)
	p.write(append([]byte{0x30 | flags, byte(len(body))}, body...))
}

// watching runs a watcher against b until stop, which returns what it received.
func watching(t *testing.T, b *broker) (states *rig, stop func() ([]Message, error)) {
	t.Helper()
	r := &rig{log: &syncBuffer{}}
	var all []Message
	cfg := Config{Servers: []string{"mqtt://broker"}, ClientID: "a:legacy:test-watch-00001",
		Log:    slog.New(slog.NewTextHandler(r.log, nil)),
		Report: func(s State) { r.mu.Lock(); r.last = s; r.mu.Unlock() }}
	w, err := newWatcher(cfg, []string{"iot-2/type/+/id/+/evt/+/fmt/+"}, func(m Message) {
		time.Sleep(time.Millisecond) // virtual: slower than what comes
		all = append(all, m)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.dial = b.pipe
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.run(ctx) }()
	return r, func() ([]Message, error) {
		cancel()
		err := <-done
		b.peers.Wait()
		return all, err
	}
}

func TestWatchHandsOutInOrderAndSubscribesAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.onSubscribe = func(p *peer) {
			for i := range 500 {
				p.send("iot-2/type/press/id/press-7/evt/cycle/fmt/json", fmt.Sprint(p.n, ":", i), byte(i%3)<<1|1)
			}
			if p.n == 1 {
				_ = p.Close()
			}
		}
		r, stop := watching(t, b)
		time.Sleep(10 * time.Second)
		if s := r.state(); !s.Connected {
			t.Errorf("got %+v, want connected again", s)
		}
		got, err := stop()
		if err != nil {
			t.Errorf("got %v, want nil", err)
		}
		var texts []string
		for _, m := range got {
			texts = append(texts, string(m.Payload))
		}
		var want []string
		for n := 1; n <= 2; n++ {
			for i := range 500 {
				want = append(want, fmt.Sprint(n, ":", i))
			}
		}
		if !slices.Equal(texts, want) {
			t.Errorf("got %d messages or another order, want 1000 in order", len(texts))
		}
		if m := got[2]; m.QoS != 2 || !m.Retained || m.Topic == "" || m.Time.IsZero() {
			t.Errorf("got %+v, want QoS 2, retained, topic and time", m)
		}
	})
}

func TestWatchSaysWhenItCannotBegin(t *testing.T) {
	for name, c := range map[string]struct {
		script func(*broker)
		code   string
		always bool // not ErrUnreachable, but the refusal itself
	}{
		"login refused":       {func(b *broker) { b.onLogin = func(*peer) byte { return 5 } }, codeLogin, false},
		"closed at subscribe": {func(b *broker) { b.onSubscribe = func(p *peer) { _ = p.Close() }; b.noSuback = true }, codeClosed, false},
		"filter refused":      {func(b *broker) { b.suback = 0x80 }, codeFilter, true},
		"no answer":           {func(b *broker) { b.noSuback = true }, codeSilent, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				c.script(b)
				_, stop := watching(t, b)
				time.Sleep(time.Minute)
				_, err := stop()
				f, ok := errors.AsType[*Failure](err)
				if !ok || f.Code != c.code || errors.Is(err, ErrUnreachable) == c.always {
					t.Errorf("got %v, want %s", err, c.code)
				}
			})
		})
	}
}

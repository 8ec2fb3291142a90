package publisher

import (
	"context"
	"slices"
	"testing"
)

// receiveSome watches until it has want messages, and leaves.
func receiveSome(t *testing.T, cfg Config, subscribed func(), want int) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Report = func(s State) {
		if s.Connected {
			subscribed()
		}
	}
	var got []string
	err := Watch(ctx, cfg, []string{"t/+"}, func(m Message) {
		if got = append(got, string(m.Payload)); len(got) == want {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestKeptSessionGetsWhatCameWhileItWasAway(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	send := func(payload string) {
		s, err := open(t.Context(), Config{ClientID: "sender", MaxPayload: 1024, KeepAlive: 30e9}, mustServer(t, m.server), dialTCP, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		token := s.publish("t/1", 1, []byte(payload))
		<-token.Done()
		if err := token.Error(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		keep bool
		want []string
	}{{true, []string{"away", "back"}}, {false, []string{"back"}}} {
		cfg := Config{Servers: []string{m.server}, ClientID: "watcher", KeepSession: c.keep}
		receiveSome(t, cfg, func() { send("here") }, 1)
		send("away")
		if got := receiveSome(t, cfg, func() { send("back") }, len(c.want)); !slices.Equal(got, c.want) {
			t.Errorf("keep %v: got %v, want %v", c.keep, got, c.want)
		}
	}
}

func mustServer(t *testing.T, text string) server {
	t.Helper()
	s, err := parseServer(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

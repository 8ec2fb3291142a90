package queue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// What was stored before the clock was set is neither dropped as old when it is, nor kept for ever.
func TestWhatWasStoredWithoutAClockAgesFromThenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		cfg := queue.Config{Path: "/q", FS: newFakeFS(), MaxAge: 7 * day, Dead: queue.DeadConfig{Path: "/d", MaxAge: 7 * day}}
		cfg.ClockFloor = time.Now().Add(20 * day)
		q := open(t, cfg)
		out := events("d", 0, 5)
		out.Dead = []mapping.Dead{{Device: "d", Code: "X", Raw: []byte("x")}}
		mustAppend(t, q, "a", "1", out)
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * day) // the stamps are before the floor and a month old, and the clock is set
		q = open(t, cfg)
		wait := func(d time.Duration, events, dead int) {
			t.Helper()
			time.Sleep(d)
			if n := len(all(t, q)); n != events {
				t.Errorf("got %d events, want %d", n, events)
			}
			if n := len(letters(t, cfg)); n != dead {
				t.Errorf("got %d dead letters, want %d", n, dead)
			}
		}
		wait(5*time.Minute, 5, 1)
		wait(6*day, 5, 1)
		wait(day, 0, 0)
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

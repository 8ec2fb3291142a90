package modbus

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func TestTicksFollowLocalTimeAcrossClockChanges(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const form = "2006-01-02 15:04:05 -0700"
	for _, c := range []struct {
		from, want string
		every      time.Duration
	}{
		{"2026-05-11 08:07:00 +0200", "2026-05-11 08:15:00 +0200", 15 * time.Minute},
		{"2026-05-11 08:15:00 +0200", "2026-05-11 08:15:00 +0200", 15 * time.Minute},
		{"2026-05-11 08:15:01 +0200", "2026-05-12 00:00:00 +0200", 24 * time.Hour},
		{"2026-03-29 00:30:00 +0100", "2026-03-29 12:00:00 +0200", 12 * time.Hour}, // an hour is missing
		{"2026-03-29 01:50:00 +0100", "2026-03-29 03:00:00 +0200", 15 * time.Minute},
		{"2026-10-25 00:30:00 +0200", "2026-10-25 12:00:00 +0100", 12 * time.Hour}, // an hour comes twice
		{"2026-10-25 02:50:00 +0200", "2026-10-25 02:00:00 +0100", 15 * time.Minute},
	} {
		from, err := time.Parse(form, c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := tick(time.Time{}, from, c.every, berlin).In(berlin).Format(form); got != c.want {
			t.Errorf("every %v from %s: got %s, want %s", c.every, c.from, got, c.want)
		}
	}
}

func TestClockThatIsPutBackDoesNotStopAlignedPolls(t *testing.T) {
	s, err := New(Config{Link: "bus", Devices: []Device{{Name: "a", Unit: 1, Every: time.Minute, Align: time.UTC, Points: []Point{{Name: "p"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 5, 11, 12, 0, 30, 0, time.UTC)
	s.units[0].plan(noon, noon, noon)
	if _, at := s.next(noon); at.Sub(noon) != 30*time.Second {
		t.Fatalf("first poll in %v, want in 30 s", at.Sub(noon))
	}
	morning := noon.Add(-4 * time.Hour)
	if _, at := s.next(morning); at.Sub(morning) != 30*time.Second {
		t.Errorf("after the clock was put back: next poll in %v, want in 30 s", at.Sub(morning))
	}
}

func TestHistoryKeepsTheLast(t *testing.T) {
	h := history{size: 4}
	for _, yes := range []bool{true, true, true, false, false, true} {
		h.add(yes)
	}
	if h.count() != 2 || h.n != 4 || h.share() != 50 || !h.mostly(50, 4) || h.mostly(51, 4) || h.mostly(10, 5) {
		t.Errorf("got %d of %d, want 2 of the last 4", h.count(), h.n)
	}
}

// An aligned poll is a time of day, any other a time that passes: after the clock was set the two cannot be compared.
func TestClockThatIsSetStarvesNoUnit(t *testing.T) {
	s, err := New(Config{Link: "bus", Devices: []Device{
		{Name: "a", Unit: 1, Every: time.Second, Points: []Point{{Name: "p"}}},
		{Name: "b", Unit: 2, Every: time.Minute, Align: time.UTC, Points: []Point{{Name: "p"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []time.Duration{-50 * 365 * 24 * time.Hour, -time.Hour, 50 * 365 * 24 * time.Hour} {
		now := time.Now()
		s.started = now
		for _, u := range s.units {
			u.plan(now, now, now)
		}
		b := s.units[1]
		b.wall = b.wall.Add(by) // as it would have been planned by a clock that stood so far off
		before := b.due
		if s.next(now); !b.wall.Equal(tick(now, now, time.Minute, time.UTC)) {
			t.Errorf("clock off by %v: the aligned poll is planned for %v, want the next minute", by, b.wall)
		}
		if b.due.Sub(before).Abs() > time.Second || b.due.Sub(now) > time.Minute {
			t.Errorf("clock off by %v: the aligned poll is due in %v", by, b.due.Sub(now))
		}
		if left := b.due.Sub(s.units[0].due); left > time.Minute || left < -time.Minute {
			t.Errorf("clock off by %v: the units are %v apart", by, left)
		}
	}
}

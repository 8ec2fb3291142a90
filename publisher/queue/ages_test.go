package queue

import (
	"testing"
	"testing/synctest"
	"time"
)

var (
	built  = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	epoch  = time.Date(1970, 1, 1, 0, 0, 30, 0, time.UTC)
	day    = 24 * time.Hour
	friday = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
)

// A box boots without a clock, stores, and reaches a server of time two minutes later.
func TestWhatThisProcessStoredAgesWithTheTimeThatPasses(t *testing.T) {
	a := ages{floor: built, first: 100}
	a.last = epoch
	a.passed(epoch.Add(time.Minute), time.Minute, 110)
	a.last = epoch.Add(time.Minute)
	a.passed(friday, time.Minute, 120) // set
	a.last = friday

	d := a.date(friday)
	if got, want := d.of(105, epoch.UnixNano()), friday.Add(-2*time.Minute); !got.Equal(want) {
		t.Errorf("stored two minutes ago while the clock stood in 1970: taken for %v, want %v", got, want)
	}
	if got := d.of(120, friday.UnixNano()); !got.Equal(friday) {
		t.Errorf("stored after the clock was set: taken for %v, want %v", got, friday)
	}
	a.passed(friday.Add(-30*day).Add(time.Minute), time.Minute, 130) // and back, by a month
	a.last = friday.Add(-30 * day).Add(time.Minute)
	d = a.date(a.last)
	for n, stamp := range map[uint64]time.Time{105: epoch, 120: friday} {
		if age := a.last.Sub(d.of(n, stamp.UnixNano())); age > 4*time.Minute || age < time.Minute {
			t.Errorf("number %d is taken for %v old, want a few minutes", n, age)
		}
	}
}

func TestStampsOfAnEarlierProcessThatCannotBeRightCountFromNow(t *testing.T) {
	a := ages{floor: built, first: 100}
	if at := a.date(epoch).of(1, friday.UnixNano()); !at.Equal(epoch) {
		t.Errorf("without a clock: taken for %v, want the time that it shows", at)
	}
	monday := friday.Add(3 * day)
	d := a.date(monday)
	for _, c := range []struct {
		what  string
		stamp time.Time
		want  time.Time
	}{
		{"before the build", epoch, monday},
		{"right", friday, friday},
		{"a little back", friday.Add(-time.Minute), friday.Add(-time.Minute)},
		{"weeks before the one before it", built.Add(day), monday},
		{"in the future", friday.Add(300 * day), monday},
		{"right again", friday.Add(day), friday.Add(day)},
	} {
		if got := d.of(1, c.stamp.UnixNano()); !got.Equal(c.want) {
			t.Errorf("%s: taken for %v, want %v", c.what, got, c.want)
		}
	}
	if got := a.date(monday.Add(8*day)).of(1, epoch.UnixNano()); !got.Equal(monday) {
		t.Errorf("a week later it counts from %v, want from %v: it must not stay for ever", got, monday)
	}
}

func TestAClockThatIsSetAllTheTimeTakesNoMemory(t *testing.T) {
	a := ages{floor: built}
	now := friday
	for n := range uint64(1000) {
		a.last = now
		now = now.Add(time.Hour)
		a.passed(now, time.Second, n+1)
	}
	if len(a.sets) > 64 {
		t.Errorf("%d settings are kept", len(a.sets))
	}
	if got := a.date(now).of(0, friday.UnixNano()); now.Sub(got) > 1000*time.Second {
		t.Errorf("the first is taken for %v old, want 1000 s", now.Sub(got))
	}
}

// The queue itself, in a bubble that begins in the year 2000: by its floor no clock is set.
func TestTimeThatPassesIsNoSetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ages{floor: built}
		start := time.Now()
		a.look(start, 1)
		time.Sleep(8 * day)
		a.look(time.Now(), 5)
		if len(a.sets) != 0 {
			t.Errorf("time that passed counts as %v", a.sets)
		}
		if got := a.date(time.Now()).of(1, start.UnixNano()); !got.Equal(start) {
			t.Errorf("what this process stored 8 days ago is taken for %v", got)
		}
	})
}

package serial

import (
	"testing"
	"time"
)

func TestClockThatIsPutBackDoesNotStopAlignedQuestions(t *testing.T) {
	noon := time.Date(2026, 5, 11, 12, 0, 30, 0, time.UTC)
	a := &asker{every: time.Minute, align: time.UTC, pulse: &pulse{}}
	l := &session{conversation: conversation{}}
	l.Source = &Source{}
	l.askers = []*asker{a}
	l.start(noon)
	if got := a.due.Sub(noon); got != 30*time.Second {
		t.Fatalf("the first question is due in %v, want in 30 s", got)
	}
	morning := noon.Add(-4 * time.Hour)
	l.clockSet(morning)
	if got := a.due.Sub(morning); got != 30*time.Second {
		t.Errorf("after the clock was put back the next question is due in %v, want in 30 s", got)
	}
	probe := morning.Add(probeEvery)
	a.plan(morning, probeEvery) // a silent device: this is no multiple of anything
	if l.clockSet(morning.Add(time.Second)); !a.due.Equal(probe) {
		t.Errorf("the probe of a silent device was moved to %v, want %v", a.due, probe)
	}
}

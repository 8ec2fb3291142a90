package publisher

import (
	"slices"
	"testing"
	"time"

	"legacybridge/mapping"
)

// mosquitto acknowledges what is over its message_size_limit and drops it: no client can see that. Whoever receives the events can,
// for the numbers in their ids have a gap, also where another event of the same device fills its place.
func TestNumbersShowWhatMosquittoAcknowledgedAndDropped(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true", "message_size_limit 1000")
	r := newRig(t, Config{Servers: []string{m.server}, Backoff: Backoff{First: 10 * time.Millisecond}})
	sub := subscribe(t, m.server)
	var list []mapping.Event
	for i := range 54 {
		ev := event("press-7", i)
		if i == 20 {
			ev = sized(2000)
		}
		ev.Number = mapping.AsMember
		list = append(list, ev)
	}
	r.put(t, list...)
	r.Finish()
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	sub.untilCount(t, 53)
	if s := r.state(); s.Acked != 54 || s.SetAside != 0 {
		t.Errorf("got %+v, want all 54 acknowledged: mosquitto says nothing of what it drops", s)
	}
	numbers, _ := orderOf(t, sub.all())
	var missing []int
	for n := 1; n <= 54; n++ {
		if !slices.Contains(numbers, n) {
			missing = append(missing, n)
		}
	}
	if len(numbers) != 53 || !slices.Equal(missing, []int{21}) {
		t.Errorf("got %d events with the numbers %v missing, want 53 and 21 missing", len(numbers), missing)
	}
}

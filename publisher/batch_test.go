package publisher

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/mapping"
)

func batched(device string, n, most int, within time.Duration) []mapping.Event {
	list := events(device, n)
	for i := range list {
		list[i].Number, list[i].Batch = mapping.AsMember, mapping.Batch{Max: most, Within: within}
	}
	return list
}

// numbersIn reads n of {"d":{"n":…}} from an array of readings.
func numbersIn(t *testing.T, payload string) (list []int) {
	t.Helper()
	var readings []struct {
		D  struct{ N int }
		ID string
	}
	if err := json.Unmarshal([]byte(payload), &readings); err != nil {
		t.Fatalf("got %s: %v", payload, err)
	}
	for _, r := range readings {
		if r.ID == "" {
			t.Errorf("got %s, want an id in each reading", payload)
		}
		list = append(list, r.D.N)
	}
	return list
}

func TestBatchLeavesFullOrAfterItsTimeAndOthersOvertakeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		r := newRig(t, Config{})
		r.dial = b.pipe
		stop := r.start(t)
		began := time.Now()
		r.put(t, batched("press-7", 7, 5, time.Minute)...)
		r.put(t, event("press-8", 1))
		time.Sleep(time.Second)
		if all := b.got(); len(all) != 2 || len(numbersIn(t, all[0].payload)) != 5 || all[1].payload != `{"d":{"n":1}}` {
			t.Errorf("got %+v, want the full batch and the other device's event", all)
		}
		if n := r.state().Acked; n != 6 {
			t.Errorf("got %d acknowledged, want 6", n)
		}
		time.Sleep(time.Minute)
		all := b.got()
		if got := numbersIn(t, all[2].payload); !slices.Equal(got, []int{5, 6}) {
			t.Errorf("got readings %v, want 5 and 6", got)
		}
		if d := all[2].at.Sub(began); d < time.Minute || d > time.Minute+time.Second {
			t.Errorf("got the rest after %v, want a minute after the first was stored", d)
		}
		stop()
		b.peers.Wait()
	})
}

func TestBatchStopsAtThePayloadLimit(t *testing.T) {
	b := newBroker()
	const limit = 300
	r := newRig(t, Config{Servers: []string{b.listen(t)}, MaxPayload: limit})
	list := batched("press-7", 40, 1000, time.Hour)
	out := NewGate(Config{MaxPayload: limit}).Admit(mapping.Output{Events: list})
	if len(out.Events) != 40 {
		t.Fatalf("got %d events past the gate, want 40", len(out.Events))
	}
	r.put(t, out.Events...)
	r.Finish()
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []int
	all := b.got()
	for i, m := range all {
		if len(m.payload) > limit {
			t.Errorf("got a message of %d bytes, limit %d", len(m.payload), limit)
		}
		n := numbersIn(t, m.payload)
		if len(n) < 3 && i < len(all)-1 {
			t.Errorf("got a message of %d readings, want as many as fit", len(n))
		}
		got = append(got, n...)
	}
	for i := range got {
		if got[i] != i {
			t.Fatalf("got order %v", got)
		}
	}
	if len(got) != 40 {
		t.Errorf("got %d readings, want 40", len(got))
	}
}

// After an outage everything is overdue, and is still joined.
func TestBacklogIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		r := newRig(t, Config{})
		r.dial = b.pipe
		r.put(t, batched("press-7", 200, 50, time.Second)...)
		time.Sleep(time.Hour)
		stop := r.start(t)
		time.Sleep(10 * time.Second)
		stop()
		b.peers.Wait()
		if all := b.got(); len(all) != 4 {
			t.Errorf("got %d messages, want 4 of 50 readings", len(all))
		}
	})
}

func TestWaitingBatchIsSentEarlyAtAThousandRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		r := newRig(t, Config{})
		r.dial = b.pipe
		stop := r.start(t)
		slow, other := batched("press-7", 1200, 100_000, 24*time.Hour), events("press-8", 1200)
		for i := range 12 { // one after the other, in a few records
			var mixed []mapping.Event
			for n := i * 100; n < (i+1)*100; n++ {
				mixed = append(mixed, slow[n], other[n])
			}
			r.put(t, mixed...)
		}
		time.Sleep(time.Minute)
		if n := r.state().Acked; n != 1200+1000 {
			t.Errorf("got %d acknowledged, want the others and a batch of 1000", n)
		}
		stop()
		b.peers.Wait()
	})
}

func TestBatchesTogetherKeepToTheirMemory(t *testing.T) {
	var b batches
	now := time.Now()
	big := sized(100_000).Payload
	for i := range 200 {
		e := entry(uint64(i), big)
		e.Event.Batch = mapping.Batch{Max: 10, Within: time.Hour}
		b.add(now, fmt.Sprint(i), e, 131072)
		if b.bytes > waitingBytes {
			t.Fatalf("got %d bytes waiting, want at most %d", b.bytes, waitingBytes)
		}
	}
	for len(b.waiting) > 0 {
		b.oldest()
	}
	if b.bytes != 0 || b.runs != 0 {
		t.Errorf("got %d bytes and %d runs when nothing waits, want none", b.bytes, b.runs)
	}
}

// The clock may be put back or forward while a batch waits: it leaves at the latest after its time.
func TestBatchWaitsNoLongerWhenTheClockIsPutBack(t *testing.T) {
	var b batches
	now := time.Now()
	e := entry(1, []byte("{}"))
	e.Stored = now.Add(24 * time.Hour)
	e.Event.Batch = mapping.Batch{Max: 10, Within: time.Minute}
	b.add(now, "t", e, 1000)
	if d := b.next(now).Sub(now); d != time.Minute {
		t.Errorf("got a wait of %v, want a minute", d)
	}
}

func TestPoisonInABatchTakesNoNeighbourAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.onPublish = func(p *peer, m got) {
			if strings.Contains(m.payload, `"n":3}`) {
				_ = p.Close()
				return
			}
			p.ack(m)
		}
		r := newRig(t, Config{})
		r.dial = b.pipe
		r.put(t, batched("press-7", 10, 5, time.Second)...)
		stop := r.start(t)
		time.Sleep(2 * time.Minute)
		if s := r.state(); s.SetAside != 1 || s.Acked != 9 {
			t.Errorf("got %+v, want one set aside and nine acknowledged", s)
		} else if s.Reconnects > 5 {
			t.Errorf("got %d reconnects, want at most 5", s.Reconnects)
		}
		stop()
		b.peers.Wait()
	})
}

// A batch that the server refuses comes to the head again and again while others are acknowledged.
func TestPoisonBatchIsFoundBetweenOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.onPublish = func(p *peer, m got) {
			if strings.Contains(m.topic, "ghost") {
				_ = p.Close()
				return
			}
			p.ack(m)
		}
		r := newRig(t, Config{})
		r.dial = b.pipe
		stop := r.start(t)
		r.put(t, batched("ghost", 3, 10, 500*time.Millisecond)...)
		for i := range 120 {
			r.put(t, event("press-7", i))
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if s := r.state(); s.Acked != 120 || s.SetAside != 3 {
			t.Errorf("got %+v, want 120 acknowledged and the 3 of the batch set aside", s)
		}
		stop()
		b.peers.Wait()
	})
}

// The configuration may change while events wait: whatever their batch, those of one topic stay in order.
func TestEventWithoutBatchDoesNotOvertakeItsTopic(t *testing.T) {
	b := newBroker()
	r := newRig(t, Config{Servers: []string{b.listen(t)}})
	r.put(t, batched("press-7", 3, 10, time.Hour)...)
	r.put(t, event("press-7", 3))
	other := batched("press-7", 5, 10, time.Hour)[4:]
	other[0].QoS = 2
	r.put(t, other...)
	r.Finish()
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := b.got()
	if len(all) != 3 || len(numbersIn(t, all[0].payload)) != 3 || all[1].payload != `{"d":{"n":3}}` || !slices.Equal(numbersIn(t, all[2].payload), []int{4}) {
		t.Errorf("got %+v, want the batch, the single event, and the batch of another QoS", all)
	}
}

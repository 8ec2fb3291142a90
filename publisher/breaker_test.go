package publisher

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// closed is a drop by the peer with the given numbers in flight.
func closed(head, last uint64) drop {
	return drop{byPeer: true, inFlight: true, head: head, last: last, topic: "t", stood: time.Minute}
}

func alonely(head uint64, took time.Duration) drop {
	d := closed(head, head)
	d.alone, d.took = true, took
	return d
}

func timedOut(head uint64) drop {
	d := alonely(head, 0)
	d.byPeer = false
	return d
}

func TestBreakerBlamesOnlyWhatThePeerClosedRightAfter(t *testing.T) {
	silent, idle := closed(7, 20), closed(7, 20)
	silent.byPeer, idle.inFlight = false, false
	often := []drop{closed(7, 20), closed(7, 20)}
	for range 8 {
		often = append(often, alonely(7, 0), idle)
	}
	for name, c := range map[string]struct {
		drops  []drop
		guilty []int // of drops
	}{
		"eight times between its drops":   {often, []int{16}},
		"twice in flight, twice alone":    {[]drop{closed(7, 20), closed(7, 20), alonely(7, 0), alonely(7, 4*time.Second)}, []int{3}},
		"one at a time from the second":   {[]drop{closed(5, 20), closed(6, 20), closed(7, 7), alonely(7, 0), alonely(7, 0)}, []int{4}},
		"another head each time":          {[]drop{closed(7, 20), closed(30, 50), closed(60, 80), closed(90, 99)}, nil},
		"time-outs":                       {[]drop{silent, silent, silent, silent}, nil},
		"time-outs alone":                 {[]drop{closed(7, 20), closed(7, 20), timedOut(7), timedOut(7), timedOut(7)}, nil},
		"nothing in flight":               {[]drop{idle, idle, idle, idle}, nil},
		"alone once":                      {[]drop{closed(7, 20), closed(7, 20), alonely(7, 0), silent, idle}, nil},
		"long after":                      {[]drop{closed(7, 20), closed(7, 20), alonely(7, 6*time.Second), alonely(7, 6*time.Second)}, nil},
		"with time-outs between":          {[]drop{closed(7, 20), silent, closed(7, 20), silent, alonely(7, 0), silent, alonely(7, 0)}, []int{6}},
		"on a link that drops by itself":  {[]drop{idle, closed(7, 20), closed(7, 20), alonely(7, 0), alonely(7, 0), alonely(7, 0)}, []int{5}},
		"which it does between the times": {[]drop{closed(7, 20), closed(7, 20), alonely(7, 0), idle, alonely(7, 0), alonely(7, 0), idle, alonely(7, 0)}, nil},
	} {
		b := breaker{t: realTiming}
		var got []int
		for i, d := range c.drops {
			if _, guilty := b.dropped(time.Now(), d); guilty {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, c.guilty) {
			t.Errorf("%s: got guilty at drops %v, want %v", name, got, c.guilty)
		}
	}
}

func TestBreakerNarrowsAndForgets(t *testing.T) {
	b := breaker{t: realTiming}
	now := time.Now()
	b.dropped(now, closed(7, 20))
	if b.suspect(7) || b.narrow(7) {
		t.Error("after one drop: got a suspect, want none")
	}
	b.dropped(now, closed(7, 20))
	if !b.suspect(7) || !b.narrow(20) || b.narrow(21) {
		t.Error("after two drops: want 7 a suspect and one at a time up to 20")
	}
	b.acked(now, &flight{topic: "t", first: 7, qos: 1})
	if b.suspect(7) || !b.narrow(8) {
		t.Error("after 7 was acknowledged: want no suspect, and the rest still one at a time")
	}
	b.dropped(now, closed(30, 50))
	if b.narrow(31) {
		t.Error("after one drop past all that: want the whole window again")
	}
	b.dropped(now, closed(31, 60))
	if b.suspect(31) || !b.narrow(60) {
		t.Error("after a drop with 31 in flight again: want no suspect, but one at a time up to 60")
	}
}

func TestHoldGrowsAndBackOffKeepsToItsMost(t *testing.T) {
	var h hold
	for i, want := range []time.Duration{1, 2, 4, 8, 10, 10, 10} {
		want *= time.Minute
		if d := h.next(realTiming); d < want || d > min(want*6/5, 10*time.Minute) {
			t.Errorf("hold %d: got %v, want %v and at most a fifth more", i+1, d, want)
		}
	}
	r := retry{Backoff: Backoff{First: time.Second, Max: 10 * time.Second, Jitter: 0.2}}
	for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		want *= time.Second
		if d := r.next(); d < want*8/10 || d > want*12/10 {
			t.Errorf("attempt %d: got %v, want %v and at most a fifth more or less", i+1, d, want)
		}
	}
}

func TestThreeShortDropsAreARival(t *testing.T) {
	short := drop{byPeer: true, stood: 5 * time.Second}
	long := drop{byPeer: true, stood: time.Minute}
	silent := drop{stood: 5 * time.Second}
	for name, c := range map[string]struct {
		drops []drop
		held  bool
	}{
		"three":                        {[]drop{short, short, short}, true},
		"two and one that was put off": {[]drop{short, short, long}, true},
		"one short":                    {[]drop{short, long, short, long, short, long}, false},
		"time-outs":                    {[]drop{silent, silent, silent, silent}, false},
		"long ones":                    {[]drop{long, long, long, long}, false},
		"three after the same acknowledged topic": {[]drop{{byPeer: true, after: "t"}, {byPeer: true, after: "t"}, {byPeer: true, after: "t"}, {byPeer: true, after: "t"}}, false},
	} {
		r := rivals{t: realTiming}
		var got time.Duration
		for _, d := range c.drops {
			got = r.dropped(time.Now(), d, false)
		}
		if got > 0 != c.held {
			t.Errorf("%s: got a hold of %v, want one: %v", name, got, c.held)
		}
	}
	r := rivals{t: realTiming}
	r.dropped(time.Now(), short, false)
	r.dropped(time.Now(), short, false)
	r.dropped(time.Now(), short, true)
	if d := r.dropped(time.Now(), short, false); d != 0 {
		t.Errorf("after a drop that an event is to blame for: got a hold of %v, want none", d)
	}
}

// The suspect is sent on a connection that has stood quiet: else a drop would be held against it that it is not to blame for.
func TestSuspectWaitsForAQuietConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		logins := map[int]time.Time{}
		b.onLogin = func(p *peer) byte { logins[p.n] = time.Now(); return 0 }
		b.onPublish = func(p *peer, m got) {
			if strings.Contains(m.payload, "poison") {
				_ = p.Close()
				return
			}
			p.ack(m)
		}
		r := newRig(t, Config{})
		r.dial = b.pipe
		bad := event("press-7", 0)
		bad.Payload = []byte(`{"poison":true}`)
		r.put(t, bad, event("press-7", 1))
		stop := r.start(t)
		time.Sleep(time.Minute)
		stop()
		b.peers.Wait()
		for _, m := range b.got() {
			if waited := m.at.Sub(logins[m.conn]); m.conn > 2 && strings.Contains(m.payload, "poison") && waited < realTiming.quiet {
				t.Errorf("connection %d: got the suspect after %v, want it after %v", m.conn, waited, realTiming.quiet)
			}
		}
	})
}

// A device with many topics must not cost its neighbours a reconnect for each of them.
func TestUnregisteredDeviceIsRefusedAsAWhole(t *testing.T) {
	known := true
	b := breaker{t: realTiming, unregistered: func(typ, id string) bool { return known && typ == "kiln" && id == "K-9" }}
	topic := func(event string) string { return "iot-2/type/kiln/id/K-9/evt/" + event + "/fmt/json" }
	now := time.Now()
	refuse := func(number uint64, event string) (guilty bool) {
		for range 2 {
			d := alonely(number, 0)
			d.topic = topic(event)
			_, guilty = b.dropped(now, d)
		}
		return guilty
	}
	if !refuse(1, "a") || !refuse(2, "b") {
		t.Fatal("got not guilty, want both events set aside")
	}
	b.acked(now, &flight{topic: "iot-2/type/kiln/id/K-1/evt/a/fmt/json", first: 3, qos: 1})
	for _, event := range []string{"a", "b", "c"} {
		if !b.topicRefused(topic(event)) || b.try(topic(event), now.Add(9*time.Minute)) {
			t.Errorf("%s: want dead letters unsent for ten minutes", event)
		}
	}
	later := now.Add(10 * time.Minute)
	if !b.try(topic("c"), later) {
		t.Error("want one trial after ten minutes")
	}
	d := alonely(9, 0)
	d.topic = topic("c")
	if _, guilty := b.dropped(later, d); !guilty || b.try(topic("a"), later.Add(9*time.Minute)) {
		t.Error("want one drop in ten minutes for all topics of the device")
	}
	if b.topicRefused("iot-2/type/kiln/id/K-1/evt/a/fmt/json") {
		t.Error("its neighbour is refused too")
	}
	known = false // somebody has registered it
	if b.topicRefused(topic("a")) || !b.try(topic("a"), later) {
		t.Error("a device that is registered now is still refused")
	}
}

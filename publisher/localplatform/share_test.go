package localplatform_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestP08MembersWithOneIDAllStay(t *testing.T) {
	s := start(t, nil)
	var members []*raw
	for range 3 {
		members = append(members, enter(t, s, kept(s, "A:legacy:app")))
	}
	for _, c := range members {
		c.ping()
	}
	if got := s.Stats().Connections; got != 3 {
		t.Errorf("got %d connections, want 3", got)
	}
}

func TestP09ScalableCleanSession(t *testing.T) {
	for rule, may := range map[wiotp.CleanSession][2]bool{ // clean false, clean true
		wiotp.CleanDocument: {true, false}, wiotp.CleanServer: {false, true}, wiotp.CleanAny: {true, true},
	} {
		s := start(t, func(cfg *localplatform.Config) { cfg.ScalableCleanSession = rule })
		for i, l := range []connect{kept(s, "A:legacy:app"), own(s, "A:legacy:app")} {
			if may[i] {
				enter(t, s, l)
				continue
			}
			refused(t, s, l, 5)
			why := s.log.wait(t, "msg=login refused", "rule=scalable_clean_session", "connack=5")["err"]
			if !strings.Contains(why, fmt.Sprintf("%q", rule.String())) {
				t.Errorf("got %q, want the value of the rule", why)
			}
		}
		enter(t, s, own(s, "A:legacy:app:1")) // both are free with an instance
		enter(t, s, kept(s, "A:legacy:app:2"))
	}
}

func TestP10MembersWithoutInstanceKeepNothing(t *testing.T) {
	s := start(t, nil)
	c := enter(t, s, kept(s, "A:legacy:app"))
	c.subscribed(1, allEvents)
	c.leave(s, "A:legacy:app")
	pub := login(t, s, "pub")
	pub.sent(kilnTopic, "away")
	c = enter(t, s, kept(s, "A:legacy:app")) // session present 0
	pub.sent(kilnTopic, "back")
	if all := c.take(); len(all) != 0 {
		t.Errorf("got %v, want neither subscription nor messages", payloads(all))
	}
}

func TestP11InstancesAndP12Alphabet(t *testing.T) {
	s := start(t, nil)
	for _, id := range []string{"A:legacy:app:", "A:legacy:app:" + strings.Repeat("x", 37), "A:legacy:app:a!b", "A:legacy:app:a:b", "A:legacy:a!p", "A:legacy:a!p:1", "A:legacy:"} {
		refused(t, s, own(s, id), 5)
		refused(t, s, kept(s, id), 5)
	}
	enter(t, s, own(s, "A:legacy:app:"+strings.Repeat("x", 36)))
}

func TestP12SmallAIsNeverShared(t *testing.T) {
	s := start(t, nil)
	a, b := listen(t, s, "one", 1), listen(t, s, "two", 1)
	login(t, s, "pub").sent(kilnTopic, "x")
	same(t, "one", payloads(a.take()), []string{"x"})
	same(t, "two", payloads(b.take()), []string{"x"})
}

// crowd publishes n events and returns what each member took.
func crowd(t *testing.T, s *site, pub *raw, n int, members ...*raw) (counts []int) {
	t.Helper()
	seen := map[string]int{}
	for i := range n {
		pub.sent(kilnTopic, fmt.Sprint(i))
	}
	for _, c := range members {
		all := c.take()
		counts = append(counts, len(all))
		for _, g := range all {
			seen[g.payload]++
		}
	}
	for i := range n {
		if len(members) > 0 && seen[fmt.Sprint(i)] != 1 {
			t.Fatalf("got event %d %d times, want once", i, seen[fmt.Sprint(i)])
		}
	}
	return counts
}

func TestP36P37AScenarioOfTheDocument(t *testing.T) {
	s := start(t, nil)
	pub, plain := login(t, s, "pub"), listen(t, s, "plain", 1)
	join := func() *raw {
		c := enter(t, s, kept(s, "A:legacy:app"))
		c.subscribed(1, allEvents)
		return c
	}
	want := func(what string, got []int, want ...int) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	one := join()
	want("one", crowd(t, s, pub, 30, one), 30) // S51
	two := join()
	want("two", crowd(t, s, pub, 30, one, two), 15, 15) // S52
	three := join()
	want("three", crowd(t, s, pub, 30, one, two, three), 10, 10, 10) // S53
	two.unsubscribed(allEvents)
	three.unsubscribed(allEvents)
	want("two left", crowd(t, s, pub, 30, one, two, three), 30, 0, 0) // S54
	two.subscribed(1, allEvents)
	want("one back", crowd(t, s, pub, 30, one, two, three), 15, 15, 0)
	two.drop(s, "A:legacy:app")
	want("one gone", crowd(t, s, pub, 30, one, three), 30, 0)
	if got := len(plain.take()); got != 180 {
		t.Errorf("got %d events at a plain subscriber, want all 180", got)
	}
}

func TestP36UnacknowledgedEventsOfAMemberThatLeftGoToAnother(t *testing.T) {
	for _, ids := range [][2]string{{"A:legacy:app", "A:legacy:app"}, {"A:legacy:app:1", "A:legacy:app:2"}} {
		s := start(t, nil)
		one, two := enter(t, s, kept(s, ids[0])), enter(t, s, kept(s, ids[1]))
		one.subscribed(1, allEvents)
		two.subscribed(1, allEvents)
		pub := login(t, s, "pub")
		for i := range 10 {
			pub.sent(kilnTopic, fmt.Sprint(i))
		}
		for range 5 { // two takes its half and acknowledges none of it
			two.event()
		}
		two.drop(s, ids[1])
		got := payloads(one.until(10))
		slices.Sort(got)
		same(t, ids[0], got, numbers(0, 10))
	}
}

func TestP38TheTwoStylesDoNotShare(t *testing.T) {
	s := start(t, nil)
	plain, instance := enter(t, s, kept(s, "A:legacy:app")), enter(t, s, own(s, "A:legacy:app:1"))
	other := enter(t, s, kept(s, "A:legacy:other"))
	pub := login(t, s, "pub")
	for _, c := range []*raw{plain, instance, other} {
		c.subscribed(1, allEvents)
	}
	pub.sent(kilnTopic, "x")
	for _, c := range []*raw{plain, instance, other} {
		same(t, "each", payloads(c.take()), []string{"x"})
	}
}

func TestP39GroupsArePerFilter(t *testing.T) {
	s := start(t, nil)
	one, two := enter(t, s, kept(s, "A:legacy:app")), enter(t, s, kept(s, "A:legacy:app"))
	one.subscribed(1, allEvents)
	two.subscribed(1, kilnTopic)
	pub := login(t, s, "pub")
	pub.sent(kilnTopic, "x")
	same(t, "all events", payloads(one.take()), []string{"x"})
	same(t, "one topic", payloads(two.take()), []string{"x"})
}

func TestP40AMemberThatIsAwayTakesNothingAway(t *testing.T) {
	s := start(t, nil)
	away, here := enter(t, s, kept(s, "A:legacy:app:1")), enter(t, s, own(s, "A:legacy:app:2"))
	away.subscribed(1, allEvents)
	here.subscribed(1, allEvents)
	away.leave(s, "A:legacy:app:1")
	pub := login(t, s, "pub")
	for i := range 20 {
		pub.sent(kilnTopic, fmt.Sprint(i))
	}
	same(t, "the one that is connected", payloads(here.take()), numbers(0, 20))
	here.leave(s, "A:legacy:app:2") // clean session: it is no member any more
	for i := range 20 {
		pub.sent(kilnTopic, fmt.Sprint(i))
	}
	away = resume(t, s, kept(s, "A:legacy:app:1"))
	same(t, "the one that came back", payloads(away.until(20)), numbers(0, 20))
	away.leave(s, "A:legacy:app:1")
	pub.sent(kilnTopic, "for whoever comes first")
	other := enter(t, s, kept(s, "A:legacy:app:3"))
	other.subscribed(1, allEvents)
	same(t, "the first to come", payloads(other.until(1)), []string{"for whoever comes first"})
}

func TestP36ThreeMembersShareEvenly(t *testing.T) {
	s := start(t, nil)
	s.SetPatience(patience)
	n := proof(3000, 30_000, 30_000)
	done := make(chan []string, 3)
	for range 3 {
		c := enter(t, s, kept(s, "A:legacy:app"))
		c.subscribed(1, allEvents)
		go func() {
			var all []string
			for {
				first, body, err := c.next()
				if err != nil {
					done <- all
					return
				}
				g := parseEvent(first, body)
				c.Write(puback(g.id))
				all = append(all, g.payload)
			}
		}()
	}
	pub := login(t, s, "pub")
	for i := 0; i < n; {
		burst := min(100, n-i)
		for range burst {
			pub.publish(kilnTopic, fmt.Append(nil, i), 1, 1, false)
			i++
		}
		for range burst {
			pub.want(puback(1)...)
		}
	}
	for s.Stats().Waiting > 0 {
		pub.ping()
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 3 {
		all := <-done
		if len(all) < n/3*8/10 || len(all) > n/3*12/10 {
			t.Errorf("got %d of %d events at one member, want a third within 20 %%", len(all), n)
		}
		for _, p := range all {
			if seen[p] {
				t.Fatalf("got event %s twice", p)
			}
			seen[p] = true
		}
	}
	if len(seen) != n {
		t.Errorf("got %d events, want %d", len(seen), n)
	}
}

package localplatform_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestQuickstartDoesNotTakeTheOrganisationsConnections(t *testing.T) {
	s := startFull(t, nil)
	for i := range localplatform.MaxQuick {
		enter(t, s, connect{id: fmt.Sprintf("a:quickstart:app%d", i)})
	}
	refused(t, s, connect{id: "a:quickstart:onemore"}, 3)
	enter(t, s, connect{id: "a:quickstart:app0"}) // one that is there may come again
	login(t, s, "app")
}

func TestQuickstartDoesNotTakeTheOrganisationsMemory(t *testing.T) {
	s := startFull(t, nil)
	enter(t, s, theDevice)
	kept := enter(t, s, kept(s, "a:legacy:kept"))
	kept.subscribed(1, allEvents)
	kept.leave(s, "a:legacy:kept")
	login(t, s, "pub").sent(kilnTopic, "kept")

	payload := bytes.Repeat([]byte("x"), 100_000)
	for i := range 1 + localplatform.MaxHeldFree/localplatform.MaxBehind {
		device := connect{id: fmt.Sprintf("d:quickstart:kiln:Q-%d", i)}
		enter(t, s, connect{id: fmt.Sprintf("a:quickstart:stuck%d", i)}).subscribed(0, fmt.Sprintf("iot-2/type/kiln/id/Q-%d/evt/+/fmt/+", i))
		pub := enter(t, s, device)
		for range 3 * localplatform.MaxBehind / 2 / len(payload) {
			pub.publish("iot-2/evt/t/fmt/json", payload, 0, 0, false)
			pub.ping()
		}
	}
	if _, quick := s.Held(); quick > localplatform.MaxHeldFree || quick < localplatform.MaxHeldFree/2 {
		t.Errorf("got %d bytes held, want up to %d", quick, localplatform.MaxHeldFree)
	}
	same(t, "the organisation", payloads(resume(t, s, keptAgain(s)).until(1)), []string{"kept"})
}

func keptAgain(s *site) connect { return kept(s, "a:legacy:kept") }

// Whoever has most waiting loses its oldest, not the one whose message came last.
func TestBoundOfAllMessagesCostsWhoHasMost(t *testing.T) {
	s := startFull(t, nil)
	s.LimitHeld(1 << 20)
	for id, filter := range map[string]string{
		"many":  "iot-2/type/kiln/id/K-1/evt/many/fmt/+",
		"few":   "iot-2/type/kiln/id/K-1/evt/few/fmt/+",
		"A:x:1": "iot-2/type/kiln/id/K-1/evt/group/fmt/+",
	} {
		id, group := strings.CutPrefix(id, "A:")
		id = "a:legacy:" + id
		if group {
			id = "A:legacy:x:1"
		}
		c := enter(t, s, kept(s, id))
		c.subscribed(1, filter)
		c.leave(s, id)
	}
	pub := login(t, s, "pub")
	for i := range 5 {
		pub.sent("iot-2/type/kiln/id/K-1/evt/few/fmt/json", fmt.Sprint(i))
		pub.sent("iot-2/type/kiln/id/K-1/evt/group/fmt/json", fmt.Sprint(i))
	}
	big := strings.Repeat("x", 100_000)
	for range 30 {
		pub.sent("iot-2/type/kiln/id/K-1/evt/many/fmt/json", big)
	}
	pub.sent("iot-2/type/kiln/id/K-1/evt/few/fmt/json", "5")
	if org, _ := s.Held(); org > 1<<20 {
		t.Errorf("got %d bytes held, want at most 1 MiB", org)
	}
	same(t, "one with few", payloads(resume(t, s, kept(s, "a:legacy:few")).until(6)), numbers(0, 6))
	same(t, "a group with few", payloads(resume(t, s, kept(s, "A:legacy:x:1")).until(5)), numbers(0, 5))
	s.log.wait(t, "rule=buffer", "id=a:legacy:many")
	if got := s.log.find("rule=buffer", "id=a:legacy:few"); len(got) > 0 {
		t.Errorf("got %v, want nothing lost by one with few", got)
	}
	// A group that has most gives way, too.
	for range 30 {
		pub.sent("iot-2/type/kiln/id/K-1/evt/many/fmt/json", "small")
	}
	again := resume(t, s, kept(s, "A:legacy:x:1"))
	again.take()
	again.leave(s, "A:legacy:x:1")
	for range 30 {
		pub.sent("iot-2/type/kiln/id/K-1/evt/group/fmt/json", big)
	}
	if org, _ := s.Held(); org > 1<<20 {
		t.Errorf("got %d bytes held, want at most 1 MiB", org)
	}
	s.log.wait(t, "rule=buffer", "id=A:legacy:x:…")
}

// What was sent and not acknowledged cannot be given up, so it is bounded in bytes.
func TestReaderThatNeverAcknowledgesHoldsFewMegabytes(t *testing.T) {
	s := start(t, nil)
	sub := listen(t, s, "sub", 1)
	pub := login(t, s, "pub")
	const size = 100_000
	const most = localplatform.MaxUnacked/size + 1
	payload := strings.Repeat("x", size)
	var got []got
	for i := range 2 * most {
		pub.sent(kilnTopic, payload)
		if i < most {
			got = append(got, sub.event())
		}
	}
	sub.ping() // nothing else came
	sub.send(puback(got[0].id))
	sub.event()
	for _, g := range got[1:] {
		sub.send(puback(g.id))
	}
}

func TestFiltersAreBoundedInBytes(t *testing.T) {
	s := start(t, nil)
	c := login(t, s, "app")
	long := func(i int) string {
		return "iot-2/type/kiln/id/K-1/evt/" + strings.Repeat(string(rune('a'+i)), 60_000) + "/fmt/+"
	}
	c.subscribed(0, long(0))
	c.subscribed(0, long(1), long(0))
	c.unsubscribed(long(0))
	c.subscribed(0, long(2))
	c.subscribe(1, 0, long(3))
	c.wantClosed()
	line := s.log.wait(t, "rule=subscriptions", "code=154", "id=a:legacy:app")
	if len(line["err"]) > 600 {
		t.Errorf("got a line of %d bytes", len(line["err"]))
	}
}

func TestLongTopicsMakeNoLongLines(t *testing.T) {
	s := start(t, nil)
	c := login(t, s, "app")
	c.publish("iot-2/"+strings.Repeat("\x01", 65_000), nil, 0, 0, false)
	c.wantClosed()
	c = login(t, s, "app2")
	c.subscribe(1, 0, "iot-2/"+strings.Repeat("é", 30_000))
	c.wantClosed()
	for _, app := range []string{"app", "app2"} {
		if line := s.log.wait(t, "code=276", "id=a:legacy:"+app); len(line["err"]) > 600 {
			t.Errorf("got a line of %d bytes", len(line["err"]))
		}
	}
}

// A kept session does not hand on what its client's new API key may not receive.
func TestKeptSessionUnderAnotherKey(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) {
		cfg.Devices = append(cfg.Devices, localplatform.Device{Type: "meter", ID: "M-1"})
		cfg.Users = map[string]localplatform.User{
			"a-legacy-all":   {Token: "t"},
			"a-legacy-kilns": {Token: "t", Group: wiotp.Group{{Type: "kiln", ID: "*"}}},
			"a-legacy-view":  {Token: "t", Role: wiotp.Visualization},
		}
	})
	as := func(key, id string) connect {
		return connect{id: "a:legacy:" + id, user: "a-legacy-" + key, password: "t", persistent: true}
	}
	for _, id := range []string{"one", "two", "three"} {
		c := enter(t, s, as("all", id))
		c.subscribed(1, allEvents, anyCommand)
		c.leave(s, "a:legacy:"+id)
	}
	pub := enter(t, s, as("all", "pub"))
	for _, d := range []string{"kiln/id/K-1", "meter/id/M-1"} {
		for _, kind := range []string{"evt", "cmd"} {
			pub.sent("iot-2/type/"+d+"/"+kind+"/t/fmt/json", d[:4]+kind)
		}
	}
	pub.sent(kilnTopic, "end")
	same(t, "a key for kilns", payloads(resume(t, s, as("kilns", "one")).until(3)), []string{"kilnevt", "kilncmd", "end"})
	same(t, "a role without commands", payloads(resume(t, s, as("view", "two")).until(3)), []string{"kilnevt", "mete" + "evt", "end"})
	same(t, "the same key", payloads(resume(t, s, as("all", "three")).until(5)), []string{"kilnevt", "kilncmd", "meteevt", "metecmd", "end"})
	s.log.wait(t, "rule=role", "id=a:legacy:one", "n=2")
}

package localplatform_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestP13KeepaliveOfScalableApplications(t *testing.T) {
	s := startFull(t, nil)
	for _, c := range []struct {
		id    string
		asked uint16
		want  time.Duration
	}{
		{"A:legacy:a", 0, time.Hour}, {"A:legacy:b", 3601, time.Hour}, {"A:legacy:c", 3600, time.Hour}, {"A:legacy:d", 1, time.Second},
		{"A:legacy:e:1", 0, time.Hour}, {"a:legacy:f", 0, 0}, {"a:legacy:g", 65535, 65535 * time.Second},
	} {
		l := kept(s, c.id)
		l.keepalive = c.asked
		enter(t, s, l)
		if got := s.Keepalive(c.id); got != c.want {
			t.Errorf("%s asked for %d: got %v, want %v", c.id, c.asked, got, c.want)
		}
	}
}

func TestP21RepeatedEventsOfQoS2AreOne(t *testing.T) {
	s := start(t, nil)
	sub := listen(t, s, "sub", 2)
	pub := enter(t, s, kept(s, "a:legacy:pub"))
	event := append(append(str(nil, kilnTopic), 0, 7), "once"...)
	pub.send(packet(0x34, event))
	pub.want(0x50, 2, 0, 7)
	pub.drop(s, "a:legacy:pub") // the answer counts as lost: it is sent again
	pub = resume(t, s, kept(s, "a:legacy:pub"))
	pub.send(packet(0x3c, event))
	pub.want(0x50, 2, 0, 7)
	for range 2 {
		pub.send([]byte{0x62, 2, 0, 7})
		pub.want(0x70, 2, 0, 7)
	}
	pub.send(packet(0x34, event)) // released: the id is free for a new one
	pub.want(0x50, 2, 0, 7)
	same(t, "subscriber", payloads(sub.take()), []string{"once", "once"})
}

func TestP21DeliveriesOfQoS2AreReleasedOnce(t *testing.T) {
	s := start(t, nil)
	l := kept(s, "a:legacy:sub")
	sub := enter(t, s, l)
	sub.subscribed(2, allEvents)
	pub := login(t, s, "pub")
	pub.publish(kilnTopic, []byte("a"), 2, 1, false)
	pub.want(0x50, 2, 0, 1)
	g := sub.event()
	if g.qos != 2 || g.dup {
		t.Fatalf("got %+v, want QoS 2", g)
	}
	sub.drop(s, "a:legacy:sub")
	sub = resume(t, s, l)
	again := sub.event()
	if !again.dup || again.id != g.id || again.payload != "a" {
		t.Fatalf("got %+v, want the same again with DUP", again)
	}
	sub.send([]byte{0x50, 2, byte(g.id >> 8), byte(g.id)})
	sub.want(0x62, 2, byte(g.id>>8), byte(g.id))
	sub.drop(s, "a:legacy:sub")
	sub = resume(t, s, l)
	sub.want(0x62, 2, byte(g.id>>8), byte(g.id)) // the release, not the event
	sub.send([]byte{0x70, 2, byte(g.id >> 8), byte(g.id)})
	sub.ping()
	sub.drop(s, "a:legacy:sub")
	resume(t, s, l).ping()
}

func TestP21UnacknowledgedEventsComeAgainInOrder(t *testing.T) {
	s := start(t, nil)
	l := kept(s, "a:legacy:sub")
	sub := enter(t, s, l)
	sub.subscribed(1, allEvents)
	pub := login(t, s, "pub")
	var first []got
	for i := range 6 {
		pub.sent(kilnTopic, fmt.Sprint(i))
		first = append(first, sub.event())
	}
	sub.send(puback(first[1].id))
	sub.ping()
	sub.drop(s, "a:legacy:sub")
	pub.sent(kilnTopic, "6")
	sub = resume(t, s, l)
	for i, g := range sub.take() {
		want := []string{"0", "2", "3", "4", "5", "6"}[i]
		if g.payload != want || g.dup != (want != "6") {
			t.Errorf("got %+v, want %s", g, want)
		}
	}
}

func TestP21TwoThousandInFlightPerApplicationTenPerDevice(t *testing.T) {
	s := startFull(t, nil)
	app := listen(t, s, "sub", 1)
	device := enter(t, s, theDevice)
	device.subscribed(1, "iot-2/cmd/+/fmt/+")
	pub := login(t, s, "pub")
	for i := range wiotp.MaxInflight + 1 {
		pub.publish(kilnTopic, fmt.Append(nil, i), 1, 1, false)
	}
	for i := range 11 {
		pub.publish("iot-2/type/kiln/id/K-2/cmd/x/fmt/json", fmt.Append(nil, i), 1, 1, false)
	}
	for range wiotp.MaxInflight + 12 {
		pub.want(puback(1)...)
	}
	var last got
	for range wiotp.MaxInflight {
		last = app.event()
	}
	app.ping() // no further event comes
	app.send(puback(last.id))
	if g := app.event(); g.payload != fmt.Sprint(wiotp.MaxInflight) {
		t.Errorf("got %+v, want the next", g)
	}
	for range 10 {
		last = device.event()
	}
	device.ping()
	device.send(puback(last.id))
	if g := device.event(); g.payload != "10" {
		t.Errorf("got %+v, want the next", g)
	}
}

func TestP29BufferKeepsTheNewestPerSubscription(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) {
		cfg.Buffer = 50
		cfg.Devices = append(cfg.Devices, localplatform.Device{Type: "meter", ID: "M-1"})
	})
	l := kept(s, "a:legacy:sub")
	sub := enter(t, s, l)
	sub.subscribed(1, "iot-2/type/kiln/id/+/evt/+/fmt/+", "iot-2/type/meter/id/+/evt/+/fmt/+")
	sub.leave(s, "a:legacy:sub")
	pub := login(t, s, "pub")
	pub.sent("iot-2/type/meter/id/M-1/evt/t/fmt/json", "meter")
	for i := range 70 {
		pub.sent(kilnTopic, fmt.Sprint(i))
	}
	if got := s.Stats(); got.Dropped != 20 || got.Waiting != 51 || got.Kept != 1 {
		t.Errorf("got %+v, want 20 dropped and 51 waiting", got)
	}
	s.log.wait(t, "rule=buffer", "id=a:legacy:sub")
	sub = resume(t, s, l)
	same(t, "kept", payloads(sub.until(51)), append([]string{"meter"}, numbers(20, 70)...))
	sub.ping()
}

func TestP29DefaultBufferIs5000(t *testing.T) {
	s := start(t, nil)
	l := kept(s, "a:legacy:sub")
	sub := enter(t, s, l)
	sub.subscribed(1, allEvents)
	sub.leave(s, "a:legacy:sub")
	pub := login(t, s, "pub")
	const n = wiotp.MaxBuffer + 10
	for i := range n {
		pub.publish(kilnTopic, fmt.Append(nil, i), 1, 1, false)
	}
	for range n {
		pub.want(puback(1)...)
	}
	sub = resume(t, s, l)
	same(t, "kept", payloads(sub.until(wiotp.MaxBuffer)), numbers(10, n))
}

func TestP29KeptSessionsEndWithCleanSessionAndAfterADay(t *testing.T) {
	s := start(t, nil)
	l := kept(s, "a:legacy:sub")
	fill := func() {
		sub := dial(t, s)
		sub.send(l.bytes())
		sub.next()
		sub.subscribed(1, allEvents)
		sub.leave(s, "a:legacy:sub")
		login(t, s, "pub").sent(kilnTopic, "x")
	}
	fill()
	enter(t, s, own(s, "a:legacy:sub")).leave(s, "a:legacy:sub")
	enter(t, s, l).leave(s, "a:legacy:sub") // present 0
	fill()
	s.Expire(time.Now().Add(23 * time.Hour))
	if got := s.Stats(); got.Waiting != 1 {
		t.Errorf("got %+v, want the message kept for a day", got)
	}
	s.Expire(time.Now().Add(25 * time.Hour))
	if got := s.Stats(); got.Waiting != 0 {
		t.Errorf("got %+v, want nothing after a day", got)
	}
	enter(t, s, l)
}

func TestP49ThrottleIsBackPressure(t *testing.T) {
	t.Parallel() // it waits
	s := start(t, func(cfg *localplatform.Config) { cfg.Throttle = 10 })
	pub := login(t, s, "pub")
	began := time.Now()
	for i := range 25 { // 3 seconds' worth, or the last part of one less
		pub.publish(kilnTopic, []byte("x"), 1, uint16(i+1), false)
	}
	for i := range 25 {
		pub.want(puback(uint16(i + 1))...)
	}
	if got := time.Since(began); got < time.Second {
		t.Errorf("got 25 units in %v, want at least the second that 20 take", got)
	}
	pub.publish(kilnTopic, bytes.Repeat([]byte("x"), 5*wiotp.ThrottleUnit), 1, 30, false)
	pub.want(puback(30)...)
	pub.ping()
	if got := s.Stats(); got.Connections != 1 || got.Refused != 0 || got.Events != 26 {
		t.Errorf("got %+v, want no error and no disconnect", got)
	}
}

func TestSessionsSurviveARestart(t *testing.T) {
	for _, compact := range []bool{false, true} {
		dir := t.TempDir()
		s := startFull(t, stored(dir))
		l, m, d := kept(s, "a:legacy:sub"), kept(s, "A:legacy:app:1"), theDevice
		d.persistent = true
		sub, member, device := enter(t, s, l), enter(t, s, m), enter(t, s, d)
		sub.subscribed(1, allEvents)
		member.subscribed(1, allEvents)
		device.subscribed(1, "iot-2/cmd/+/fmt/+")
		pub := login(t, s, "pub")
		pub.sent(kilnTopic, "acknowledged")
		sub.until(1)
		member.until(1)
		sub.ping()
		member.ping()
		pub.sent(kilnTopic, "in flight")
		sub.event()
		member.event()
		for _, c := range []*raw{sub, member, device} {
			c.Close()
		}
		s.log.wait(t, "msg=client disconnected", "id="+d.id)
		s.log.wait(t, "msg=client disconnected", "id="+l.id)
		s.log.wait(t, "msg=client disconnected", "id="+m.id)
		pub.sent(kilnTopic, "waiting")
		pub.sent("iot-2/type/kiln/id/K-2/cmd/x/fmt/json", "command")
		pub.publish(kilnTopic, []byte("QoS 0"), 0, 0, false)
		pub.ping()
		if compact {
			if err := s.Compact(); err != nil {
				t.Fatal(err)
			}
			pub.sent(kilnTopic, "after")
		}
		want := []string{"in flight", "waiting", "QoS 0"}
		if compact {
			want = append(want, "after")
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s = start(t, stored(dir))
		same(t, "application", payloads(resume(t, s, l).until(len(want))), want)
		same(t, "member", payloads(resume(t, s, m).until(len(want))), want)
		back := resume(t, s, d)
		same(t, "device", payloads(back.until(1)), []string{"command"})
		back.unsubscribed("iot-2/cmd/+/fmt/+")
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s = start(t, stored(dir)) // nothing comes twice, nothing that was ended comes back
		login(t, s, "pub").sent("iot-2/type/kiln/id/K-2/cmd/x/fmt/json", "late")
		if all := resume(t, s, d).take(); len(all) != 0 {
			t.Errorf("got %v at the device, want nothing", payloads(all))
		}
		if all := resume(t, s, m).take(); len(all) != 0 {
			t.Errorf("got %v at the member, want nothing", payloads(all))
		}
	}
}

func TestQoS2SurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	s := startFull(t, stored(dir))
	l, p := kept(s, "a:legacy:sub"), kept(s, "a:legacy:pub")
	sub, pub := enter(t, s, l), enter(t, s, p)
	sub.subscribed(2, allEvents)
	event := func(id byte, payload string) []byte { return append(append(str(nil, kilnTopic), 0, id), payload...) }
	var ids []uint16
	for i := range byte(3) {
		pub.send(packet(0x34, event(i+1, fmt.Sprint(i))))
		pub.want(0x50, 2, 0, i+1)
		ids = append(ids, sub.event().id)
	}
	sub.send([]byte{0x50, 2, byte(ids[0] >> 8), byte(ids[0])})
	sub.want(0x62, 2, byte(ids[0]>>8), byte(ids[0]))
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, stored(dir))
	pub = resume(t, s, p)
	pub.send(packet(0x3c, event(1, "0"))) // the answer was lost: not passed on again
	pub.want(0x50, 2, 0, 1)
	sub = resume(t, s, l)
	sub.want(0x62, 2, byte(ids[0]>>8), byte(ids[0]))
	for i := 1; i < 3; i++ {
		if g := sub.event(); g.payload != fmt.Sprint(i) || g.id != ids[i] || !g.dup {
			t.Errorf("got %+v, want %d under its id %d", g, i, ids[i])
		}
	}
	sub.ping()
}

func TestP02ARoleThatWasTakenAwayEndsItsSubscriptions(t *testing.T) {
	dir := t.TempDir()
	with := func(role wiotp.Role) func(*localplatform.Config) {
		return func(cfg *localplatform.Config) {
			cfg.Store = dir
			cfg.Users = map[string]localplatform.User{"a-legacy-k": {Token: "t", Role: role}, "a-legacy-z": {Token: "t"}}
		}
	}
	s := start(t, with(wiotp.Standard))
	l := connect{id: "a:legacy:sub", user: "a-legacy-k", password: "t", persistent: true}
	enter(t, s, l).subscribed(1, anyCommand, allEvents)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, with(wiotp.Visualization))
	sub := resume(t, s, l)
	pub := enter(t, s, connect{id: "a:legacy:pub", user: "a-legacy-z", password: "t"})
	pub.sent(kilnReset, "command")
	pub.sent(kilnTopic, "event")
	same(t, "subscriber", payloads(sub.take()), []string{"event"})
}

func TestSubscribersOfOneGroupNeverHoldUpThePublisher(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) { cfg.Buffer = 20 })
	stuck := enter(t, s, kept(s, "A:legacy:app"))
	stuck.subscribed(0, allEvents)
	reader := enter(t, s, kept(s, "A:legacy:app"))
	reader.subscribed(0, allEvents)
	pub := login(t, s, "pub")
	big := bytes.Repeat([]byte("x"), 100_000)
	const n = 200
	got := 0
	for range n {
		pub.publish(kilnTopic, big, 1, 1, false)
		pub.want(puback(1)...)
		got += len(reader.take())
	}
	if got < n/2 || s.Stats().Dropped != 0 {
		t.Errorf("got %d of %d at the one that reads, %d dropped; want what the other has no room for", got, n, s.Stats().Dropped)
	}
	if slices.Contains(payloads(reader.take()), "x") {
		t.Error("got a piece of an event")
	}
}

// A subscriber that reads more slowly than is published loses nothing: the publisher is held back.
func TestSubscriberThatReadsLosesNothing(t *testing.T) {
	for _, persistent := range []bool{true, false} {
		s := start(t, func(cfg *localplatform.Config) { cfg.Buffer = 500 })
		s.SetPatience(patience)
		l := own(s, "a:legacy:sub")
		l.persistent = persistent
		sub := enter(t, s, l)
		sub.subscribed(1, allEvents)
		pub := login(t, s, "pub")
		n := proof(2000, 20_000, 20_000)
		big := bytes.Repeat([]byte("x"), 2000) // the socket is soon full
		go func() {
			for range n {
				b := append(append(str(nil, kilnTopic), 0, 1), big...)
				if _, err := pub.Write(packet(0x32, b)); err != nil {
					return
				}
			}
		}()
		go io.Copy(io.Discard, pub.r)
		if got := len(sub.until(n)); got != n || s.Stats().Dropped != 0 {
			t.Errorf("durable %v: got %d of %d, %d dropped, want all", persistent, got, n, s.Stats().Dropped)
		}
	}
}

// One that takes nothing costs its publishers a moment, and then its oldest messages.
func TestStuckDurableSubscriberHoldsUpNobodyForLong(t *testing.T) {
	t.Parallel() // it waits
	s := start(t, func(cfg *localplatform.Config) { cfg.Buffer = 100 })
	stuck := enter(t, s, kept(s, "a:legacy:stuck"))
	stuck.subscribed(0, allEvents)
	reader := listen(t, s, "reader", 1)
	pub := login(t, s, "pub")
	big := string(bytes.Repeat([]byte("x"), 100_000))
	began := time.Now()
	const n = 400
	for range n {
		pub.publish(kilnTopic, []byte(big), 1, 1, false)
		pub.want(puback(1)...)
		reader.send(puback(reader.event().id))
	}
	if got := time.Since(began); got > patience {
		t.Errorf("got %d events in %v, want one short wait", n, got)
	}
	if got := s.Stats().Dropped; got == 0 {
		t.Error("got none dropped, want the oldest of the stuck one")
	}
	if got := s.log.find("rule=buffer"); len(got) != 1 || got[0]["id"] != "a:legacy:stuck" {
		t.Errorf("got %v, want one line about the stuck one", got)
	}
}

func TestAcknowledgedOnlyOnceItIsOnDisk(t *testing.T) {
	s := startFull(t, stored(t.TempDir()))
	sub, member := enter(t, s, kept(s, "a:legacy:sub")), enter(t, s, kept(s, "A:legacy:app:1"))
	sub.subscribed(1, "iot-2/type/kiln/id/K-1/evt/+/fmt/+")
	member.subscribed(1, "iot-2/type/edge/id/+/evt/+/fmt/+")
	pub := login(t, s, "pub")
	release := s.HoldDisk()
	pub.publish("iot-2/type/kiln/id/K-2/evt/t/fmt/json", nil, 1, 1, false) // nobody durable gets it
	pub.want(puback(1)...)
	pub.publish(kilnTopic, nil, 1, 2, false)
	pub.publish(kilnTopic, nil, 2, 3, false)
	pub.publish("iot-2/type/edge/id/G-1/evt/t/fmt/json", nil, 1, 4, false)
	pub.publish("iot-2/type/kiln/id/K-2/evt/t/fmt/json", nil, 1, 5, false) // answers keep their order
	late := enter(t, s, kept(s, "a:legacy:late"))
	late.subscribe(1, 1, allEvents)
	pub.ping()
	late.ping()
	release()
	pub.want(puback(2)...)
	pub.want(0x50, 2, 0, 3)
	pub.want(puback(4)...)
	pub.want(puback(5)...)
	late.want(0x90, 3, 0, 1, 1)

	late.leave(s, "a:legacy:late")
	enter(t, s, own(s, "a:legacy:late")).leave(s, "a:legacy:late") // forgotten
	release = s.HoldDisk()
	pub.publish("iot-2/type/edge/id/G-1/evt/t/fmt/json", nil, 1, 6, false) // a group's alone
	pub.ping()
	release()
	pub.want(puback(6)...)
}

func TestClientThatHearsItselfDoesNotWaitForItself(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) { cfg.Buffer = 500 })
	c := listen(t, s, "both", 1)
	big := bytes.Repeat([]byte("x"), 2000)
	n := proof(2000, 20_000, 20_000)
	go func() {
		for range n {
			if _, err := c.Write(packet(0x32, append(append(str(nil, kilnTopic), 0, 1), big...))); err != nil {
				return
			}
		}
	}()
	for acked, heard := 0, 0; acked < n; {
		first, body, err := c.next()
		if err != nil {
			t.Fatalf("got %v after %d acknowledged and %d heard", err, acked, heard)
		}
		if first == 0x40 {
			acked++
			continue
		}
		heard++
		c.Write(puback(parseEvent(first, body).id))
	}
}

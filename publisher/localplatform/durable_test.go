package localplatform_test

import (
	"fmt"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

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
		member = resume(t, s, m)
		same(t, "member", payloads(member.until(len(want))), want)
		member.ping() // it has taken the acknowledgements
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

func TestAcknowledgedOnlyOnceItIsOnDisk(t *testing.T) {
	s := startFull(t, stored(t.TempDir()))
	sub, member := enter(t, s, kept(s, "a:legacy:sub")), enter(t, s, kept(s, "A:legacy:app:1"))
	sub.subscribed(1, "iot-2/type/kiln/id/K-1/evt/+/fmt/+")
	member.subscribed(1, "iot-2/type/edge/id/+/evt/+/fmt/+")
	pub := login(t, s, "pub")
	release := s.HoldDisk()
	defer func() { release() }()
	pub.publish("iot-2/type/kiln/id/K-2/evt/t/fmt/json", nil, 1, 1, false) // nobody durable gets it
	pub.want(puback(1)...)
	pub.publish(kilnTopic, nil, 1, 2, false)
	pub.publish(kilnTopic, nil, 2, 3, false)
	pub.publish("iot-2/type/edge/id/G-1/evt/t/fmt/json", nil, 1, 4, false)
	pub.publish("iot-2/type/kiln/id/K-2/evt/t/fmt/json", nil, 1, 5, false) // answers keep their order
	pub.ping()                                                             // all of it was dealt with
	late := enter(t, s, kept(s, "a:legacy:late"))
	late.subscribe(1, 1, allEvents)
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

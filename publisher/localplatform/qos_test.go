package localplatform_test

import (
	"fmt"
	"testing"
	"time"

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

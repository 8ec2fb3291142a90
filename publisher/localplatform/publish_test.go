package localplatform_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestP15EventsAreAccepted(t *testing.T) {
	s := start(t, nil)
	sub := listen(t, s, "sub", 2)
	pub := login(t, s, "pub")
	for qos := range byte(3) {
		topic := fmt.Sprintf("iot-2/type/kiln/id/K-1/evt/Füllstand %d/fmt/x", qos)
		pub.publish(topic, []byte("21.5"), qos, 7, false)
		switch qos {
		case 1:
			pub.want(puback(7)...)
		case 2:
			pub.want(0x50, 2, 0, 7)
			pub.send([]byte{0x62, 2, 0, 7})
			pub.want(0x70, 2, 0, 7)
		}
		if g := sub.event(); g.topic != topic || g.payload != "21.5" || g.qos != qos || g.retain {
			t.Errorf("got %+v, want %s with QoS %d", g, topic, qos)
		}
	}
	if got := s.Stats(); got.Events != 3 || got.Refused != 0 {
		t.Errorf("got %+v, want 3 events", got)
	}
}

// hungUp publishes, at each QoS, and wants the connection closed without an answer, code in the log, nothing delivered.
func hungUp(t *testing.T, s *site, topic string, payload []byte, rule, code string) {
	t.Helper()
	for qos := range byte(3) {
		sub := listen(t, s, "sub", 2)
		app := fmt.Sprintf("pub-%d", s.Stats().Logins)
		pub := login(t, s, app)
		// What was sent before it is still answered: a publisher must know what it need not send again.
		pub.publish(kilnTopic, []byte("before"), 1, 1, false)
		pub.publish(topic, payload, qos, 2, false)
		pub.want(puback(1)...)
		pub.wantClosed()
		if g := sub.event(); g.payload != "before" {
			t.Fatalf("got %.100q, want the event before", g.payload)
		}
		sub.wantOnly(s)
		s.log.wait(t, "msg=connection closed", "rule="+rule, "code="+code, "id=a:legacy:"+app)
	}
}

func TestP16OtherTopicsHangUp(t *testing.T) {
	s := start(t, nil)
	for _, topic := range []string{
		"", "x", "$SYS/broker/uptime", "$share/g/x", "iot-2/evt/temperature/fmt/json",
		"iot-2/type/kiln/id/K-1/mon", "iot-2/app/pub/mon",
		"/" + kilnTopic, kilnTopic + "/", kilnTopic + "/x", strings.TrimSuffix(kilnTopic, "/json"),
		strings.Replace(kilnTopic, "evt", "Evt", 1), strings.Replace(kilnTopic, "temperature", "", 1),
		strings.Replace(kilnTopic, "temperature", "+", 1), strings.Replace(kilnTopic, "json", "#", 1),
		strings.Replace(kilnTopic, "temperature", "t\x01", 1),
		strings.Replace(kilnTopic, "temperature", "t\xff", 1),
	} {
		t.Run(fmt.Sprintf("%q", topic), func(t *testing.T) { hungUp(t, s, topic, []byte("x"), "topic", "276") })
	}
}

func TestP18PayloadLimit(t *testing.T) {
	s := start(t, nil)
	limit := bytes.Repeat([]byte("x"), wiotp.MaxPayload)
	sub := listen(t, s, "big", 1)
	pub := login(t, s, "pub")
	pub.publish(kilnTopic, limit, 1, 1, false)
	pub.want(puback(1)...)
	if g := sub.event(); g.payload != string(limit) {
		t.Fatalf("got %d bytes, want %d", len(g.payload), len(limit))
	}
	sub.Close()
	hungUp(t, s, kilnTopic, append(limit, 'x'), "max_payload", "287")
}

func TestP18FarTooLargeIsRefusedBeforeItIsRead(t *testing.T) {
	s := start(t, nil)
	pub := login(t, s, "pub")
	pub.send([]byte{0x32, 0xff, 0xff, 0xff, 0x7f}) // 256 MiB announced, none sent
	pub.wantClosed()
	s.log.wait(t, "rule=max_payload", "code=287")
}

func TestP18ConfiguredLimit(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) { cfg.MaxPayload = 100 })
	pub := login(t, s, "pub")
	pub.publish(kilnTopic, make([]byte, 100), 1, 1, false)
	pub.want(puback(1)...)
	pub.ping()
	hungUp(t, s, kilnTopic, make([]byte, 101), "max_payload", "287")
}

func TestP19LongTopicCountsAsPayload(t *testing.T) {
	s := start(t, nil)
	topic := kilnTopic + strings.Repeat("x", 300-len(kilnTopic))
	sub := listen(t, s, "big", 1)
	pub := login(t, s, "pub")
	pub.publish(topic, make([]byte, wiotp.MaxPayload-100), 1, 1, false)
	pub.want(puback(1)...)
	if g := sub.event(); len(g.payload) != wiotp.MaxPayload-100 || g.topic != topic {
		t.Fatalf("got %d bytes, want %d", len(g.payload), wiotp.MaxPayload-100)
	}
	sub.Close()
	hungUp(t, s, topic, make([]byte, wiotp.MaxPayload-99), "max_payload", "287")
}

func TestP20RetainIsCleared(t *testing.T) {
	s := start(t, nil)
	sub := listen(t, s, "sub", 1)
	pub := login(t, s, "pub")
	pub.publish(kilnTopic, []byte("kept?"), 1, 1, true)
	pub.want(puback(1)...)
	if g := sub.event(); g.retain || g.payload != "kept?" {
		t.Errorf("got %+v, want RETAIN cleared", g)
	}
	late := listen(t, s, "late", 1)
	late.wantOnly(s)
}

func TestP22SubscribersSeeTheLowerQoS(t *testing.T) {
	s := start(t, nil)
	for published := range byte(3) {
		for subscribed := range byte(3) {
			sub := listen(t, s, "sub", subscribed)
			pub := login(t, s, "pub")
			pub.publish(kilnTopic, []byte("x"), published, 1, false)
			if g := sub.event(); g.qos != min(published, subscribed) || g.topic != kilnTopic || g.payload != "x" {
				t.Errorf("published %d, subscribed %d: got %+v", published, subscribed, g)
			}
		}
	}
}

func TestP22PublisherSeesItsOwnEvents(t *testing.T) {
	s := start(t, nil)
	c := listen(t, s, "both", 0)
	c.publish(kilnTopic, []byte("mine"), 0, 0, false)
	if g := c.event(); g.payload != "mine" {
		t.Errorf("got %+v, want the own event", g)
	}
}

func TestP24UnregisteredRejected(t *testing.T) {
	s := start(t, nil)
	hungUp(t, s, "iot-2/type/kiln/id/K-2/evt/t/fmt/json", []byte("x"), "unregistered", "180")
	hungUp(t, s, "iot-2/type/furnace/id/K-1/evt/t/fmt/json", []byte("x"), "unregistered", "180")
	got := s.Stats()
	if n := got.Unregistered[localplatform.Device{Type: "kiln", ID: "K-2"}]; n != 3 || len(got.Unregistered) != 2 || got.Refused != 6 {
		t.Errorf("got %+v, want 3 events of each device", got)
	}
}

func TestP24UnregisteredAccepted(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) { cfg.Unregistered = localplatform.AcceptUnregistered })
	sub := listen(t, s, "sub", 0)
	pub := login(t, s, "pub")
	for range 3 {
		for _, id := range []string{"K-2", "K-3", "K-1"} {
			pub.publish("iot-2/type/kiln/id/"+id+"/evt/t/fmt/json", []byte(id), 0, 0, false)
			if g := sub.event(); g.payload != id {
				t.Fatalf("got %+v, want the event of %s", g, id)
			}
		}
	}
	got := s.Stats()
	if n := got.Unregistered[localplatform.Device{Type: "kiln", ID: "K-2"}]; n != 3 || len(got.Unregistered) != 2 || got.Refused != 0 {
		t.Errorf("got %+v, want 3 events each of two devices", got)
	}
	if lines := s.log.find("rule=unregistered", "value=accept"); len(lines) != 2 {
		t.Errorf("got %v, want one line per device", lines)
	}
}

func TestP24StrangersAreBounded(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) { cfg.Unregistered = localplatform.AcceptUnregistered })
	pub := login(t, s, "pub")
	const n = 1500
	for i := range n {
		pub.publish(fmt.Sprintf("iot-2/type/kiln/id/X-%d/evt/t/fmt/json", i), nil, 0, 0, false)
	}
	pub.publish(kilnTopic, nil, 1, 1, false)
	pub.want(puback(1)...)
	if got := s.Stats(); len(got.Unregistered) != 1000 || got.Others != n-1000 {
		t.Errorf("got %d devices and %d others, want 1000 and %d", len(got.Unregistered), got.Others, n-1000)
	}
}

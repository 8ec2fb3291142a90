package localplatform_test

import (
	"fmt"
	"testing"
)

func TestP25PlusInEveryPlace(t *testing.T) {
	s := start(t, nil)
	pub := login(t, s, "pub")
	for i, filter := range []string{
		kilnTopic, allEvents,
		"iot-2/type/+/id/K-1/evt/temperature/fmt/json",
		"iot-2/type/kiln/id/+/evt/temperature/fmt/json",
		"iot-2/type/kiln/id/K-1/evt/+/fmt/json",
		"iot-2/type/kiln/id/K-1/evt/temperature/fmt/+",
	} {
		sub := login(t, s, fmt.Sprintf("sub-%d", i))
		sub.subscribe(1, 0, filter, "iot-2/type/kiln/id/K-2/evt/+/fmt/+")
		sub.want(0x90, 4, 0, 1, 0, 0)
		pub.publish("iot-2/type/kiln/id/K-1/evt/other/fmt/other", []byte("other"), 0, 0, false)
		pub.publish(kilnTopic, []byte("it"), 0, 0, false)
		g := sub.event()
		if filter == allEvents {
			g = sub.event()
		}
		if g.payload != "it" {
			t.Errorf("%s: got %+v, want the one event", filter, g)
		}
	}
}

func TestP25UnsubscribeEndsDelivery(t *testing.T) {
	s := start(t, nil)
	sub := listen(t, s, "sub", 0)
	sub.subscribe(2, 0, kilnTopic) // both match: delivered once
	sub.want(0x90, 3, 0, 2, 0)
	sub.wantOnly(s)
	sub.send(packet(0xa2, append([]byte{0, 3}, str(nil, allEvents)...)))
	sub.want(0xb0, 2, 0, 3)
	sub.wantOnly(s)
	sub.send(packet(0xa2, append([]byte{0, 4}, str(nil, kilnTopic)...)))
	sub.want(0xb0, 2, 0, 4)
	pub := login(t, s, "pub")
	pub.publish(kilnTopic, []byte("late"), 1, 1, false)
	pub.want(puback(1)...)
	pub.ping()
	sub.ping()
}

// The library keeps the packet ids of both directions in one table.
func TestP25SubscribeWhileEventsWithTheSameIDAreOnTheirWay(t *testing.T) {
	s := start(t, nil)
	sub := listen(t, s, "sub", 1)
	pub := login(t, s, "pub")
	for id := range uint16(5) {
		pub.publish(kilnTopic, []byte("x"), 1, id+1, false)
		pub.want(puback(id + 1)...)
		sub.event()
	}
	sub.subscribe(3, 1, kilnTopic)
	sub.want(0x90, 3, 0, 3, 1)
	sub.send(packet(0xa2, append([]byte{0, 4}, str(nil, allEvents)...)))
	sub.want(0xb0, 2, 0, 4)
	sub.send(packet(0xa2, append([]byte{0, 5}, str(nil, kilnTopic)...)))
	sub.want(0xb0, 2, 0, 5)
	pub.publish(kilnTopic, []byte("late"), 1, 9, false)
	pub.want(puback(9)...)
	pub.ping()
	sub.ping()
}

// unsubscribable wants the connection closed without SUBACK.
func unsubscribable(t *testing.T, s *site, rule, code string, filters ...string) {
	t.Helper()
	app := fmt.Sprintf("sub-%d", s.Stats().Logins)
	sub := login(t, s, app)
	sub.subscribe(1, 1, filters...)
	sub.wantClosed()
	s.log.wait(t, "msg=connection closed", "rule="+rule, "code="+code, "id=a:legacy:"+app)
}

func TestP25PlusOnlyThereAndAsAWholeLevel(t *testing.T) {
	s := start(t, nil)
	for _, f := range []string{
		"", "+", "+/+/+/+/+/+/+/+/+", "iot-2/+/kiln/id/K-1/evt/t/fmt/json", "iot-2/type/k+/id/K-1/evt/t/fmt/json",
		"iot-2/type/kiln/id/K-1/+/t/fmt/json", "iot-2/type/kiln/id/K-1/evt/t+/fmt/json", allEvents + "/+", allEvents + "/",
		"$share/g/" + allEvents, "$SYS/+", "iot-2/evt/+/fmt/+",
	} {
		unsubscribable(t, s, "filter", "276", f)
	}
	unsubscribable(t, s, "topic", "276", "iot-2/type/\xff/id/+/evt/+/fmt/+")
}

func TestP26HashCloses(t *testing.T) {
	s := start(t, nil)
	for _, f := range []string{"#", "iot-2/#", "iot-2/type/+/id/+/evt/+/fmt/#", "iot-2/type/#/id/+/evt/+/fmt/+", "$SYS/#"} {
		unsubscribable(t, s, "filter", "276", f)
	}
}

func TestP27OneBadFilterAmongSeveralCloses(t *testing.T) {
	s := start(t, nil)
	unsubscribable(t, s, "filter", "276", kilnTopic, "iot-2/#", allEvents)
	unsubscribable(t, s, "filter", "276", kilnTopic, allEvents, "x")
}

func TestP28Subscription501Closes(t *testing.T) {
	s := start(t, nil)
	var filters []string
	for i := range 501 {
		filters = append(filters, fmt.Sprintf("iot-2/type/kiln/id/K-%d/evt/+/fmt/+", i))
	}
	sub := login(t, s, "sub")
	sub.subscribe(1, 0, filters[:500]...)
	if first, body, err := sub.next(); err != nil || first != 0x90 || len(body) != 502 {
		t.Fatalf("got %x with %d bytes, %v, want 500 grants", first, len(body), err)
	}
	sub.subscribe(2, 0, filters[:500]...) // the same again are no more
	if first, _, err := sub.next(); err != nil || first != 0x90 {
		t.Fatalf("got %x, %v, want SUBACK", first, err)
	}
	sub.subscribe(3, 0, filters[500])
	sub.wantClosed()
	s.log.wait(t, "rule=subscriptions", "code=154")
	unsubscribable(t, s, "subscriptions", "154", filters...)
}

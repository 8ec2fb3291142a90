package localplatform_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestP05DevicesAndGatewaysNeedTheirToken(t *testing.T) {
	s := startFull(t, nil)
	enter(t, s, theDevice)
	enter(t, s, theGateway)
	key, token := s.Key()
	for _, l := range []connect{
		{id: theDevice.id, user: wiotp.UseTokenAuth, password: edgeToken},
		{id: theDevice.id, user: wiotp.UseTokenAuth},
		{id: theDevice.id, user: "use-token", password: kilnToken},
		{id: theDevice.id},
		{id: theDevice.id, user: key, password: token.Reveal()},
		{id: theGateway.id, user: wiotp.UseTokenAuth, password: kilnToken},
		{id: "d:legacy:kiln:K-1", user: wiotp.UseTokenAuth, password: kilnToken}, // it has no token
		{id: "d:legacy:kiln:K-9", user: wiotp.UseTokenAuth, password: kilnToken},
		{id: "g:legacy:kiln:K-2", user: wiotp.UseTokenAuth, password: kilnToken}, // not a gateway
		{id: "d:legacy:edge:G-1", user: wiotp.UseTokenAuth, password: edgeToken}, // not a device
		{id: "d:other1:kiln:K-2", user: wiotp.UseTokenAuth, password: kilnToken},
		{id: "a:legacy:app", user: wiotp.UseTokenAuth, password: kilnToken},
	} {
		refused(t, s, l, 5)
	}
	for _, r := range s.log.find() {
		if text := fmt.Sprint(r); strings.Contains(text, kilnToken) || strings.Contains(text, edgeToken) {
			t.Errorf("got a token in the log: %s", text)
		}
	}
}

func TestP15CommandsAndDeviceTopicsAreAccepted(t *testing.T) {
	s := startFull(t, nil)
	app, device, gateway := login(t, s, "app"), enter(t, s, theDevice), enter(t, s, theGateway)
	app.sent(kilnReset, "x")
	gateway.sent("iot-2/type/edge/id/G-1/evt/up/fmt/json", "x")
	gateway.sent(kilnTopic, "x")
	for _, topic := range []string{"iot-2/evt/t/fmt/json", "iotdevice-1/response", "iotdevice-1/notify", "iotdevice-1/device/update/location",
		"iotdevice-1/add/diag/log", "iotdevice-1/clear/diag/log", "iotdevice-1/mgmt/manage"} {
		device.sent(topic, "x")
	}
	if got := s.Stats(); got.Events != 3 || got.Commands != 1 || got.Refused != 0 {
		t.Errorf("got %+v, want 3 events and 1 command", got)
	}
}

func TestP16OtherTopicsHangUpDevices(t *testing.T) {
	s := startFull(t, nil)
	for _, topic := range []string{"iot-2/type/kiln/id/K-2/evt/t/fmt/json", "iot-2/cmd/reset/fmt/json", "iot-2/evt//fmt/json", "iot-2/Evt/t/fmt/json",
		"iot-2/evt/t/fmt", "iot-2/evt/t/fmt/json/", "/iot-2/evt/t/fmt/json", "iot-2/mon", "iotdm-1/response", "iotdevice-1/mgmt"} {
		c := enter(t, s, theDevice)
		c.publish(topic, []byte("x"), 1, 1, false)
		c.wantClosed()
	}
	s.log.wait(t, "rule=topic", "code=276", "id="+theDevice.id)
}

func TestP23DeviceFormsAndApplicationForms(t *testing.T) {
	s := startFull(t, nil)
	app := login(t, s, "app")
	app.subscribed(2, allEvents, anyCommand)
	device := enter(t, s, theDevice)
	device.subscribed(1, "iot-2/cmd/+/fmt/+")
	device.sent("iot-2/evt/t/fmt/json", "21.5")
	if g := app.event(); g.topic != "iot-2/type/kiln/id/K-2/evt/t/fmt/json" || g.payload != "21.5" || g.qos != 1 {
		t.Errorf("got %+v, want the long form", g)
	}
	other := login(t, s, "other")
	other.sent(kilnReset, "not for K-2")
	other.sent("iot-2/type/kiln/id/K-2/cmd/reset/fmt/text", "for K-2")
	if g := device.event(); g.topic != "iot-2/cmd/reset/fmt/text" || g.payload != "for K-2" || g.qos != 1 {
		t.Errorf("got %+v, want the short form of its own command", g)
	}
	same(t, "application", payloads(app.until(2)), []string{"not for K-2", "for K-2"})
	// An application's event is the device's own for everybody but the device.
	other.sent("iot-2/type/kiln/id/K-2/evt/t/fmt/json", "21.5")
	if g := app.event(); g.topic != "iot-2/type/kiln/id/K-2/evt/t/fmt/json" || g.payload != "21.5" {
		t.Errorf("got %+v, want the same as from the device", g)
	}
	if all := device.take(); len(all) != 0 {
		t.Errorf("got %+v at the device, want nothing", all)
	}
}

func TestP20RetainIsClearedForEveryClass(t *testing.T) {
	s := startFull(t, nil)
	sub := listen(t, s, "sub", 1)
	for _, c := range []struct {
		l     connect
		topic string
	}{
		{own(s, "a:legacy:pub"), kilnTopic}, {kept(s, "A:legacy:pub"), kilnTopic},
		{theDevice, "iot-2/evt/t/fmt/json"}, {theGateway, kilnTopic},
	} {
		pub := enter(t, s, c.l)
		pub.publish(c.topic, []byte(c.l.id), 1, 1, true)
		pub.want(puback(1)...)
		if g := sub.event(); g.retain || g.payload != c.l.id {
			t.Errorf("%s: got %+v, want RETAIN cleared", c.l.id, g)
		}
	}
	if all := listen(t, s, "late", 1).take(); len(all) != 0 {
		t.Errorf("got %+v, want nothing for a new subscriber", all)
	}
}

func TestP28DeviceSubscription51Closes(t *testing.T) {
	s := startFull(t, nil)
	c := enter(t, s, theDevice)
	var filters []string
	for i := range 50 {
		filters = append(filters, fmt.Sprintf("iot-2/cmd/c%d/fmt/+", i))
	}
	c.subscribed(1, filters...)
	c.subscribe(1, 1, "iot-2/cmd/one-more/fmt/+")
	c.wantClosed()
	s.log.wait(t, "rule=subscriptions", "code=154", "id="+theDevice.id)
}

func TestP50GatewaysAreToldInsteadOfHungUpOn(t *testing.T) {
	s := startFull(t, nil)
	sub := listen(t, s, "sub", 1)
	g := enter(t, s, theGateway)
	g.subscribed(0, "iot-2/type/edge/id/G-1/notify")
	told := func(request, topic, typ, id string, rc int) {
		t.Helper()
		e := g.event()
		var n map[string]any
		if err := json.Unmarshal([]byte(e.payload), &n); err != nil || e.topic != "iot-2/type/edge/id/G-1/notify" || e.qos != 0 {
			t.Fatalf("got %+v, %v, want a notice", e, err)
		}
		want := fmt.Sprint(request, topic, typ, id, theGateway.id, rc)
		str := func(k string) any {
			if n[k] == nil {
				return ""
			}
			return n[k]
		}
		if got := fmt.Sprint(n["Request"], n["Topic"], str("Type"), str("Id"), n["Client"], n["RC"]); got != want || n["Message"] == "" || n["Time"] == nil {
			t.Errorf("got %s, want %s", e.payload, want)
		}
	}
	for qos := range byte(3) {
		g.publish("iot-2/evt/t/fmt/json", []byte("x"), qos, 1, false)
		told("publish", "iot-2/evt/t/fmt/json", "", "", 276)
		switch qos {
		case 1:
			g.want(puback(1)...)
		case 2:
			g.want(0x50, 2, 0, 1)
			g.send([]byte{0x62, 2, 0, 1})
			g.want(0x70, 2, 0, 1)
		}
	}
	g.publish("iot-2/type/kiln/id/K-9/evt/t/fmt/json", []byte("x"), 1, 2, false)
	told("publish", "iot-2/type/kiln/id/K-9/evt/t/fmt/json", "kiln", "K-9", 180)
	g.want(puback(2)...)
	g.subscribe(3, 1, allEvents, anyCommand)
	told("subscribe", allEvents, "", "", 276)
	g.want(0x90, 4, 0, 3, 1, 1)
	sub.wantOnly(s) // nothing of it was delivered
	login(t, s, "app").sent(kilnReset, "still")
	if e := g.event(); e.payload != "still" || e.topic != kilnReset {
		t.Errorf("got %+v, want the command: the good filter holds", e)
	}
	g.publish(kilnTopic, make([]byte, wiotp.MaxPayload+1), 1, 1, false)
	g.wantClosed()
	s.log.wait(t, "rule=max_payload", "code=287", "id="+theGateway.id)
}

func TestP24GatewayRegistersWhatItSpeaksFor(t *testing.T) {
	s := startFull(t, func(cfg *localplatform.Config) { cfg.Unregistered = localplatform.AcceptUnregistered })
	sub := listen(t, s, "sub", 1)
	g := enter(t, s, theGateway)
	for range 2 {
		g.sent("iot-2/type/valve/id/V-1/evt/t/fmt/json", "x")
		if e := sub.event(); e.payload != "x" {
			t.Errorf("got %+v, want the event", e)
		}
	}
	if n := s.Stats().Unregistered[localplatform.Device{Type: "valve", ID: "V-1"}]; n != 1 {
		t.Errorf("got %d events of an unregistered device, want 1: it is registered then", n)
	}
}

func TestP25PlusInEveryPlaceOfEveryKind(t *testing.T) {
	s := startFull(t, nil)
	enter(t, s, theDevice)
	login(t, s, "app")
	pub := login(t, s, "pub")
	for i, c := range []struct {
		filters []string
		topic   string
	}{
		{[]string{kilnReset, anyCommand, "iot-2/type/+/id/K-1/cmd/reset/fmt/json", "iot-2/type/kiln/id/+/cmd/reset/fmt/json",
			"iot-2/type/kiln/id/K-1/cmd/+/fmt/json", "iot-2/type/kiln/id/K-1/cmd/reset/fmt/+"}, kilnReset},
		{[]string{"iot-2/type/kiln/id/K-2/mon", "iot-2/type/+/id/K-2/mon", "iot-2/type/kiln/id/+/mon", anyDevice}, "iot-2/type/kiln/id/K-2/mon"},
		{[]string{"iot-2/app/app/mon", anyApp}, "iot-2/app/app/mon"},
	} {
		for j, filter := range c.filters {
			sub := login(t, s, fmt.Sprintf("sub-%d-%d", i, j))
			sub.subscribed(0, filter)
			pub.sent(kilnReset, "x")
			pub.sent(kilnTopic, "x") // an event: for none of them
			n := 0
			for _, g := range sub.take() {
				if g.topic == c.topic {
					n++
				} else if !strings.HasPrefix(g.topic, "iot-2/app/") || c.topic == kilnReset {
					t.Errorf("%s: got %s", filter, g.topic)
				}
			}
			if n != 1 {
				t.Errorf("%s: got %d messages on %s, want 1", filter, n, c.topic)
			}
		}
	}
	for _, filter := range []string{"iot-2/type/kiln/id/K-1/mon/+", "iot-2/type/k+/id/K-1/mon", "iot-2/app/a+/mon", "iot-2/app/+/mon/", "iot-2/+/app/mon",
		"iot-2/type/+/id/+/cmd/r+/fmt/+", "iot-2/type/+/id/+/notify", "iot-2/cmd/+/fmt/+"} {
		unsubscribable(t, s, "filter", "276", filter)
	}
	for _, filter := range []string{"iot-2/type/+/id/+/intf/+/evt/state", "iot-2/type/+/id/+/err/data", "iot-2/thing/type/+/id/+/intf/+/evt/state",
		"iot-2/thing/type/+/id/+/err/data", "iot-2/intf/+/rule/+/evt/trigger", "iot-2/intf/+/rule/+/err/data"} {
		login(t, s, "later").subscribed(1, filter)
	}
	device := enter(t, s, theDevice)
	device.subscribed(1, "iotdm-1/#", "iotdm-1/mgmt/+", "iot-2/cmd/+/fmt/json", "iot-2/cmd/x/fmt/+")
	for _, filter := range []string{"iot-2/#", "iot-2/evt/+/fmt/+", anyCommand, anyDevice} {
		device := enter(t, s, theDevice)
		device.subscribe(1, 1, filter)
		device.wantClosed()
	}
}

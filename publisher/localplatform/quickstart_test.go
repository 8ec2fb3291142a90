package localplatform_test

import (
	"regexp"
	"testing"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

const quickTopic = "iot-2/type/kiln/id/K-1/evt/temperature/fmt/json" // of the same name as one of the organisation

func TestP41WhatQuickstartRefuses(t *testing.T) {
	s := startFull(t, nil)
	for _, id := range []string{"A:quickstart:app", "A:quickstart:app:1", "g:quickstart:edge:G-1"} {
		refused(t, s, connect{id: id}, 5)
		refused(t, s, connect{id: id, persistent: true}, 5)
	}
	for name, do := range map[string]func(*raw){
		"command":            func(c *raw) { c.publish(kilnReset, []byte("x"), 0, 0, false) },
		"QoS 1":              func(c *raw) { c.publish(quickTopic, []byte("x"), 1, 1, false) },
		"command subscribed": func(c *raw) { c.subscribe(1, 0, "iot-2/type/kiln/id/K-1/cmd/+/fmt/+") },
		"any application":    func(c *raw) { c.subscribe(1, 0, anyApp) },
		"#":                  func(c *raw) { c.subscribe(1, 0, "iot-2/#") },
	} {
		t.Run(name, func(t *testing.T) {
			id := "a:quickstart:" + regexp.MustCompile(`\W`).ReplaceAllString(name, "_")
			c := enter(t, s, connect{id: id})
			do(c)
			c.wantClosed()
			code := "code=276"
			if name == "QoS 1" {
				code = "code=291"
			}
			s.log.wait(t, "msg=connection closed", code, "id="+id)
		})
	}
}

func TestP41QuickstartOnlyWhereItIsServed(t *testing.T) {
	s := start(t, nil)
	refused(t, s, connect{id: "a:quickstart:app"}, 5)
}

func TestP42QuickstartWildcards(t *testing.T) {
	for _, rule := range []wiotp.Wildcards{wiotp.DocumentWildcards, wiotp.ServerWildcards} {
		s := startFull(t, func(cfg *localplatform.Config) { cfg.QuickstartWildcards = rule })
		for _, c := range []struct {
			filter           string
			document, server bool
		}{
			{"iot-2/type/kiln/id/K-1/evt/+/fmt/+", true, true},
			{"iot-2/type/+/id/K-1/evt/+/fmt/+", false, true},
			{"iot-2/type/kiln/id/+/evt/+/fmt/+", true, false},
			{allEvents, false, false},
			{"iot-2/type/+/id/K-1/mon", false, true},
			{"iot-2/type/kiln/id/+/mon", true, false},
		} {
			sub := enter(t, s, connect{id: "a:quickstart:sub"})
			sub.subscribe(1, 0, c.filter)
			if may := map[wiotp.Wildcards]bool{wiotp.DocumentWildcards: c.document, wiotp.ServerWildcards: c.server}[rule]; may {
				sub.want(0x90, 3, 0, 1, 0)
			} else {
				sub.wantClosed()
			}
		}
		s.log.wait(t, "rule=quickstart_wildcards", "code=276")
	}
}

func TestP43QuickstartIsAWorldOfItsOwn(t *testing.T) {
	s := startFull(t, nil)
	inside := login(t, s, "app")
	inside.subscribed(1, allEvents, anyApp, anyDevice)
	inside.take() // its own status
	quick := enter(t, s, connect{id: "a:quickstart:app"})
	quick.subscribe(1, 1, "iot-2/type/kiln/id/K-1/evt/+/fmt/+", "iot-2/type/kiln/id/+/mon", "iot-2/app/app/mon")
	quick.want(0x90, 5, 0, 1, 0, 0, 0) // QoS 0 only
	if g := quick.event(); g.topic != "iot-2/app/app/mon" || !g.retain || status(t, g)["ClientID"] != "a:quickstart:app" {
		t.Errorf("got %+v, want the status of its own world", g)
	}

	device := enter(t, s, connect{id: "d:quickstart:kiln:K-1"}) // no credentials, not registered
	if g := quick.event(); status(t, g)["ClientID"] != "d:quickstart:kiln:K-1" || g.retain {
		t.Errorf("got %+v, want the device's Connect", g)
	}
	device.publish("iot-2/evt/temperature/fmt/json", []byte("quick"), 0, 0, false)
	if g := quick.event(); g.topic != quickTopic || g.payload != "quick" {
		t.Errorf("got %+v, want the device's event", g)
	}
	login(t, s, "pub").sent(kilnTopic, "inside")
	enter(t, s, theDevice).ping()
	if all := quick.take(); len(all) != 0 {
		t.Errorf("got %v in quickstart, want nothing from the organisation", payloads(all))
	}
	for _, g := range inside.take() {
		if g.payload == "quick" || g.topic == "iot-2/type/kiln/id/K-1/mon" {
			t.Errorf("got %+v in the organisation, want nothing from quickstart", g)
		}
	}

	// A device in another format, and one that subscribes, are hung up on; its status goes with it.
	device.publish("iot-2/evt/temperature/fmt/text", []byte("x"), 0, 0, false)
	device.wantClosed()
	if g := quick.event(); status(t, g)["Action"] != "Disconnect" {
		t.Errorf("got %+v, want Disconnect", g)
	}
	late := enter(t, s, connect{id: "a:quickstart:late"})
	late.subscribed(0, "iot-2/type/kiln/id/+/mon")
	if all := late.take(); len(all) != 0 {
		t.Errorf("got %v, want the status cleared", payloads(all))
	}
	device = enter(t, s, connect{id: "d:quickstart:kiln:K-1"})
	device.subscribe(1, 0, "iot-2/cmd/+/fmt/+")
	device.wantClosed()

	// No state outlasts a connection.
	k := enter(t, s, connect{id: "a:quickstart:kept", persistent: true})
	k.subscribed(0, "iot-2/type/kiln/id/K-1/evt/+/fmt/+")
	k.leave(s, "a:quickstart:kept")
	enter(t, s, connect{id: "a:quickstart:kept", persistent: true})
}

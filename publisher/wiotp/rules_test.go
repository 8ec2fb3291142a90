package wiotp_test

import (
	"errors"
	"strings"
	"testing"

	"legacybridge/publisher/wiotp"
)

var (
	app        = id("a:abc123:app")
	device     = id("d:abc123:kiln:K-1")
	gateway    = id("g:abc123:edge:G-1")
	quickApp   = id("a:quickstart:app")
	quickThing = id("d:quickstart:kiln:K-1")
)

func id(s string) wiotp.ClientID {
	id, err := wiotp.ParseClientID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func TestDevicesPublishShortAndAreSeenLong(t *testing.T) {
	topic, err := device.ParseTopic("iot-2/evt/temperature/fmt/json")
	if want := "iot-2/type/kiln/id/K-1/evt/temperature/fmt/json"; err != nil || topic.String() != want {
		t.Errorf("got %s, %v, want %s", topic, err, want)
	}
	if got, want := device.Name(topic), "iot-2/evt/temperature/fmt/json"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	command, err := app.ParseTopic("iot-2/type/kiln/id/K-1/cmd/reset/fmt/text")
	if got, want := device.Name(command), "iot-2/cmd/reset/fmt/text"; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if got, want := gateway.Name(command), "iot-2/type/kiln/id/K-1/cmd/reset/fmt/text"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	status := wiotp.Topic{Kind: wiotp.DeviceStatus, Type: "kiln", ID: "K-1"}
	if got := device.Name(status); got != "iot-2/mon" {
		t.Errorf("got %s, want iot-2/mon", got)
	}
	if got, want := app.Name(wiotp.Topic{Kind: wiotp.AppStatus, App: "x"}), "iot-2/app/x/mon"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhoPublishesWhat(t *testing.T) {
	const event, command = "iot-2/type/kiln/id/K-1/evt/t/fmt/json", "iot-2/type/kiln/id/K-1/cmd/t/fmt/json"
	for _, c := range []struct {
		topic string
		may   string // letters of the classes; q and e are application and device on Quickstart
	}{
		{event, "agq"},
		{command, "a"},
		{"iot-2/evt/t/fmt/json", "de"},
		{"iot-2/evt/t/fmt/text", "d"},
		{"iot-2/cmd/t/fmt/json", ""},
		{"iot-2/type/kiln/id/K-1/mon", ""}, {"iot-2/mon", ""}, {"iot-2/app/app/mon", ""}, {"iot-2/type/edge/id/G-1/notify", ""},
		{"iotdevice-1/response", "d"}, {"iotdevice-1/notify", "d"}, {"iotdevice-1/device/update/location", "d"},
		{"iotdevice-1/add/diag/log", "d"}, {"iotdevice-1/clear/diag/log", "d"}, {"iotdevice-1/mgmt/manage", "d"},
		{"iotdevice-1/type/kiln/id/K-1/mgmt/manage", "g"},
		{"iotdevice-1/mgmt", ""}, {"iotdevice-1/mgmt/", ""}, {"iotdevice-1/mgmt/a/b", ""}, {"iotdm-1/response", ""},
		{"iot-2/type/kiln/id/K-1/intf/x/evt/state", ""},
		{"iot-2/evt//fmt/json", ""}, {"iot-2/evt/t/fmt/json/", ""}, {"/iot-2/evt/t/fmt/json", ""}, {"iot-2/evt/+/fmt/json", ""},
	} {
		for letter, who := range map[string]wiotp.ClientID{"a": app, "d": device, "g": gateway, "q": quickApp, "e": quickThing} {
			_, err := who.ParseTopic(c.topic)
			if want := strings.Contains(c.may, letter); (err == nil) != want {
				t.Errorf("%s on %s: got %v, want allowed %v", who, c.topic, err, want)
			}
			if r, ok := errors.AsType[*wiotp.Refusal](err); err != nil && (!ok || r.Code != wiotp.BadTopic || r.Why == "") {
				t.Errorf("%s on %s: got %#v, want 276 with a reason", who, c.topic, err)
			}
		}
	}
}

func TestWhoSubscribesToWhat(t *testing.T) {
	for _, c := range []struct{ filter, may string }{
		{"iot-2/type/+/id/+/evt/+/fmt/+", "a"}, {"iot-2/type/+/id/+/cmd/+/fmt/+", "ag"}, {"iot-2/type/kiln/id/K-1/cmd/+/fmt/+", "ag"},
		{"iot-2/type/+/id/+/mon", "ag"}, {"iot-2/app/+/mon", "a"}, {"iot-2/app/app/mon", "aq"},
		{"iot-2/cmd/+/fmt/+", "d"}, {"iot-2/cmd/reset/fmt/json", "d"}, {"iot-2/evt/+/fmt/+", ""}, {"iot-2/mon", "d"}, {"iot-2/notify", "d"},
		{"iot-2/type/edge/id/G-1/notify", "g"}, {"iot-2/type/edge/id/G-2/notify", ""}, {"iot-2/type/+/id/+/notify", ""},
		{"iotdm-1/#", "dg"}, {"iotdm-1/mgmt/+", "dg"}, {"iotdm-1/a#", ""}, {"iotdm-1/#/a", ""}, {"iotdm-1//#", ""}, {"iotdm-1/a+/b", ""}, {"iotdm-1", ""},
		{"iot-2/type/+/id/+/intf/+/evt/state", "a"}, {"iot-2/type/+/id/+/err/data", "a"},
		{"iot-2/thing/type/+/id/+/intf/+/evt/state", "a"}, {"iot-2/thing/type/+/id/+/err/data", "a"},
		{"iot-2/intf/+/rule/+/evt/trigger", "a"}, {"iot-2/intf/i/rule/r/err/data", "a"}, {"iot-2/intf/i/rule/r/err/+", ""},
		{"iot-2/type/kiln/id/K-1/evt/+/fmt/+", "aq"},
		{"#", ""}, {"iot-2/#", ""}, {"+", ""},
	} {
		for letter, who := range map[string]wiotp.ClientID{"a": app, "d": device, "g": gateway, "q": quickApp, "e": quickThing} {
			f, err := who.ParseFilter(c.filter, wiotp.DocumentWildcards)
			if want := strings.Contains(c.may, letter); (err == nil) != want {
				t.Errorf("%s on %s: got %v, want allowed %v", who, c.filter, err, want)
			}
			if err == nil && who.Class != wiotp.Device && f.String() != c.filter {
				t.Errorf("got %s, want %s", f, c.filter)
			}
		}
	}
}

func TestDevicesSeeTheirOwnCommandsOnly(t *testing.T) {
	f, err := device.ParseFilter("iot-2/cmd/+/fmt/+", wiotp.DocumentWildcards)
	if err != nil {
		t.Fatal(err)
	}
	mine := wiotp.Topic{Kind: wiotp.Command, Type: "kiln", ID: "K-1", Name: "x", Format: "json"}
	other := mine
	other.ID = "K-2"
	if !f.Matches(mine) || f.Matches(other) {
		t.Errorf("got %v and %v, want the own command only", f.Matches(mine), f.Matches(other))
	}
}

func TestQuickstartWildcardsAtBothReadings(t *testing.T) {
	for _, c := range []struct {
		filter           string
		document, server bool
	}{
		{"iot-2/type/kiln/id/K-1/evt/+/fmt/+", true, true},
		{"iot-2/type/+/id/K-1/evt/+/fmt/+", false, true},
		{"iot-2/type/kiln/id/+/evt/+/fmt/+", true, false},
		{"iot-2/type/+/id/+/evt/+/fmt/+", false, false},
		{"iot-2/type/+/id/K-1/mon", false, true},
		{"iot-2/type/kiln/id/+/mon", true, false},
		{"iot-2/app/+/mon", false, false},
		{"iot-2/app/app/mon", true, true},
		{"iot-2/type/kiln/id/K-1/cmd/+/fmt/+", false, false},
	} {
		for w, want := range map[wiotp.Wildcards]bool{wiotp.DocumentWildcards: c.document, wiotp.ServerWildcards: c.server} {
			_, err := quickApp.ParseFilter(c.filter, w)
			if (err == nil) != want {
				t.Errorf("%s, %s: got %v, want allowed %v", c.filter, w, err, want)
			}
			if r, ok := errors.AsType[*wiotp.Refusal](err); ok && !strings.HasPrefix(r.Rule, "quickstart") {
				t.Errorf("%s: got rule %s, want quickstart", c.filter, r.Rule)
			}
		}
	}
}

func TestRolesByTheMatrix(t *testing.T) {
	for name, want := range map[string]string{
		"standard": "ErCR", "operations": "rC", "backend": "ErCR", "processor": "rC", "visualization": "r", "device": "ErR",
	} {
		role, err := wiotp.ParseRole(name)
		if err != nil || role.String() != name {
			t.Fatalf("got %v, %v, want %s", role, err, name)
		}
		r := wiotp.Rights{ID: app, Role: role}
		_, event := r.Publish("iot-2/type/kiln/id/K-1/evt/t/fmt/json")
		_, events := r.Subscribe("iot-2/type/+/id/+/evt/+/fmt/+")
		_, command := r.Publish("iot-2/type/kiln/id/K-1/cmd/t/fmt/json")
		_, commands := r.Subscribe("iot-2/type/+/id/+/cmd/+/fmt/+")
		for letter, err := range map[string]error{"E": event, "r": events, "C": command, "R": commands} {
			if (err == nil) != strings.Contains(want, letter) {
				t.Errorf("%s %s: got %v, want %v", name, letter, err, strings.Contains(want, letter))
			}
			if refusal, ok := errors.AsType[*wiotp.Refusal](err); err != nil && (!ok || refusal.Code != wiotp.BadTopic || !strings.Contains(refusal.Why, "Standard")) {
				t.Errorf("got %#v, want 276 and the roles that may", err)
			}
		}
		if _, err := r.Subscribe("iot-2/type/+/id/+/mon"); err != nil {
			t.Errorf("%s: got %v, want status for every role", name, err)
		}
	}
	if _, err := wiotp.ParseRole("root"); err == nil {
		t.Error("got nil, want an error that names the roles")
	}
	if got := len(wiotp.RoleNames()); got != 6 {
		t.Errorf("got %d roles, want 6", got)
	}
	// The role for a bridge must not list devices, and the registry needs it.
	if wiotp.DeviceRole.May(wiotp.ViewDevices) || !wiotp.Backend.May(wiotp.ViewDevices|wiotp.ManageTypes) || wiotp.Processor.May(wiotp.ManageDevices) {
		t.Error("got other rights on the registry than the matrix")
	}
}

func TestResourceGroup(t *testing.T) {
	group, err := wiotp.ParseGroup([]string{"kiln/*", "meter/EM-?"})
	if err != nil {
		t.Fatal(err)
	}
	for dev, want := range map[string]bool{"kiln/K-1": true, "kiln/": true, "kilns/K-1": false, "meter/EM-1": true, "meter/EM-10": false, "x/y": false} {
		typ, id, _ := strings.Cut(dev, "/")
		if got := group.Has(typ, id); got != want {
			t.Errorf("%s: got %v, want %v", dev, got, want)
		}
	}
	r := wiotp.Rights{ID: app, Group: group}
	_, err = r.Publish("iot-2/type/press/id/P-1/evt/t/fmt/json")
	if refusal, ok := errors.AsType[*wiotp.Refusal](err); !ok || refusal.Code != wiotp.NotAuthorized {
		t.Errorf("got %v, want 180", err)
	}
	if r.Sees(wiotp.Topic{Kind: wiotp.Event, Type: "press", ID: "P-1"}) || !r.Sees(wiotp.Topic{Kind: wiotp.Event, Type: "kiln", ID: "K-1"}) {
		t.Error("got a message outside the group, want none")
	}
	for _, bad := range []string{"", "kiln", "/", "kiln/", "/K", "a/b/c", "k[a]/b", `k\*/b`, "kiln/K 1"} {
		if _, err := wiotp.ParseGroup([]string{bad}); err == nil {
			t.Errorf("%q: got nil, want an error", bad)
		}
	}
	if _, err := wiotp.ParseGroup(nil); err == nil {
		t.Error("got nil, want an error for an empty list")
	}
}

package publisher

import (
	"fmt"
	"slices"
	"testing"
)

func TestCommandsOfOwnDevicesAloneAreSubscribedTo(t *testing.T) {
	own := []Address{{"fan", "drive", "FAN-3"}, {"scale", "scale", "SCL-1"}}
	topics, err := NewCommandTopics("", own)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"iot-2/type/drive/id/FAN-3/cmd/+/fmt/+", "iot-2/type/scale/id/SCL-1/cmd/+/fmt/+"}; !slices.Equal(topics.Filters(), want) {
		t.Errorf("got %q, want %q", topics.Filters(), want)
	}
	for topic, want := range map[string]string{
		"iot-2/type/drive/id/FAN-3/cmd/stop/fmt/json": "fan stop", "iot-2/type/drive/id/FAN-3/cmd/a b/fmt/x": "fan a b",
		"iot-2/type/drive/id/FAN-4/cmd/stop/fmt/json": "", "iot-2/type/scale/id/FAN-3/cmd/stop/fmt/json": "", "iot-2/type/drive/id/FAN-3/evt/stop/fmt/json": "",
		"iot-2/type/drive/id/FAN-3/cmd/stop/fmt/json/x": "", "iot-2/type/drive/id/FAN-3/cmd//fmt/json": "", "": "",
	} {
		got := ""
		if device, command, ok := topics.Find(topic); ok {
			got = device + " " + command
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", topic, got, want)
		}
	}
	if got := topics.Topic("drive", "FAN-3", "stop", "json"); got != "iot-2/type/drive/id/FAN-3/cmd/stop/fmt/json" {
		t.Errorf("got %s", got)
	}
}

// The platform ends a session with more than 500 subscriptions.
func TestManyDevicesAreSubscribedToByType(t *testing.T) {
	devices := func(types, each int) (all []Address) {
		for i := range types * each {
			all = append(all, Address{fmt.Sprint("d", i), fmt.Sprint("type-", i%types), fmt.Sprint("id-", i)})
		}
		return all
	}
	for _, c := range []struct {
		devices []Address
		filters int
		first   string
	}{
		{devices(1, 400), 400, "iot-2/type/type-0/id/id-0/cmd/+/fmt/+"},
		{devices(1, 401), 1, "iot-2/type/type-0/id/+/cmd/+/fmt/+"},
		{devices(10, 100), 10, "iot-2/type/type-0/id/+/cmd/+/fmt/+"},
		{devices(500, 1), 1, "iot-2/type/+/id/+/cmd/+/fmt/+"},
	} {
		topics, err := NewCommandTopics("", c.devices)
		if err != nil {
			t.Fatal(err)
		}
		if f := topics.Filters(); len(f) != c.filters || f[0] != c.first {
			t.Errorf("%d devices: got %d filters, the first %s, want %d, %s", len(c.devices), len(f), f[0], c.filters, c.first)
		}
	}
	if _, err := NewCommandTopics("x/{type}-{id}/{command}", devices(1, 401)); err == nil {
		t.Error("a template that cannot be subscribed to as a whole was taken")
	}
}

func TestTemplatesOfCommandTopics(t *testing.T) {
	for template, good := range map[string]bool{
		DefaultCommands: true, "{type}/{id}/{command}": true, "a/{type}-{id}/{command}/{format}": true,
		"{id}/{command}": false, "{type}/{command}": false, "{type}/{id}": false, "{type}/{id}/x{command}": false, "{type}/{id}/{command}{format}": false,
		"{type}/{id}/{command}/#": false, "$x/{type}/{id}/{command}": false, "{type}/{id}/{id}/{command}": false, "{type}/{id}/{command}/{event}": false,
	} {
		if err := CheckCommands(template); (err == nil) != good {
			t.Errorf("%s: %v", template, err)
		}
	}
}

package wiotp_test

import (
	"errors"
	"strings"
	"testing"

	"legacybridge/publisher/wiotp"
)

func TestFiltersOfTheTable(t *testing.T) {
	for _, c := range []struct {
		s    string
		want wiotp.Filter
	}{
		{"iot-2/type/kiln/id/K-1/evt/t/fmt/json", wiotp.Filter{Kind: wiotp.Event, Type: "kiln", ID: "K-1", Name: "t", Format: "json"}},
		{"iot-2/type/+/id/+/evt/+/fmt/+", wiotp.Filter{Kind: wiotp.Event, Type: "+", ID: "+", Name: "+", Format: "+"}},
		{"iot-2/type/+/id/K-1/cmd/+/fmt/json", wiotp.Filter{Kind: wiotp.Command, Type: "+", ID: "K-1", Name: "+", Format: "json"}},
		{"iot-2/type/+/id/+/mon", wiotp.Filter{Kind: wiotp.DeviceStatus, Type: "+", ID: "+"}},
		{"iot-2/app/+/mon", wiotp.Filter{Kind: wiotp.AppStatus, App: "+"}},
		{"iot-2/app/plant-7/mon", wiotp.Filter{Kind: wiotp.AppStatus, App: "plant-7"}},
	} {
		got, err := wiotp.ParseFilter(c.s)
		if err != nil || got != c.want {
			t.Errorf("got %+v, %v, want %+v", got, err, c.want)
		}
		if got.String() != c.s {
			t.Errorf("got %q, want %q", got, c.s)
		}
	}
}

// badFilters is what an application may subscribe to nowhere.
var badFilters = []string{
	"", "#", "+", "iot-2/#", "iot-2/type/+/id/+/evt/+/fmt/#", "iot-2/type/+/id/+/evt/#",
	"iot-2/+/kiln/id/K/evt/t/fmt/json", "+/type/kiln/id/K/evt/t/fmt/json",
	"iot-2/type/kiln/id/K/+/t/fmt/json", "iot-2/type/kiln/id/K/evt/t/+/json",
	"iot-2/type/ki+/id/K/evt/t/fmt/json", "iot-2/type/kiln/id/+1/evt/t/fmt/json",
	"iot-2/type/kiln/id/K/evt/t+/fmt/json", "iot-2/type/kiln/id/K/evt/t/fmt/++",
	"iot-2/type/kiln/id/K/evt/t/fmt/+/", "iot-2/type/kiln/id/K/evt/t/fmt/+/+",
	"iot-2/type//id/K/evt/t/fmt/json", "iot-2/type/kiln/id/K/mon/", "iot-2/type/kiln/id/K/+",
	"iot-2/app//mon", "iot-2/app/a/b/mon", "iot-2/app/a+/mon", "iot-2/app/mon", "iot-2/app/+",
	"$share/g/iot-2/type/+/id/+/evt/+/fmt/+", "$SharedSubscription/g/iot-2/type/+/id/+/evt/+/fmt/+", "$SYS/+",
	"iot-2/cmd/+/fmt/+", "iot-2/evt/+/fmt/+", "iot-2/type/\xff/id/+/evt/+/fmt/+", "iot-2/type/+/id/+/evt/\xff/fmt/+",
}

func TestOtherFiltersAreRefusedWith276(t *testing.T) {
	for _, s := range badFilters {
		got, err := wiotp.ParseFilter(s)
		if r, ok := errors.AsType[*wiotp.Refusal](err); !ok || r.Code != wiotp.BadTopic || r.Why == "" || r.Rule != "filter" {
			t.Errorf("%q: got %+v, %#v, want a refusal with 276", s, got, err)
		}
	}
}

func FuzzFilter(f *testing.F) {
	const topic = "iot-2/type/kiln/id/K-1/evt/t/fmt/json"
	for _, s := range badFilters {
		f.Add(s, topic)
	}
	for _, s := range []string{topic, "iot-2/type/+/id/+/evt/+/fmt/+", "iot-2/type/+/id/K-2/evt/t/fmt/json",
		"iot-2/type/kiln/id/+/cmd/t/fmt/+", "iot-2/type/kiln/id/+/mon", "iot-2/app/+/mon"} {
		f.Add(s, topic)
		f.Add(s, "iot-2/type/kiln/id/K-2/cmd/t/fmt/json")
	}
	f.Fuzz(func(t *testing.T, s, on string) {
		filter, err := wiotp.ParseFilter(s)
		if err != nil {
			if filter != (wiotp.Filter{}) || err.Error() == "" {
				t.Fatalf("got %+v with %q, want nothing and a reason", filter, err)
			}
			return
		}
		if got := filter.String(); got != s {
			t.Fatalf("got %q, want %q", got, s)
		}
		topic, err := wiotp.ParseTopic(on)
		if err != nil {
			return
		}
		if got, want := filter.Matches(topic), naiveMatch(s, on); got != want {
			t.Fatalf("%q on %q: got %v, want %v", s, on, got, want)
		}
	})
}

// naiveMatch is MQTT's own rule, level by level.
func naiveMatch(filter, topic string) bool {
	f, l := strings.Split(filter, "/"), strings.Split(topic, "/")
	if len(f) != len(l) {
		return false
	}
	for i := range f {
		if f[i] != "+" && f[i] != l[i] {
			return false
		}
	}
	return true
}

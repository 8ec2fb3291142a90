package wiotp_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"legacybridge/publisher/wiotp"
)

func TestTopicsOfTheTable(t *testing.T) {
	for _, c := range []struct {
		s    string
		want wiotp.Topic
	}{
		{"iot-2/type/kiln/id/K-1/evt/temperature/fmt/json", wiotp.Topic{Kind: wiotp.Event, Type: "kiln", ID: "K-1", Name: "temperature", Format: "json"}},
		{"iot-2/type/kiln/id/K-1/cmd/reset/fmt/json", wiotp.Topic{Kind: wiotp.Command, Type: "kiln", ID: "K-1", Name: "reset", Format: "json"}},
		{"iot-2/type/mon/id/mon/evt/mon/fmt/mon", wiotp.Topic{Kind: wiotp.Event, Type: "mon", ID: "mon", Name: "mon", Format: "mon"}},
		{"iot-2/type/a/id/b/evt/Füllstand 1/fmt/x", wiotp.Topic{Kind: wiotp.Event, Type: "a", ID: "b", Name: "Füllstand 1", Format: "x"}},
	} {
		got, err := wiotp.ParseTopic(c.s)
		if err != nil || got != c.want {
			t.Errorf("got %+v, %v, want %+v", got, err, c.want)
		}
		if got.String() != c.s {
			t.Errorf("got %q, want %q", got, c.s)
		}
	}
}

// badTopics is what an application may publish on nowhere.
var badTopics = []string{
	"", "x", "iot-2", "/", "iot-2/type/kiln/id/K-1/mon", "iot-2/app/x/mon",
	"/iot-2/type/kiln/id/K-1/evt/t/fmt/json",
	"iot-2/type/kiln/id/K-1/evt/t/fmt/json/",
	"iot-2/type/kiln/id/K-1/evt/t/fmt/json/x",
	"iot-2/type/kiln/id/K-1/evt/t/fmt",
	"iot-2/type/kiln/id/K-1/evt/t/fmt/",
	"iot-2/type/kiln/id/K-1/evt//fmt/json",
	"iot-2/type//id/K-1/evt/t/fmt/json",
	"iot-2/type/kiln/id//evt/t/fmt/json",
	"IOT-2/type/kiln/id/K-1/evt/t/fmt/json",
	"iot-2/Type/kiln/id/K-1/evt/t/fmt/json",
	"iot-2/type/kiln/ID/K-1/evt/t/fmt/json",
	"iot-2/type/kiln/id/K-1/EVT/t/fmt/json",
	"iot-2/type/kiln/id/K-1/evt/t/FMT/json",
	"iot-2/type/kiln/id/K-1/evt/t/json",
	"iot-2/evt/t/fmt/json",
	"iot-2/type/+/id/K-1/evt/t/fmt/json",
	"iot-2/type/kiln/id/K-1/evt/+/fmt/json",
	"iot-2/type/kiln/id/K-1/evt/t/fmt/#",
	"iot-2/type/kiln/id/K-1/evt/t\x00/fmt/json",
	"iot-2/type/kiln/id/K-1/evt/t\x7f/fmt/json",
	"iot-2/type/kiln/id/K-1/evt/t\u0085/fmt/json",
	"iot-2/type/kiln/id/K-1/evt/\ufffe/fmt/json",
	"iot-2/type/kiln/id/K-1/evt/\ufdd0/fmt/json",
	"iot-2/type/kiln/id/K-1/evt/\xff/fmt/json",
	"iot-2/type/kil n/id/K-1/evt/t/fmt/json",
	"iot-2/type/kiln/id/K-1" + strings.Repeat("x", 36) + "/evt/t/fmt/json",
	"iot-2/type/kiln/id/K-1/evt/t/fmt/" + strings.Repeat("x", 65535),
	"$SYS/broker/version", "iotdm-1/response",
}

func TestOtherTopicsAreRefusedWith276(t *testing.T) {
	for _, s := range badTopics {
		got, err := wiotp.ParseTopic(s)
		r, ok := errors.AsType[*wiotp.Refusal](err)
		if !ok || r.Code != wiotp.BadTopic || r.Why == "" || r.Rule != "topic" {
			t.Errorf("%.80q: got %+v, %#v, want a refusal with 276", s, got, err)
		}
	}
}

func TestOwnTopicsAreStricterThanThePlatform(t *testing.T) {
	good := wiotp.Topic{Type: "kiln", ID: "K-1", Name: "t", Format: "json"}
	if err := good.Validate(); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	for _, bad := range []wiotp.Topic{
		{Type: "", ID: "K", Name: "t", Format: "json"},
		{Type: "kiln", ID: "K", Name: "Füllstand", Format: "json"},
		{Type: "kiln", ID: "K", Name: "t", Format: "a b"},
		{Type: "kiln", ID: "K", Name: strings.Repeat("x", 37), Format: "json"},
		{Kind: wiotp.DeviceStatus, Type: "kiln", ID: "K", Name: "t", Format: "json"},
	} {
		if err := bad.Validate(); err == nil {
			t.Errorf("%+v: got nil, want a refusal", bad)
		}
	}
}

func TestTopicBytesBeyond200CountAsPayload(t *testing.T) {
	for _, c := range []struct{ topic, payload, want int }{
		{0, 0, 0}, {200, 131072, 131072}, {201, 131072, 131073}, {300, 131072 - 100, 131072}, {65535, 1, 65336},
	} {
		if got := wiotp.PayloadSize(c.topic, c.payload); got != c.want {
			t.Errorf("PayloadSize(%d, %d): got %d, want %d", c.topic, c.payload, got, c.want)
		}
	}
}

func FuzzTopic(f *testing.F) {
	for _, s := range badTopics {
		f.Add(s)
	}
	f.Add("iot-2/type/kiln/id/K-1/evt/temperature/fmt/json")
	f.Add("iot-2/type/kiln/id/K-1/cmd/reset/fmt/json")
	f.Fuzz(func(t *testing.T, s string) {
		topic, err := wiotp.ParseTopic(s)
		if err != nil {
			if topic != (wiotp.Topic{}) || err.Error() == "" {
				t.Fatalf("got %+v with %q, want nothing and a reason", topic, err)
			}
			return
		}
		if got := topic.String(); got != s {
			t.Fatalf("got %q, want %q", got, s)
		}
		if levels := strings.Split(s, "/"); len(levels) != 9 || levels[2] != topic.Type || levels[4] != topic.ID ||
			levels[6] != topic.Name || levels[8] != topic.Format || strings.ContainsAny(s, "+#\x00") {
			t.Fatalf("got %+v from %q", topic, s)
		}
	})
}

func BenchmarkParseTopic(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wiotp.ParseTopic("iot-2/type/kiln/id/KILN-0042/evt/temperature/fmt/json"); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleTopic() {
	t := wiotp.Topic{Kind: wiotp.Event, Type: "kiln", ID: "K-1", Name: "temperature", Format: "json"}
	fmt.Println(t, t.Validate())
	t.Name = ""
	fmt.Println(t.Validate())
	// Output:
	// iot-2/type/kiln/id/K-1/evt/temperature/fmt/json <nil>
	// event id is empty
}

// A device's topic of the full length has no long form that MQTT could carry.
func TestTopicWhoseLongFormIsTooLongIsRefused(t *testing.T) {
	id := wiotp.ClientID{Class: wiotp.Device, Org: "legacy", Type: "kiln", ID: "K-1"}
	for length, good := range map[int]bool{wiotp.MaxTopic: false, wiotp.MaxTopic - len("type/kiln/id/K-1/"): true, wiotp.MaxTopic - len("type/kiln/id/K-1/") + 1: false} {
		topic := "iot-2/evt//fmt/json"
		topic = strings.Replace(topic, "//", "/"+strings.Repeat("e", length-len(topic))+"/", 1)
		got, err := id.ParseTopic(topic)
		if (err == nil) != good || good && len(got.String()) > wiotp.MaxTopic {
			t.Errorf("%d bytes: got %v, want good %v", length, err, good)
		}
	}
}

// It is on the way of every message that the embedded platform passes on.
func TestTopicIsBuiltInOneAllocation(t *testing.T) {
	topic := wiotp.Topic{Kind: wiotp.Event, Type: "press", ID: "PRS-7", Name: "cycle", Format: "json"}
	if got := testing.AllocsPerRun(100, func() { _ = topic.String() }); got > 1 {
		t.Errorf("got %v allocations, want 1", got)
	}
}

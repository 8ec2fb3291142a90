package publisher

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
	"legacybridge/publisher/wiotp"
)

// FuzzTopicEncode: whatever a device, a file or a configuration calls itself, what passes the gate has a topic that means
// exactly that and nothing else, within the platform's limits, and a payload that is JSON with the id as its last member.
func FuzzTopicEncode(f *testing.F) {
	f.Add("press", "P-7", "status", "json", "", `{"d":{"n":1}}`, uint16(200), byte(0))
	f.Add("+", "#", "a/b", "\x00", "-p", `{}`, uint16(90), byte(1))
	f.Add("$SYS", "../x", "é", "json\n", "#", `{"n":"é\u0000"}`, uint16(0), byte(2))
	f.Add(strings.Repeat("t", 36), strings.Repeat("i", 37), "e", "bin", "", "\xff\x00", uint16(300), byte(3))
	f.Add("t", "i", "e", "json", "-part", `{"d":{"s":"`+strings.Repeat("x", 400)+`"}}`, uint16(300), byte(4))
	templates := []string{"", "plant/{type}/{id}/{event}", "{id}", "{type}-{id}/x/{event}.{format}"}
	f.Fuzz(func(t *testing.T, typ, id, event, format, suffix, payload string, limit uint16, choice byte) {
		cfg := Config{MaxPayload: 64 + int(limit), Topic: templates[int(choice)%len(templates)]}
		ev := mapping.Event{Device: "d", Type: typ, ID: id, Name: event, Format: format, QoS: 1, Suffix: suffix, Payload: []byte(payload),
			Number: mapping.NumberForm(choice >> 2 & 1), TooLarge: mapping.TooLarge(choice >> 3 % 3)}
		if ev.Number == mapping.AsMember && (!json.Valid(ev.Payload) || payload[0] != '{' || !strings.HasSuffix(payload, "}")) {
			text, _ := json.Marshal(payload) // mapping makes JSON objects, whatever the text is
			ev.Payload = append(append([]byte(`{"s":`), text...), '}')
		}
		gate := NewGate(cfg)
		out := gate.Admit(mapping.Output{Events: []mapping.Event{ev}, Counts: []mapping.Count{{Device: "d", Read: 1}}})
		if (len(out.Events) == 0) != (len(out.Dead) == 1) || len(out.Dead) > 1 {
			t.Fatalf("%d events and %d dead letters of one event", len(out.Events), len(out.Dead))
		}
		for i := range out.Dead {
			if d := &out.Dead[i]; d.Code == "" || d.Why == "" || len(d.Why) > 1000 || d.Units != 1 {
				t.Fatalf("a dead letter without a reason, or a long one: %+v", d)
			}
		}
		for i := range out.Events {
			e := queue.Entry{Number: 18446744073709551615, First: 18446744073709551615, Event: out.Events[i]}
			topic := string(gate.topic.append(nil, &e.Event))
			whatItMeans(t, topic, cfg.Topic == "", &e.Event)
			sent := encode(&message{first: e}, "7f3c21d0")
			if n := wiotp.PayloadSize(len(topic), len(sent)); n > cfg.MaxPayload {
				t.Fatalf("%d bytes leave, at most %d may", n, cfg.MaxPayload)
			}
			if e.Event.Number == mapping.NoNumber {
				if string(sent) != string(e.Event.Payload) {
					t.Fatalf("%q leaves as %q", e.Event.Payload, sent)
				}
				continue
			}
			var members map[string]json.RawMessage
			if err := json.Unmarshal(sent, &members); err != nil {
				t.Fatalf("%q is no JSON: %v", sent, err)
			}
			if e.Event.Number == mapping.AsMember && !strings.HasSuffix(string(sent), `"id":"7f3c21d0-18446744073709551615"}`) {
				t.Fatalf("the id is not the last member of %q", sent)
			}
		}
	})
}

// whatItMeans takes a topic apart again.
func whatItMeans(t *testing.T, topic string, platform bool, ev *mapping.Event) {
	t.Helper()
	if len(topic) > wiotp.MaxTopic || !utf8.ValidString(topic) || strings.ContainsAny(topic, "+#\x00\n\r") || strings.HasPrefix(topic, "$") {
		t.Fatalf("the topic %q", topic)
	}
	if !platform {
		return
	}
	got, err := wiotp.ParseTopic(topic)
	if err != nil {
		t.Fatalf("the topic %q: %v", topic, err)
	}
	if got.Kind != wiotp.Event || got.Type != ev.Type || got.ID != ev.ID || got.Name != ev.Name || got.Format != ev.Format {
		t.Fatalf("the topic %q means %+v, want that of %q %q %q %q", topic, got, ev.Type, ev.ID, ev.Name, ev.Format)
	}
	if n := strings.Count(topic, "/"); n != 8 {
		t.Fatalf("the topic %q has %d levels, want 9", topic, n+1)
	}
}

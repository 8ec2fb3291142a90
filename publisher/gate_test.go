package publisher

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// sized is an event of exactly that many bytes of payload.
func sized(n int) mapping.Event {
	ev := event("press-7", 1)
	ev.Payload = []byte(`{"x":"` + strings.Repeat("x", n-len(`{"x":""}`)) + `"}`)
	return ev
}

func admit(cfg Config, ev mapping.Event) mapping.Output {
	return NewGate(cfg).Admit(mapping.Output{Events: []mapping.Event{ev}})
}

func TestSizeIsCountedAsTheEventLeavesAlone(t *testing.T) {
	long := "site/" + strings.Repeat("x", 300) + "/{type}/{id}/{event}/{format}" // "press/press-7/cycle/json" makes it 330 bytes
	for _, c := range []struct {
		name  string
		topic string
		shape func(*mapping.Event)
		most  int // largest payload that passes with a limit of 1000
	}{
		{"as it is", "", func(*mapping.Event) {}, 1000},
		{"with an id of 32 characters", "", func(ev *mapping.Event) { ev.Number = mapping.AsMember }, 1000 - 40},
		{"with the brackets of a batch", "", func(ev *mapping.Event) { ev.Batch.Max = 5 }, 998},
		{"with a long topic", long, func(*mapping.Event) {}, 1000 - 130},
		{"with all of it", long, func(ev *mapping.Event) { ev.Batch.Max = 5; ev.Number = mapping.AsMember }, 1000 - 40 - 2 - 130},
	} {
		cfg := Config{MaxPayload: 1000, Topic: c.topic}
		for d := range 2 {
			ev := sized(c.most + d)
			ev.TooLarge = mapping.Reject
			c.shape(&ev)
			out := admit(cfg, ev)
			if d == 0 && len(out.Events) != 1 {
				t.Errorf("%s: got %d bytes turned down (%s), want them to pass", c.name, c.most, out.Dead[0].Why)
			}
			if d == 1 && (len(out.Dead) != 1 || out.Dead[0].Code != codeTooLarge) {
				t.Errorf("%s: got %d bytes passed, want %s", c.name, c.most+1, codeTooLarge)
			}
		}
	}
}

func TestTooLargeIsADeadLetterWithItsSize(t *testing.T) {
	for _, c := range []struct {
		what mapping.TooLarge
		code string
		why  string
	}{
		{mapping.Reject, "SIZ002", "1001 bytes > 1000 that the platform takes"},
		{mapping.Split, "SIZ003", "1001 bytes > 1000 after split to 1 reading"},
	} {
		ev := sized(1001)
		ev.TooLarge = c.what
		out := NewGate(Config{MaxPayload: 1000}).Admit(mapping.Output{Events: []mapping.Event{event("a", 1), ev, event("b", 2)}})
		if len(out.Events) != 2 || out.Events[1].Device != "b" {
			t.Errorf("%v: got events %v, want the two others", c.what, out.Events)
		}
		if d := out.Dead[0]; d.Code != c.code || d.Why != c.why || d.Units != 1 || d.Form != mapping.RawEvent || d.Of == nil || !bytes.Equal(d.Raw, ev.Payload) || d.Device != "press-7" {
			t.Errorf("%v: got %+v, want %s: %s", c.what, d, c.code, c.why)
		}
	}
}

func TestBadTopicsAndPayloadsAreDeadLetters(t *testing.T) {
	other := "plant/{id}/{event}"
	for name, c := range map[string]struct {
		topic string
		shape func(*mapping.Event)
		code  string // "" passes
	}{
		"plain":                   {"", func(*mapping.Event) {}, ""},
		"36 characters":           {"", func(ev *mapping.Event) { ev.ID = strings.Repeat("a", 36) }, ""},
		"37 characters":           {"", func(ev *mapping.Event) { ev.ID = strings.Repeat("a", 37) }, codeBadTopic},
		"empty id":                {"", func(ev *mapping.Event) { ev.ID = "" }, codeBadTopic},
		"wildcard":                {"", func(ev *mapping.Event) { ev.Name = "+" }, codeBadTopic},
		"level injected":          {"", func(ev *mapping.Event) { ev.ID = "a/evt/b" }, codeBadTopic},
		"control character":       {"", func(ev *mapping.Event) { ev.Type = "a\x00" }, codeBadTopic},
		"umlaut":                  {"", func(ev *mapping.Event) { ev.ID = "ä" }, codeBadTopic},
		"umlaut elsewhere":        {other, func(ev *mapping.Event) { ev.ID = "Prüfstand 7" }, ""},
		"wildcard elsewhere":      {other, func(ev *mapping.Event) { ev.ID = "a+" }, codeBadTopic},
		"level elsewhere":         {other, func(ev *mapping.Event) { ev.ID = "a/b" }, codeBadTopic},
		"not UTF-8 elsewhere":     {other, func(ev *mapping.Event) { ev.ID = "a\xff" }, codeBadTopic},
		"control elsewhere":       {other, func(ev *mapping.Event) { ev.ID = "a\n" }, codeBadTopic},
		"non-character elsewhere": {other, func(ev *mapping.Event) { ev.ID = "a\uffff" }, codeBadTopic},
		"dollar in front":         {"{id}/x", func(ev *mapping.Event) { ev.ID = "$SYS" }, codeBadTopic},
		"dollar within":           {other, func(ev *mapping.Event) { ev.ID = "$SYS" }, ""},
		"topic over 65535":        {other, func(ev *mapping.Event) { ev.ID = strings.Repeat("a", 65535) }, codeBadTopic},
		"payload not UTF-8":       {"", func(ev *mapping.Event) { ev.Payload = []byte("{\"a\":\"\xff\"}") }, codeBadPayload},
		"payload no JSON":         {"", func(ev *mapping.Event) { ev.Payload = []byte("12") }, codeBadPayload},
		"payload empty":           {"", func(ev *mapping.Event) { ev.Payload = nil }, codeBadPayload},
		"id has no place":         {"", func(ev *mapping.Event) { ev.Number, ev.Payload = mapping.AsMember, []byte("[1]") }, codeBadPayload},
		"bytes in another format": {"", func(ev *mapping.Event) { ev.Format, ev.Payload = "bin", []byte{0xff, 0} }, ""},
	} {
		ev := event("press-7", 1)
		c.shape(&ev)
		out := admit(Config{Topic: c.topic}, ev)
		got := ""
		if len(out.Dead) > 0 {
			got = out.Dead[0].Code
		}
		if got != c.code || len(out.Events)+len(out.Dead) != 1 {
			t.Errorf("%s: got %q, want %q", name, got, c.code)
		}
	}
}

func TestTopicTemplates(t *testing.T) {
	ev := event("press-7", 1)
	for text, want := range map[string]string{
		"":                            "iot-2/type/press/id/press-7/evt/cycle/fmt/json",
		"plant/{id}":                  "plant/press-7",
		"{type}{id}/x/{event}.{type}": "presspress-7/x/cycle.press",
		"plant/{device}":              "error",
		"plant/{id":                   "error",
		"plant/#":                     "error",
		"$plant/{id}":                 "error",
		"plant/\x00":                  "error",
	} {
		tpl, err := parseTemplate(text)
		got := string(tpl.append(nil, &ev))
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if err == nil && tpl.size(&ev) != len(got) {
			t.Errorf("%q: got size %d, want %d", text, tpl.size(&ev), len(got))
		}
	}
}

func TestFiveMebibytesMake54Parts(t *testing.T) {
	parts := cut(sized(5<<20), 131072)
	if len(parts) != 54 {
		t.Fatalf("got %d parts, want 54", len(parts))
	}
	var head struct {
		Chunk json.RawMessage
		Data  []byte
	}
	if err := json.Unmarshal(parts[0].Payload, &head); err != nil || len(head.Data) != 98178 {
		t.Errorf("got %d bytes in a part (%v), want 98178", len(head.Data), err)
	}
}

func TestEnvelopeIsExactlyAsDocumented(t *testing.T) {
	ev := sized(1200)
	ev.Suffix, ev.Number = ".part", mapping.AsMember
	out := admit(Config{MaxPayload: 1100}, ev)
	if len(out.Events) != 2 {
		t.Fatalf("got %d events, want 2 parts", len(out.Events))
	}
	second := out.Events[1]
	e := queue.Entry{Number: 41823, First: 41822, Event: second}
	got := string(encode(&message{first: e}, "7f3c21d0"))
	want := `{"chunk":{"id":"7f3c21d0-41822","n":2,"of":2,"bytes":1200,"sha256":"` + shaOf(ev.Payload) + `"},"data":"` +
		base64.StdEncoding.EncodeToString(ev.Payload[702:]) + `"}` // E is 164 with of = 2: (1100 − 164) / 4 × 3
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if second.Name != "cycle.part" || second.Format != "json" || second.Part != 2 || second.Parts != 2 || second.QoS != 1 {
		t.Errorf("got %+v, want the event's topic with the suffix", second)
	}
	ev.Suffix = strings.Repeat("x", 32)
	if out := admit(Config{MaxPayload: 1100}, ev); len(out.Dead) != 1 || out.Dead[0].Code != codeBadTopic {
		t.Errorf("got %d dead letters for an event id of 37 characters with its suffix, want 1", len(out.Dead))
	}
}

// Whatever the size and the limit: no part is over it, all but the last carry the same, and a consumer gets the bytes back.
func TestPartsJoinToTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(200, 3000).Draw(t, "limit")
		near := rapid.SampledFrom([]int{limit, 2 * limit, 10 * limit * 3 / 4, 100}).Draw(t, "near")
		size := max(20, near+rapid.IntRange(-60, 400).Draw(t, "size"))
		ev := sized(size)
		ev.Number = rapid.SampledFrom([]mapping.NumberForm{mapping.NoNumber, mapping.AsMember}).Draw(t, "number")
		if rapid.Bool().Draw(t, "batch") {
			ev.Batch.Max = 3
		}
		whole := string(ev.Payload)
		if ev.Batch.Max > 0 {
			whole = "[" + whole + "]"
		}
		out := admit(Config{MaxPayload: limit}, ev)
		if len(out.Dead) > 0 {
			t.Fatalf("got %s, want parts", out.Dead[0].Why)
		}
		if alone(&ev) <= limit {
			if len(out.Events) != 1 || out.Events[0].Part != 0 {
				t.Fatalf("got parts of an event that fits")
			}
			return
		}
		first := rapid.Uint64().Draw(t, "first")
		var j Joiner
		var carried []int
		messages := make([]Message, len(out.Events))
		for i, part := range out.Events {
			e := queue.Entry{Number: first + uint64(i), First: first, Event: part}
			p := encode(&message{first: e}, "7f3c21d0")
			if len(p) > limit {
				t.Fatalf("got part %d of %d bytes, limit %d", i+1, len(p), limit)
			}
			_, data, ok := parsePart(p)
			if !ok || part.Part != i+1 || part.Parts != len(out.Events) {
				t.Fatalf("got %s, want part %d", p, i+1)
			}
			carried = append(carried, len(data))
			messages[i] = Message{Topic: "t", Payload: p}
		}
		for i, n := range carried {
			if last := i == len(carried)-1; !last && n != carried[0] || last && n > carried[0] {
				t.Fatalf("got parts of %v bytes, want all but the last the same", carried)
			}
		}
		// One part fewer would not do: the parts that many allow are as large as they can be.
		envelope := len(`{"chunk":{"id":"","n":,"of":,"bytes":,"sha256":""},"data":""}`) + 32 + 64 + 2*len(strconv.Itoa(len(carried))) + len(strconv.Itoa(len(whole)))
		if want := (limit - envelope) / 4 * 3; carried[0] != want && len(carried) > 2 {
			t.Fatalf("got %d bytes in a part, want %d", carried[0], want)
		}
		messages = append(messages, messages[:len(messages)/2]...) // repeats of QoS 1
		joined := 0
		for _, m := range rapid.Permutation(messages).Draw(t, "order") {
			event, ok, err := j.Add(m)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				joined++
				if string(event.Payload) != whole {
					t.Fatalf("got %q, want %q", event.Payload, whole)
				}
			}
		}
		if joined != 1 {
			t.Fatalf("got the event %d times, want once", joined)
		}
	})
}

func TestNoRoomForParts(t *testing.T) {
	out := admit(Config{MaxPayload: 150}, sized(200))
	if len(out.Dead) != 1 || out.Dead[0].Code != codeTooLarge || !strings.Contains(out.Dead[0].Why, "max_payload") {
		t.Errorf("got %+v, want a dead letter that says what to do", out)
	}
}

func TestGateMayBeSharedByLinks(t *testing.T) {
	g := NewGate(Config{MaxPayload: 500})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 200 {
				out := g.Admit(mapping.Output{Events: []mapping.Event{event("a", n), sized(300 + 100*i), event("b", n)}})
				if len(out.Events) < 3 {
					t.Errorf("got %d events, want at least 3", len(out.Events))
				}
			}
		})
	}
	wg.Wait()
}

func TestIDGoesLast(t *testing.T) {
	for _, c := range []struct {
		form          mapping.NumberForm
		payload, want string
	}{
		{mapping.NoNumber, `{"d":{}}`, `{"d":{}}`},
		{mapping.AsMember, `{"d":{}}`, `{"d":{},"id":"7f3c21d0-42"}`},
		{mapping.AsMember, `{}`, `{"id":"7f3c21d0-42"}`},
		{mapping.AsChunkID, `{"chunk":{"id":"","n":1}}`, `{"chunk":{"id":"7f3c21d0-41","n":1}}`},
	} {
		ev := event("a", 1)
		ev.Number, ev.Payload = c.form, []byte(c.payload)
		e := queue.Entry{Number: 42, First: 41, Event: ev}
		if got := string(encode(&message{first: e}, "7f3c21d0")); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		if c.form == mapping.AsChunkID {
			continue
		}
		want := "[" + c.want + "," + c.want + "]"
		if got := string(encode(&message{join: true, first: e, more: []queue.Entry{e}}, "7f3c21d0")); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func BenchmarkAdmit(b *testing.B) {
	g := NewGate(Config{})
	out := mapping.Output{}
	for i := range 100 {
		out.Events = append(out.Events, benchEvent(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		out = g.Admit(out)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*100), "ns/event")
}

func shaOf(p []byte) string { return fmt.Sprintf("%x", sha256.Sum256(p)) }

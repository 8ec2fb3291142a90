package publisher

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/queue"
)

func TestJoinerKeepsTheRulesOfAConsumer(t *testing.T) {
	parts := func(id string, size int) []Message {
		var list []Message
		for i, p := range cut(sized(size), 400) {
			n := uint64(7)
			if id == "other" {
				n = 8
			}
			list = append(list, Message{Topic: "t/" + id, Payload: encode(&message{first: queue.Entry{Number: n + uint64(i), First: n, Event: p}}, "7f3c21d0")})
		}
		return list
	}
	t.Run("anything else is a whole event", func(t *testing.T) {
		var j Joiner
		for _, p := range []string{``, `{`, `12`, `{"chunk":1,"data":2}`, `{"chunk":{"id":"a"},"data":"eA=="}`, `{"chunk":{},"data":"","x":1}`,
			`{"chunk":{"id":"a","n":3,"of":2,"bytes":9,"sha256":"` + strings.Repeat("0", 64) + `"},"data":"eA=="}`} {
			if m, ok, err := j.Add(Message{Payload: []byte(p)}); !ok || err != nil || string(m.Payload) != p {
				t.Errorf("got %q, %v, %v, want %q as it is", m.Payload, ok, err, p)
			}
		}
	})
	t.Run("two events at once", func(t *testing.T) {
		var j Joiner
		a, b, joined := parts("a", 1000), parts("other", 1000), 0
		for i := range a {
			for _, m := range []Message{a[i], b[i]} {
				if _, ok, err := j.Add(m); err != nil {
					t.Fatal(err)
				} else if ok {
					joined++
				}
			}
		}
		if joined != 2 {
			t.Errorf("got %d events, want 2", joined)
		}
	})
	t.Run("one that differs begins anew", func(t *testing.T) {
		var j Joiner
		old, young := parts("a", 1000), parts("a", 1100)
		j.Add(old[0])
		var got []byte
		reports := 0
		for _, m := range young {
			ev, ok, err := j.Add(m)
			if err != nil {
				reports++
			}
			if ok {
				got = ev.Payload
			}
		}
		if len(got) != 1100 || reports != 1 {
			t.Errorf("got %d bytes and %d reports, want 1100 and 1", len(got), reports)
		}
	})
	t.Run("damage is reported", func(t *testing.T) {
		var j Joiner
		list := parts("a", 1000)
		at := bytes.Index(list[1].Payload, []byte(`"data":"`)) + 10
		list[1].Payload[at] ^= 1
		var last error
		for _, m := range list {
			_, ok, err := j.Add(m)
			if ok {
				t.Error("got an event, want it discarded")
			}
			last = err
		}
		if last == nil || j.bytes != 0 {
			t.Errorf("got %v and %d bytes kept, want a report and none", last, j.bytes)
		}
	})
	t.Run("memory and age have an end", func(t *testing.T) {
		j := Joiner{MaxBytes: 10_000}
		lost := 0
		for i := range 1000 {
			m := parts("a", 1000)[0]
			m.Topic = fmt.Sprint(i)
			if _, _, err := j.Add(m); err != nil {
				lost++
			}
			if j.bytes > j.MaxBytes {
				t.Fatalf("got %d bytes, limit %d", j.bytes, j.MaxBytes)
			}
		}
		if lost+len(j.sets) != 1000 || len(j.order) != len(j.sets) {
			t.Errorf("got %d given up with a report and %d kept, want 1000 in all", lost, len(j.sets))
		}
		m := parts("a", 1000)[0]
		m.Time = time.Now()
		if j.Add(m); len(j.sets) != 1 {
			t.Errorf("got %d sets, want the old ones gone", len(j.sets))
		}
	})
}

// Whatever comes as a part: no panic, and no more memory than the limit.
func FuzzJoiner(f *testing.F) {
	part := cut(sized(300), 260)[0].Payload
	f.Add(part, part)
	f.Add([]byte(`{"chunk":{"id":"a","n":2,"of":2,"bytes":2,"sha256":"`+strings.Repeat("0", 64)+`"},"data":"eA=="}`), []byte(`{"chunk":{},"data":"="}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		j := Joiner{MaxBytes: 10_000}
		for i := range 6 {
			m := Message{Topic: "t", Payload: a}
			if i%2 == 1 {
				m.Payload = b
			}
			if ev, ok, _ := j.Add(m); ok && ev.Topic != "t" {
				t.Fatalf("got topic %q, want t", ev.Topic)
			}
			if j.bytes > j.MaxBytes || j.bytes < 0 || len(j.order) != len(j.sets) {
				t.Fatalf("got %d bytes of at most %d, %d sets and %d in order", j.bytes, j.MaxBytes, len(j.sets), len(j.order))
			}
		}
	})
}

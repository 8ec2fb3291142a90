package queue_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

func TestSetAsideJoinsAChunkedEvent(t *testing.T) {
	cfg := onDisk(t)
	q := open(t, cfg)
	whole := bytes.Repeat([]byte("0123456789"), 30)
	out := mapping.Output{Events: []mapping.Event{event("d", "before")}}
	for i := range 3 {
		ev := event("d", fmt.Sprintf(`{"chunk":{"id":"","n":%d,"of":3,"bytes":300,"sha256":"00"},"data":"%s"}`, i+1, base64.StdEncoding.EncodeToString(whole[i*100:][:100])))
		ev.Number, ev.Part, ev.Parts, ev.Name, ev.Suffix = mapping.AsChunkID, i+1, 3, "temperature-part", "-part"
		out.Events = append(out.Events, ev)
	}
	out.Events = append(out.Events, event("d", "after"))
	mustAppend(t, q, "a", "1", out)
	list := all(t, q)
	if err := q.SetAside(t.Context(), list[2], "PLT009", "the platform hangs up"); err != nil {
		t.Fatal(err)
	}
	if err := q.SetAside(t.Context(), list[3], "PLT009", "the platform hangs up"); err != nil { // another part of it: nothing to do
		t.Fatal(err)
	}
	if got := all(t, q); len(got) != 2 || string(got[0].Event.Payload) != "before" || string(got[1].Event.Payload) != "after" {
		t.Errorf("got %d events, want the two others", len(got))
	}
	dead := letters(t, cfg)
	if len(dead) != 1 {
		t.Fatalf("got %d dead letters, want 1", len(dead))
	}
	d := dead[0].Dead
	if !bytes.Equal(d.Raw, whole) || d.Of == nil || !bytes.Equal(d.Of.Payload, whole) || d.Of.Name != "temperature" || d.Of.Parts != 0 || d.Form != mapping.RawEvent {
		t.Errorf("got %+v of %+v, want the event as it was before it was cut", d, d.Of)
	}
	if d.Code != "PLT009" || d.Why != "the platform hangs up" || d.Device != "d" || dead[0].Number != 1 {
		t.Errorf("got %+v, want code, reason and device", d)
	}
	if a := account(t, q, "d"); a.Read != 3 || a.Dead != 1 || a.Waiting != 2 {
		t.Errorf("got %+v, want 3 read, 1 dead, 2 waiting", a)
	}
}

func TestDeadLettersAreStoredListedAndDropped(t *testing.T) {
	cfg := onDisk(t)
	cfg.Dead.MaxBytes = 40_000
	q := open(t, cfg)
	for i := range 300 {
		mustAppend(t, q, "csv", fmt.Sprint(i), mapping.Output{Dead: []mapping.Dead{{Code: "CSV004", Why: "no quote", Origin: fmt.Sprintf("kiln.csv:%d", i),
			Raw: bytes.Repeat([]byte{'x'}, 200), Head: []byte("a;b"), Units: 2, Time: time.Unix(1e9, 0).UTC()}}})
	}
	list := letters(t, cfg)
	if n := len(list); n < 80 || n > 200 || list[n-1].Number != 300 {
		t.Errorf("got %d letters, the last number %d; want what fits of 300", n, list[n-1].Number)
	}
	l := list[len(list)-1]
	if d := l.Dead; d.Link != "csv" || d.Code != "CSV004" || d.Origin != "kiln.csv:299" || string(d.Head) != "a;b" || d.Units != 2 || len(d.Raw) != 200 || !d.Time.Equal(time.Unix(1e9, 0)) {
		t.Errorf("got %+v", d)
	}
	if a := account(t, q, "csv"); a.Dead != 600 || a.Read != 600 {
		t.Errorf("got %+v, want 600 dead under the link's name", a)
	}
	if err := q.DropLetter(t.Context(), l.Number); err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{l.Number, 0, 1, 301} {
		if err := q.DropLetter(t.Context(), n); !errors.Is(err, queue.ErrNoLetter) {
			t.Errorf("drop %d: got %v, want ErrNoLetter", n, err)
		}
	}
	_ = q.Close()
	open(t, cfg)
	after := letters(t, cfg)
	if len(after) != len(list)-1 {
		t.Errorf("got %d letters after the drop, want %d", len(after), len(list)-1)
	}
	v, err := queue.Look(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if int(v.Expired)+len(after)+1 != 300 || v.Letters != len(after) {
		t.Errorf("%d gone for want of room, %d there and 1 dropped, want 300", v.Expired, len(after))
	}
}

func TestOldDeadLettersAndEventsGoAndAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(27 * 365 * 24 * time.Hour) // the bubble begins in 2000, when no clock is believed
		cfg := queue.Config{Path: "/q", FS: newFakeFS(), MaxAge: time.Hour, Dead: queue.DeadConfig{Path: "/d", MaxAge: 2 * time.Hour}}
		q := open(t, cfg)
		out := events("d", 0, 5)
		out.Dead = []mapping.Dead{{Device: "d", Code: "X", Raw: []byte("x")}}
		out.Counts = nil
		mustAppend(t, q, "a", "1", out)
		time.Sleep(30 * time.Minute)
		mustAppend(t, q, "a", "2", events("d", 5, 2))
		time.Sleep(45 * time.Minute)
		if n := len(all(t, q)); n != 2 {
			t.Errorf("after 75 minutes: got %d events, want the 2 that are not an hour old", n)
		}
		if a := account(t, q, "d"); a.Dropped != 5 || a.Read != 8 || a.Dead != 1 {
			t.Errorf("got %+v, want 5 dropped of 8", a)
		}
		if n := len(letters(t, cfg)); n != 1 {
			t.Errorf("got %d dead letters, want 1", n)
		}
		time.Sleep(time.Hour)
		if n := len(letters(t, cfg)); n != 0 {
			t.Errorf("after 2 hours: got %d dead letters, want none", n)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDamagedDeadLetterTakesNoOtherOfItsWriteAlong(t *testing.T) {
	fs := newFakeFS()
	cfg := queue.Config{Path: "/q", FS: fs, Dead: queue.DeadConfig{Path: "/d"}}
	q := open(t, cfg)
	out := mapping.Output{}
	for i := range 3 {
		out.Dead = append(out.Dead, mapping.Dead{Device: "d", Code: "MAP011", Why: "not a number", Raw: fmt.Appendf(nil, "row %d", i)})
	}
	mustAppend(t, q, "a", "1", out)
	_ = q.Close()
	name := fs.files(".log")[0] // the only write: it looks like a torn one
	fs.flip(name, strings.Index(string(fs.content(name)), "row 0"), 1)
	for range 2 {
		q = open(t, cfg)
		_ = q.Close()
		list := letters(t, cfg)
		if len(list) != 2 || string(list[0].Dead.Raw) != "row 1" || string(list[1].Dead.Raw) != "row 2" {
			t.Errorf("got %+v, want the two letters that were not damaged", list)
		}
	}
}

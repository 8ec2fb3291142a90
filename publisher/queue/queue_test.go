package queue_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// event makes an event of a device with a payload.
func event(device, payload string) mapping.Event {
	return mapping.Event{Device: device, Type: "kiln", ID: "K-" + device, Name: "temperature", Format: "json", QoS: 1,
		Number: mapping.AsMember, Time: time.Date(2026, 5, 11, 8, 4, 31, 114e6, time.UTC), Payload: []byte(payload)}
}

// events makes a batch of one device, each with a payload of its own.
func events(device string, from, n int) mapping.Output {
	out := mapping.Output{Counts: []mapping.Count{{Device: device, Read: n}}}
	for i := range n {
		out.Events = append(out.Events, event(device, fmt.Sprintf(`{"d":{"n":%d}}`, from+i)))
	}
	return out
}

func open(t *testing.T, cfg queue.Config) *queue.Queue {
	t.Helper()
	q, err := queue.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() }) // closing twice does nothing
	return q
}

// onDisk is a configuration in a folder of the test.
func onDisk(t *testing.T) queue.Config {
	dir := t.TempDir()
	return queue.Config{Path: filepath.Join(dir, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(dir, "dead")}}
}

func mustAppend(t *testing.T, q *queue.Queue, link, checkpoint string, out mapping.Output) {
	t.Helper()
	var c []byte
	if checkpoint != "" {
		c = []byte(checkpoint)
	}
	if err := q.Append(t.Context(), link, c, out); err != nil {
		t.Fatal(err)
	}
}

// all reads what waits.
func all(t *testing.T, q *queue.Queue) []queue.Entry {
	t.Helper()
	r := q.NewReader()
	defer r.Close()
	var list []queue.Entry
	for {
		e, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return list
		}
		list = append(list, e)
	}
}

func account(t *testing.T, q *queue.Queue, device string) queue.Account {
	t.Helper()
	list, err := q.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if a.Device == device {
			if a.Read != a.Filtered+a.Delivered+a.Dead+a.Dropped+a.Waiting {
				t.Errorf("the ledger does not add up: %+v", a)
			}
			return a
		}
	}
	return queue.Account{Device: device}
}

func letters(t *testing.T, cfg queue.Config) []queue.Letter {
	t.Helper()
	var list []queue.Letter
	for l, err := range queue.Letters(cfg) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	return list
}

func TestEventComesBackAsItWas(t *testing.T) {
	cfg := onDisk(t)
	q := open(t, cfg)
	whole := event("kiln-2", `{"d":{"zone_1":1043.5}}`)
	whole.Batch = mapping.Batch{Max: 50, Within: 10 * time.Second}
	zero := event("kiln-2", "")
	zero.Time, zero.QoS, zero.Number = time.Time{}, 2, mapping.NoNumber
	far := event("kiln-3", strings.Repeat("x", 131072))
	far.Time = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
	part := event("kiln-3", "part")
	part.Part, part.Parts, part.Number, part.Suffix = 1, 2, mapping.AsChunkID, "-part"
	part2 := part
	part2.Part, part2.Payload = 2, []byte("two")
	want := []mapping.Event{whole, zero, far, part, part2}
	mustAppend(t, q, "kiln", "row 5", mapping.Output{Events: want})
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, cfg)
	got := all(t, q)
	if len(got) != len(want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	for i, e := range got {
		if !e.Event.Time.Equal(want[i].Time) {
			t.Errorf("event %d: got time %v, want %v", i, e.Event.Time, want[i].Time)
		}
		e.Event.Time = want[i].Time
		if g, w := fmt.Sprintf("%+v", e.Event), fmt.Sprintf("%+v", want[i]); g != w {
			t.Errorf("event %d: got %.300s, want %.300s", i, g, w)
		}
		if e.Number != uint64(i+1) {
			t.Errorf("event %d: got number %d, want %d", i, e.Number, i+1)
		}
	}
	if got[4].First != 4 || got[3].First != 4 || got[0].First != 1 {
		t.Errorf("got first numbers %d, %d and %d, want 4, 4 and 1", got[4].First, got[3].First, got[0].First)
	}
	if got := string(q.Checkpoint("kiln")); got != "row 5" {
		t.Errorf("got checkpoint %q, want %q", got, "row 5")
	}
}

func TestOneProcessOwnsAFolder(t *testing.T) {
	cfg := onDisk(t)
	q := open(t, cfg)
	if _, err := queue.Open(cfg); !errors.Is(err, queue.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	other := onDisk(t)
	other.Dead.Path = cfg.Dead.Path
	if _, err := queue.Open(other); !errors.Is(err, queue.ErrBusy) {
		t.Errorf("with the dead letters of another: got %v, want ErrBusy", err)
	}
	if _, err := queue.Look(cfg); err != nil {
		t.Errorf("look beside the owner: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
}

func TestAppendsShareOneSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFakeFS()
		syncs := 0
		fs.mute = func(op, name string) bool {
			if op == "sync" && strings.HasPrefix(name, "/q/00") {
				syncs++
			}
			return false
		}
		q := open(t, queue.Config{Path: "/q", FS: fs, Linger: 100 * time.Millisecond})
		before, began := syncs, time.Now()
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() { mustAppend(t, q, fmt.Sprint(i), "c", events("d", i, 1)) })
		}
		all.Wait()
		if syncs-before != 1 {
			t.Errorf("got %d syncs, want 1", syncs-before)
		}
		if d := time.Since(began); d != 100*time.Millisecond {
			t.Errorf("got them after %v, want linger", d)
		}
		began = time.Now()
		mustAppend(t, q, "big", "c", events("d", 0, 64))
		if d := time.Since(began); d != 0 {
			t.Errorf("a batch of 64 took %v, want it at once", d)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCheckpointsStayOverManySegments(t *testing.T) {
	cfg := onDisk(t)
	cfg.Segment = 1000
	q := open(t, cfg)
	mustAppend(t, q, "old", "the first row", events("o", 0, 1))
	r := q.NewReader()
	for i := range 300 {
		mustAppend(t, q, "busy", fmt.Sprint(i), events("b", i, 3))
		for {
			e, ok, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if err := q.Ack(e.Number); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, cfg)
	if got := string(q.Checkpoint("old")); got != "the first row" {
		t.Errorf("got checkpoint %q, want %q", got, "the first row")
	}
	if got := string(q.Checkpoint("busy")); got != "299" {
		t.Errorf("got checkpoint %q, want %q", got, "299")
	}
	mustAppend(t, q, "busy", "300", events("b", 300, 1))
	if e := all(t, q); len(e) != 1 || e[0].Number != 902 {
		t.Errorf("got %d events, the first number %d, want 1 of number 902", len(e), e[0].Number)
	}
	if a := account(t, q, "b"); a.Read != 901 || a.Delivered != 900 || a.Waiting != 1 {
		t.Errorf("got %+v, want 901 read, 900 delivered, 1 waiting", a)
	}
	if n, _ := filepath.Glob(filepath.Join(cfg.Path, "*.log")); len(n) > 2 {
		t.Errorf("%d segments are left, want at most 2", len(n))
	}
}

func TestReadersSeeEverythingInOrder(t *testing.T) {
	cfg := onDisk(t)
	cfg.Segment = 2000
	q := open(t, cfg)
	const n = 500
	var work sync.WaitGroup
	for k := range 3 {
		work.Go(func() {
			r := q.NewReader()
			defer r.Close()
			for want := uint64(1); want <= n; {
				e, ok, err := r.Next()
				if err != nil {
					t.Error(err)
					return
				}
				if !ok {
					<-r.More()
					continue
				}
				if e.Number != want {
					t.Errorf("reader %d: got number %d, want %d", k, e.Number, want)
					return
				}
				want++
			}
		})
	}
	for i := range n / 5 {
		mustAppend(t, q, "a", fmt.Sprint(i), events("d", i, 5))
	}
	work.Wait()
}

func TestCountsWithoutEventsAreKept(t *testing.T) {
	cfg := onDisk(t)
	q := open(t, cfg)
	mustAppend(t, q, "m", "", mapping.Output{Counts: []mapping.Count{{Device: "d", Read: 10, Filtered: 10, Absent: 3}}})
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, cfg)
	if a := account(t, q, "d"); a.Read != 10 || a.Filtered != 10 || a.Absent != 3 {
		t.Errorf("got %+v, want 10 read and filtered, 3 absent", a)
	}
}

func TestAppendEndsWithItsContext(t *testing.T) {
	q := open(t, onDisk(t))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := q.Append(ctx, "a", nil, events("d", 0, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
	if n := len(all(t, q)); n != 0 {
		t.Errorf("got %d events, want none", n)
	}
}

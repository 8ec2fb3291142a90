package queue_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
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

func TestNumberIsNotUsedAgainAfterATornTail(t *testing.T) {
	fs := newFakeFS()
	cfg := queue.Config{Path: "/q", FS: fs}
	q := open(t, cfg)
	mustAppend(t, q, "a", "1", events("d", 0, 3))
	seen := all(t, q)
	fs.powerOff()
	_ = q.Close()
	fs.kill()
	name := fs.files(".log")[0]
	fs.flip(name, fs.length(name)-20, 1) // rot in the last write, which looks like a torn one
	q = open(t, cfg)
	mustAppend(t, q, "a", "1", events("d", 10, 1))
	got := all(t, q)
	if len(got) != 1 || got[0].Number <= seen[2].Number {
		t.Errorf("got %d events, number %d; want 1, above %d, which had been read", len(got), got[0].Number, seen[2].Number)
	}
}

func TestStreamIsNewOnAnotherMachine(t *testing.T) {
	fs := newFakeFS()
	cfg := queue.Config{Path: "/q", FS: fs}
	machine := func(id string) {
		_ = fs.Remove("/etc/machine-id")
		f, err := fs.Open("/etc/machine-id", os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteAt([]byte(id+"\n"), 0)
		_ = f.Close()
	}
	machine("3d1219c7c4c5404aaa1f6d2a48adfda4")
	q := open(t, cfg)
	first := q.Stream()
	mustAppend(t, q, "a", "1", events("d", 0, 3))
	_ = q.Close()
	q = open(t, cfg)
	if got := q.Stream(); got != first || len(got) != 8 {
		t.Errorf("got stream %q, want %q again", got, first)
	}
	_ = q.Close()
	machine("ffffffffffffffffffffffffffffffff")
	q = open(t, cfg)
	if got := q.Stream(); got == first {
		t.Errorf("got stream %q on another machine too", got)
	}
	if n := len(all(t, q)); n != 3 {
		t.Errorf("got %d events on another machine, want 3", n)
	}
	second := q.Stream()
	_ = q.Close()
	if q = open(t, cfg); q.Stream() != second {
		t.Errorf("got stream %q, want %q again", q.Stream(), second)
	}
}

func TestFailedSyncIsNotTriedAgain(t *testing.T) {
	fs := newFakeFS()
	q := open(t, queue.Config{Path: "/q", FS: fs})
	mustAppend(t, q, "a", "1", events("d", 0, 1))
	r := q.NewReader()
	defer r.Close()
	e, _, _ := r.Next()
	fs.failAfter(2, true) // the sync behind the write
	if err := q.Append(t.Context(), "a", []byte("2"), events("d", 1, 1)); err == nil {
		t.Error("append after a failed sync: got no error")
	}
	<-q.Failed()
	if q.Err() == nil || !strings.Contains(q.Err().Error(), "disk") {
		t.Errorf("got %v, want what failed", q.Err())
	}
	fs.failAfter(0, true)
	_ = q.Close()
	ops := fs.changes()
	if err := q.Append(t.Context(), "a", []byte("2"), events("d", 1, 1)); err == nil {
		t.Error("append to a failed queue: got no error")
	}
	if err := q.Ack(e.Number); err == nil {
		t.Error("ack to a failed queue: got no error")
	}
	if _, _, err := r.Next(); err == nil {
		t.Error("next of a failed queue: got no error")
	}
	if fs.changes() != ops {
		t.Errorf("%d more writes after a failed sync, want none", fs.changes()-ops)
	}
	q = open(t, queue.Config{Path: "/q", FS: fs})
	if len(all(t, q)) == 0 || q.Checkpoint("a") == nil {
		t.Error("what was promised before is lost")
	}
}

func TestUnsyncedDataWouldBeLost(t *testing.T) { // the control of every test with fakeFS
	for _, op := range []string{"sync", "syncdir"} {
		fs := newFakeFS()
		cfg := queue.Config{Path: "/q", FS: fs}
		fs.mute = func(o, name string) bool { return o == op }
		q := open(t, cfg)
		mustAppend(t, q, "a", "1", events("d", 0, 3))
		fs.powerOff()
		_ = q.Close()
		fs.crash(func(int) int { return 0 })
		fs.mute = nil
		q = open(t, cfg)
		if n := len(all(t, q)); n != 0 {
			t.Errorf("without %s %d events survived a power cut: the test does not test", op, n)
		}
		_ = q.Close()
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
	if err := q.SetAside(list[2], "PLT009", "the platform hangs up"); err != nil {
		t.Fatal(err)
	}
	if err := q.SetAside(list[3], "PLT009", "the platform hangs up"); err != nil { // another part of it: nothing to do
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

func TestNewerVersionIsRefused(t *testing.T) {
	cfg := onDisk(t)
	cfg.Log = slog.New(slog.DiscardHandler)
	q := open(t, cfg)
	_ = q.Close()
	queue.WriteNewerHeader(t, filepath.Join(cfg.Path, "0000000001.log"))
	if _, err := queue.Open(cfg); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("got %v, want that a newer version wrote it", err)
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

func TestLostCursorBringsBackWhatWasAcknowledgedAndNothingElse(t *testing.T) {
	fs := newFakeFS()
	cfg := queue.Config{Path: "/q", FS: fs, Segment: 600}
	q := open(t, cfg)
	mustAppend(t, q, "a", "1", events("d", 0, 4))
	if err := q.SetAside(all(t, q)[1], "PLT009", "refused"); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		mustAppend(t, q, "a", fmt.Sprint(i), events("d", 10+4*i, 4))
	}
	for _, e := range all(t, q)[3:] { // the record that took number 2 away goes, number 1 stays
		if err := q.Ack(e.Number); err != nil {
			t.Fatal(err)
		}
	}
	_ = q.Close()
	fs.flip("/q/cursor", 30, 1)
	fs.flip("/q/cursor", 24<<10+30, 1)
	q = open(t, cfg)
	for _, e := range all(t, q) {
		if e.Number == 2 {
			t.Error("the event that was set aside is back")
		}
	}
	if got := all(t, q)[0].Number; got != 1 {
		t.Errorf("the oldest is %d, want 1", got)
	}
}

func TestSegmentWithoutStateDoesNotTakeOlderOnesAlong(t *testing.T) {
	fs := newFakeFS()
	cfg := queue.Config{Path: "/q", FS: fs, Segment: 600}
	q := open(t, cfg)
	mustAppend(t, q, "old", "position", events("o", 0, 1))
	for i := range 3 {
		mustAppend(t, q, "a", "1", events("d", 4*i, 4))
	}
	_ = q.Close()
	files := fs.files(".log")
	last := files[len(files)-1]
	state := int(binary.LittleEndian.Uint32(fs.names[last].data[128+8:])) // without its head
	fs.flip(last, 128+20, 0xff)
	fs.flip(last, 128+16+(state+7)/8*8+20, 0xff) // the copy
	for range 3 {
		q = open(t, cfg)
		if got := string(q.Checkpoint("old")); got != "position" {
			t.Errorf("got checkpoint %q, want %q", got, "position")
		}
		for _, e := range all(t, q) {
			if err := q.Ack(e.Number); err != nil {
				t.Fatal(err)
			}
		}
		_ = q.Close()
	}
}

package queue_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/publisher/queue"
)

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
	end := len(bytes.TrimRight(fs.content(name), "\x00"))
	fs.flip(name, end-10, 1) // rot in the last write, which looks like a torn one
	q = open(t, cfg)
	mustAppend(t, q, "a", "1", events("d", 10, 1))
	got := all(t, q)
	if len(got) != 1 || got[0].Number <= seen[2].Number {
		t.Errorf("got %d events, number %d; want 1, above %d, which had been read", len(got), got[0].Number, seen[2].Number)
	}
}

func TestFailedSyncIsNotTriedAgain(t *testing.T) {
	fs := newFakeFS()
	q := open(t, queue.Config{Path: "/q", FS: fs})
	mustAppend(t, q, "a", "1", events("d", 0, 1))
	r := q.NewReader()
	defer r.Close()
	e, _, _ := r.Next()
	fs.failAfter(2, eio, true) // the sync behind the write
	if err := q.Append(t.Context(), "a", []byte("2"), events("d", 1, 1)); err == nil {
		t.Fatal("append after a failed sync: got no error")
	}
	<-q.Failed()
	if q.Err() == nil || !strings.Contains(q.Err().Error(), "disk") {
		t.Errorf("got %v, want what failed", q.Err())
	}
	fs.failAfter(0, eio, true)
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

func TestLostCursorBringsBackWhatWasAcknowledgedAndNothingElse(t *testing.T) {
	fs := newFakeFS()
	cfg := queue.Config{Path: "/q", FS: fs, Segment: 600}
	q := open(t, cfg)
	mustAppend(t, q, "a", "1", events("d", 0, 4))
	if err := q.SetAside(t.Context(), all(t, q)[1], "PLT009", "refused"); err != nil {
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

func TestTornCursorCostsWhatWasNotSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFakeFS()
		cfg := queue.Config{Path: "/q", FS: fs}
		q := open(t, cfg)
		mustAppend(t, q, "a", "1", events("d", 0, 10))
		for _, n := range []uint64{3, 5, 6} { // two syncs: each slot was written, and then one once more
			for number := range n {
				if err := q.Ack(number + 1); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(1100 * time.Millisecond)
			synctest.Wait()
		}
		for number := range uint64(2) {
			if err := q.Ack(number + 7); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(150 * time.Millisecond) // written, and not synced
		synctest.Wait()
		fs.powerOff()
		_ = q.Close()
		fs.crash(func(n int) int {
			if n > 10 {
				return 30 // bytes of the write that was torn
			}
			return 0
		})
		q = open(t, cfg)
		if got := all(t, q); len(got) != 4 || got[0].Number != 7 {
			t.Errorf("got %d events, the first number %d; want 4 from 7 on", len(got), got[0].Number)
		}
		_ = q.Close()
	})
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

func TestDamagedStateOfANewSegmentLosesNoCheckpoint(t *testing.T) {
	fs := newFakeFS()
	cfg := queue.Config{Path: "/q", FS: fs}
	q := open(t, cfg)
	mustAppend(t, q, "old", "position", events("o", 0, 1))
	if err := q.Ack(1); err != nil {
		t.Fatal(err)
	}
	_ = q.Close()
	f, err := fs.Open("/q/0000000001.log", os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteAt([]byte("a write that was cut off"), int64(fs.length("/q/0000000001.log")))
	_ = f.Close()
	synctest.Test(t, func(t *testing.T) {
		q := open(t, cfg) // begins a new segment, and removes the old one, of which nothing waits
		synctest.Wait()
		fs.powerOff()
		_ = q.Close()
	})
	fs.kill()
	files := fs.files(".log")
	if len(files) != 1 || files[0] == "/q/0000000001.log" {
		t.Fatalf("got %s, want a new segment alone", fs)
	}
	for off := range fs.length(files[0]) {
		damaged := fs.copy()
		damaged.flip(files[0], off, 1)
		cfg.FS = damaged
		for range 2 {
			q := open(t, cfg)
			if got := string(q.Checkpoint("old")); got != "position" {
				t.Fatalf("byte %d of %d: got checkpoint %q, want %q", off, fs.length(files[0]), got, "position")
			}
			_ = q.Close()
			if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) > 0 {
				t.Fatalf("byte %d: verify after the start that saw it: %+v, %v", off, rep, err)
			}
		}
	}
}

// A roll that the power cut off can leave a segment whose headers are missing, or the first copy of its state. While the disk
// is full no other can be begun in its place: it is removed, or mended from what is whole.
func TestRollThatWasCutOffIsMendedAlsoOnAFullDisk(t *testing.T) {
	const end, hole = 2, 3 // what is left of a write: see tear
	for name, c := range map[string]struct{ kind, at, size int }{
		"headers":               {end, headers, 0},
		"first copy of a state": {hole, headers + 8, 16},
	} {
		synctest.Test(t, func(t *testing.T) {
			fs := newFakeFS()
			cfg := queue.Config{Path: "/q", FS: fs, Segment: 1}
			q := open(t, cfg)
			mustAppend(t, q, "a", "1", events("d", 0, 1))
			fs.cutAfter(2) // the new segment is made, and its write has begun
			if err := q.Append(t.Context(), "a", []byte("2"), events("d", 1, 1)); err == nil {
				t.Fatal("append without power: got no error")
			}
			_ = q.Close()
			calls := 0
			fs.crash(func(n int) int {
				switch calls++; {
				case calls == 1:
					return n - 1 // its name is on the disk
				case n == 5:
					return c.kind
				case calls == 3:
					return c.at
				case calls == 5:
					return c.size
				}
				return 0
			})
			torn := fs.files(".log")
			if rep, err := queue.Verify(cfg); len(torn) != 2 || err != nil || len(rep.Faults) == 0 && c.kind == hole || fs.content(torn[1])[0] != 0 && c.kind == end {
				t.Fatalf("%s: got %v, %+v, %v, want a second segment that is damaged", name, fs, rep, err)
			}
			fs.setSize(fs.usedNow())
			q = open(t, cfg)
			if got := len(all(t, q)); got != 1 || string(q.Checkpoint("a")) != "1" {
				t.Errorf("%s: got %d events, checkpoint %q; want 1 and 1", name, got, q.Checkpoint("a"))
			}
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) > 0 {
				t.Errorf("%s: got %+v, %v, want no fault", name, rep.Faults, err)
			}
		})
	}
}

// headers is how many bytes of a segment are before its state.
const headers = 128

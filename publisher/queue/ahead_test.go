package queue_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"legacybridge/publisher/queue"
)

// Small commits are written over zeros, so that the length of the file stays as it is. Close gives the room back, and the
// room counts as what the queue takes.
func TestRoomIsLaidForSmallCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFakeFS()
		q := open(t, queue.Config{Path: "/q", FS: fs})
		lengths := map[int]bool{}
		for n := range 100 {
			mustAppend(t, q, "a", "1", events("d", n, 1))
			name := fs.files(".log")[0]
			lengths[fs.length(name)] = true
			if got := q.State().Bytes; got != int64(fs.length(name)) {
				t.Fatalf("after %d commits: got %d bytes, the file has %d", n+1, got, fs.length(name))
			}
		}
		if len(lengths) != 1 {
			t.Errorf("got %d lengths of the file in 100 small commits, want one", len(lengths))
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		written := bytes.TrimRight(fs.content(fs.files(".log")[0]), "\x00")
		if got, want := fs.length(fs.files(".log")[0]), len(written); got-want >= 8 {
			t.Errorf("after Close: got %d bytes, want the %d that were written, up to a multiple of 8", got, want)
		}
		if got := len(all(t, open(t, queue.Config{Path: "/q", FS: fs}))); got != 100 {
			t.Errorf("got %d events, want 100", got)
		}
	})
}

// A disk on which there is room for the events and not for the zeros is not full.
func TestRoomThatIsNotThereIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFakeFS()
		q := open(t, queue.Config{Path: "/q", FS: fs, Segment: 1 << 20})
		fs.setSize(fs.usedNow() + 20_000)
		for n := range 50 {
			mustAppend(t, q, "a", "1", events("d", n, 1))
		}
		if st := q.State(); st.DiskFull {
			t.Errorf("got %+v, want no full disk", st)
		}
	})
}

// What is laid and not used is no damage, neither in the segment that is written when the power goes nor in an older one;
// and a byte in it that is not zero is reported.
func TestLaidRoomIsNoDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		fs := newFakeFS()
		cfg := queue.Config{Path: "/q", FS: fs, Log: slog.New(slog.NewTextHandler(&said, nil))}
		q := open(t, cfg)
		mustAppend(t, q, "a", "1", events("d", 0, 3))
		name := fs.files(".log")[0]
		laid := fs.length(name)
		fs.powerOff()
		_ = q.Close()
		fs.kill()
		for _, off := range []int{laid - 1, laid / 2} {
			fs.flip(name, off, 1)
			if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) != 1 || rep.Faults[0].File != name {
				t.Errorf("byte %d of the laid room changed: got %+v, %v", off, rep.Faults, err)
			}
			fs.flip(name, off, 1)
		}
		for _, moment := range []string{"the segment that is written", "an older segment"} {
			rep, err := queue.Verify(cfg)
			if err != nil || len(rep.Faults) > 0 || rep.Events != 3 {
				t.Errorf("%s: got %+v, %v, want 3 events and no fault", moment, rep, err)
			}
			before := fs.copy()
			q = open(t, cfg)
			if got := len(all(t, q)); got != 3 || q.State().Lost != 0 {
				t.Errorf("%s: got %d events, %+v", moment, got, q.State())
			}
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			if fs.length(name) == laid {
				t.Errorf("%s: got its %d bytes after a start, want the room given back", moment, laid)
			}
			fs.graft(before, name) // as if the roll after the crash had been cut before it gave the room back
		}
		if text := said.String(); strings.Contains(text, "damage") || strings.Contains(text, "cut off") {
			t.Errorf("got %s, want nothing of damage or of a write that was cut off", text)
		}
	})
}

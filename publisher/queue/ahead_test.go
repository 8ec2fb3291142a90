package queue_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// Small commits are written over zeros, so that the length of the file stays as it is. Close gives the room back.
func TestRoomIsLaidForSmallCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFakeFS()
		q := open(t, queue.Config{Path: "/q", FS: fs})
		lengths := map[int]bool{}
		for n := range 100 {
			mustAppend(t, q, "a", "1", events("d", n, 1))
			lengths[fs.length(fs.files(".log")[0])] = true
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
// a byte in it that is not zero is reported. After a crash it serves on, and no number is passed over.
func TestLaidRoomIsNoDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		fs := newFakeFS()
		cfg := queue.Config{Path: "/q", FS: fs, Log: slog.New(slog.NewTextHandler(&said, nil))}
		q := open(t, cfg)
		mustAppend(t, q, "a", "1", events("d", 0, 3))
		name := fs.files(".log")[0]
		laid := fs.length(name)
		crash := func() {
			fs.powerOff()
			_ = q.Close()
			fs.kill()
		}
		holds := func(n int) {
			t.Helper()
			if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) > 0 || rep.Events != n {
				t.Errorf("verify: got %+v, %v, want %d events and no fault", rep, err, n)
			}
			q = open(t, cfg)
			if list := all(t, q); len(list) != n || list[n-1].Number != uint64(n) || q.State().Lost != 0 {
				t.Errorf("got %v, %+v, want events 1 to %d", list, q.State(), n)
			}
		}
		crash()
		for _, off := range []int{laid - 1, laid / 2} {
			fs.flip(name, off, 1)
			if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) != 1 || rep.Faults[0].File != name {
				t.Errorf("byte %d of the laid room changed: got %+v, %v", off, rep.Faults, err)
			}
			fs.flip(name, off, 1)
		}
		holds(3)
		mustAppend(t, q, "a", "1", events("d", 3, 1))
		if files := fs.files(".log"); len(files) != 1 || fs.length(name) != laid {
			t.Errorf("got %v, want the room of %d bytes to serve on", fs, laid)
		}
		crash()
		holds(4)
		for n := 4; len(fs.files(".log")) == 1; n++ {
			mustAppend(t, q, "a", "1", events("d", n, 1))
		}
		if fs.length(name) == laid {
			t.Error("the room of a segment that has ended was not given back")
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if text := said.String(); strings.Contains(text, "damage") || strings.Contains(text, "cut off") {
			t.Errorf("got %s, want nothing of damage or of a write that was cut off", text)
		}
	})
}

// A crash between a roll and the giving back of the room leaves an older segment with it.
func TestLaidRoomOfAnOlderSegmentIsGivenBackLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFakeFS()
		cfg := queue.Config{Path: "/q", FS: fs}
		q := open(t, cfg)
		n := 0
		var before *fakeFS
		for ; len(fs.files(".log")) == 1; n++ {
			before = fs.copy()
			mustAppend(t, q, "a", "1", events("d", n, 1))
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		name := fs.files(".log")[0]
		cut := fs.length(name)
		fs.graft(before, name)
		if fs.length(name) <= cut {
			t.Fatalf("%d bytes, and %d before: there was no room to give back", cut, fs.length(name))
		}
		if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) > 0 || rep.Events != n {
			t.Errorf("verify: got %+v, %v, want %d events and no fault", rep, err, n)
		}
		if got := len(all(t, open(t, cfg))); got != n || fs.length(name) != cut {
			t.Errorf("got %d events and %d bytes, want %d and %d", got, fs.length(name), n, cut)
		}
	})
}

// What is laid takes nothing from what the queue may hold, neither at once nor after a restart, and the files stay below
// MaxBytes.
func TestLaidRoomTakesNothingFromEvents(t *testing.T) {
	for _, policy := range []queue.WhenFull{queue.StopReading, queue.DropOldest, queue.DropNewest} {
		synctest.Test(t, func(t *testing.T) {
			fs := newFakeFS()
			cfg := queue.Config{Path: "/q", FS: fs, MaxBytes: 100_000, Segment: 80_000, Dead: queue.DeadConfig{Path: "/d"},
				WhenFull: map[string]queue.WhenFull{"a": policy}}
			q := open(t, cfg)
			fits := 0
			for ; q.State().Bytes < 90_000; fits++ {
				if fits%10 == 9 {
					if err := q.Close(); err != nil {
						t.Fatal(err)
					}
					q = open(t, cfg)
				}
				mustAppend(t, q, "a", "1", events("d", fits, 1))
				taken := 0
				for _, name := range fs.files(".log") {
					taken += fs.length(name)
				}
				if taken > 100_000 {
					t.Fatalf("after %d events the files take %d bytes, the queue may take 100000", fits, taken)
				}
			}
			if st := q.State(); st.Dropped > 0 || st.Full || st.Held > 0 || len(all(t, q)) != fits {
				t.Errorf("%v: %d events in %d bytes: got %+v", policy, fits, st.Bytes, st)
			}
		})
	}
}

// Zeros that the disk has put in the place of records are damage, wherever numbers or what the cursor knows show it.
func TestZerosInThePlaceOfRecordsAreDamage(t *testing.T) {
	for _, older := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var said bytes.Buffer
			fs := newFakeFS()
			cfg := queue.Config{Path: "/q", FS: fs, Dead: queue.DeadConfig{Path: "/d"}, Log: slog.New(slog.NewTextHandler(&said, nil))}
			if older {
				cfg.Segment = 600
			}
			q := open(t, cfg)
			n := 0
			for ; n < 8 || older && len(fs.files(".log")) < 3; n++ {
				mustAppend(t, q, "a", "1", events("d", 4*n, 4))
			}
			if !older { // what follows has no number: the cursor alone knows of it
				mustAppend(t, q, "a", "2", mapping.Output{})
			}
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			name := fs.files(".log")[0]
			end := len(bytes.TrimRight(fs.content(name), "\x00"))
			last := queue.At(fs.content(name), int64(end-1))
			fs.blank(name, int(last.Off), fs.length(name))
			if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) != 1 || rep.Faults[0].File != name {
				t.Errorf("older %v: verify: got %+v, %v, want a fault in %s", older, rep.Faults, err, name)
			}
			q = open(t, cfg)
			want := 0
			if older {
				want = 4
			}
			mustAppend(t, q, "b", "1", mapping.Output{}) // by then it is told
			if st := q.State(); st.Lost != uint64(want) || older && st.Damaged != 1 || len(all(t, q)) != 4*n-want || !strings.Contains(said.String(), name) {
				t.Errorf("older %v: got %+v, want %d lost in one damaged record, and it said: %s", older, st, want, said.String())
			}
		})
	}
}

// A segment that was cut to less than its headers is damaged; nobody falls over it.
func TestSegmentShorterThanItsHeaders(t *testing.T) {
	for _, n := range []int{0, 20, 44, 100, 127, 128} {
		synctest.Test(t, func(t *testing.T) {
			fs := newFakeFS()
			cfg := queue.Config{Path: "/q", FS: fs, Segment: 600, Dead: queue.DeadConfig{Path: "/d"}}
			q := open(t, cfg)
			for i := range 5 {
				mustAppend(t, q, "a", "1", events("d", 4*i, 4))
			}
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			fs.cutTo(fs.files(".log")[0], n)
			if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) == 0 {
				t.Errorf("%d bytes: verify: got %+v, %v", n, rep, err)
			}
			q = open(t, cfg)
			mustAppend(t, q, "b", "1", mapping.Output{}) // by then it is told
			if st := q.State(); st.Lost == 0 {
				t.Errorf("%d bytes: got %+v, want events that are lost", n, st)
			}
		})
	}
}

// Damage at the very end may have taken numbers along that were read: they are not used again.
func TestNumbersBehindDamageAtTheEndAreNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFakeFS()
		cfg := queue.Config{Path: "/q", FS: fs, Dead: queue.DeadConfig{Path: "/d"}}
		q := open(t, cfg)
		for i := range 3 {
			mustAppend(t, q, "a", "1", events("d", 4*i, 4))
		}
		if err := q.Ack(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // the cursor knows of these
		name := fs.files(".log")[0]
		end := len(bytes.TrimRight(fs.content(name), "\x00"))
		for i := range 3 {
			mustAppend(t, q, "a", "1", events("d", 100+4*i, 4))
		}
		seen := map[uint64]string{}
		for _, e := range all(t, q) {
			seen[e.Number] = string(e.Event.Payload)
		}
		fs.powerOff()
		_ = q.Close()
		fs.kill()
		fs.spoil(name, end-40)
		q = open(t, cfg)
		mustAppend(t, q, "a", "2", events("d", 200, 4))
		for _, e := range all(t, q) {
			if was, ok := seen[e.Number]; ok && was != string(e.Event.Payload) {
				t.Errorf("number %d was %s and is %s", e.Number, was, e.Event.Payload)
			}
		}
	})
}

// The state is asked for while room is laid.
func TestStateBesideAppends(t *testing.T) {
	cfg := onDisk(t)
	cfg.Segment = 8000
	q := open(t, cfg)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 100 {
			mustAppend(t, q, "a", "1", events("d", n, 1))
		}
	}()
	for {
		_ = q.State()
		select {
		case <-done:
			return
		default:
		}
	}
}

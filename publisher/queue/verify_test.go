package queue_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// small is a folder of everything: segments, a set aside and an acknowledged event, dead letters, a compaction.
func small(t *testing.T) queue.Config {
	fs := newFakeFS()
	cfg := queue.Config{Path: "/q", FS: fs, Segment: 700, Dead: queue.DeadConfig{Path: "/d"}}
	q := open(t, cfg)
	for i := range 6 {
		out := events("d", 3*i, 3)
		out.Dead = []mapping.Dead{{Device: "d", Code: "MAP011", Why: "not a number", Raw: []byte("x;y")}}
		mustAppend(t, q, "a", fmt.Sprint(i), out)
	}
	list := all(t, q)
	if err := q.SetAside(t.Context(), list[3], "PLT009", "refused"); err != nil {
		t.Fatal(err)
	}
	if err := q.Ack(list[0].Number, list[1].Number, list[5].Number); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestVerifyFindsEveryFlippedByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := small(t)
		fs := cfg.FS.(*fakeFS)
		rep, err := queue.Verify(cfg)
		if err != nil || len(rep.Faults) > 0 || rep.Events < 12 || rep.Letters != 7 || rep.Records < 20 {
			t.Fatalf("a good folder: %+v, %v", rep, err)
		}
		masks, flips := proof(1, 9, 9), 0 // of each byte: one bit; each bit, and all of them
		for _, name := range fs.files("") {
			n := fs.length(name)
			for off := 0; off < n; off++ {
				if name == "/q/cursor" && off%(24<<10) > 200 && off%97 != 0 || name == "/q/reserve" && off%97 != 0 {
					continue // nothing but zeros: samples will do
				}
				if race && off%8 != n%8 {
					continue
				}
				for i := range masks {
					mask := byte(1) << ((off + i) % 8)
					if i == 8 {
						mask = 0xff
					}
					fs.flip(name, off, mask)
					rep, err := queue.Verify(cfg)
					fs.flip(name, off, mask)
					if err != nil && strings.Contains(err.Error(), "newer version") {
						t.Fatalf("%s, byte %d: %v", name, off, err)
					}
					found := false
					for _, f := range rep.Faults {
						found = found || f.File == name && f.Offset <= int64(off) && int64(off) < f.Offset+max(f.Bytes, 1)
					}
					if !found {
						t.Fatalf("%s, byte %d of %d changed by %02x: got %+v, %v", name, off, n, mask, rep.Faults, err)
					}
					flips++
				}
			}
		}
		if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) > 0 {
			t.Fatalf("a good folder again: %+v, %v", rep, err)
		}
		t.Logf("%d changes of one byte, each of them reported", flips)
	})
}

func TestLookBesideARunningService(t *testing.T) {
	cfg := onDisk(t)
	q := open(t, cfg)
	mustAppend(t, q, "a", "1", events("d", 0, 3))
	v, err := queue.Look(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if v.Waiting != 3 || v.Oldest.IsZero() || v.Since.IsZero() || v.Stream != q.Stream() || v.Bytes == 0 {
		t.Errorf("got %+v, want 3 waiting", v)
	}
	e, ok, err := v.Find(2)
	if err != nil || !ok || string(e.Event.Payload) != `{"d":{"n":1}}` || e.Event.ID != "K-d" {
		t.Errorf("event 2: got %+v, %v, %v", e, ok, err)
	}
	if _, ok, err := v.Find(4); ok || err != nil {
		t.Errorf("event 4: got %v, %v, want none", ok, err)
	}
	list, err := v.Accounts()
	if err != nil || len(list) != 1 || list[0].Waiting != 3 || list[0].Read != 3 {
		t.Errorf("got %+v, %v, want 3 read and waiting", list, err)
	}
	if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) > 0 || rep.Events != 3 {
		t.Errorf("verify: got %+v, %v", rep, err)
	}
	if _, err := queue.Look(queue.Config{Path: cfg.Path + "-not"}); err == nil {
		t.Error("a folder that is not there: got no error")
	}
}

func FuzzRecordDecode(f *testing.F) {
	for _, kind := range []byte{1, 2, 3, 4} {
		for _, seed := range queue.RecordSeeds() {
			f.Add(kind, seed)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		queue.DecodeRecord(kind, body)
	})
}

// A kill in the middle of a compaction leaves a file that was begun: that is no damage, and the next start removes it.
func TestVerifyTakesNoNoticeOfAnUnfinishedCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := small(t)
		fs := cfg.FS.(*fakeFS)
		const left = "/q/0000000003.log.tmp"
		f, err := fs.Open(left, os.O_RDWR|os.O_CREATE)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("half"), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) > 0 {
			t.Errorf("got %+v, %v, want no fault", rep, err)
		}
		if err := open(t, cfg).Close(); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(fs.files(""), left) {
			t.Errorf("%s is still there after a start", left)
		}
	})
}

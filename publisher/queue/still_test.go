package queue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/publisher/queue"
)

// TestALookStaysWhatItWas: a service that gives up its oldest removes segments and puts compacted ones in the place of
// others. Who looks meanwhile has the books of one moment, and they add up.
func TestALookStaysWhatItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := onDisk(t)
		cfg.MaxBytes, cfg.Segment = 100_000, 10_000
		cfg.WhenFull = map[string]queue.WhenFull{"live": queue.DropOldest}
		q := open(t, cfg)
		for i := range 8 {
			mustAppend(t, q, "live", "c", big("d", i*4, 4))
			mustAppend(t, q, "file", "c", events("kept", i*4, 4)) // so that the segments are compacted, not removed
		}
		v, err := queue.Look(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		before := q.State().Dropped
		for i := range 40 {
			mustAppend(t, q, "live", "c", big("d", i*4, 4))
		}
		if q.State().Dropped == before {
			t.Fatal("nothing was dropped meanwhile, so nothing was tested")
		}
		list, err := v.Accounts()
		if err != nil || len(list) != 2 || list[0].Read != 32 || list[0].Waiting != 32 || list[1].Read != 32 || list[1].Waiting != 32 {
			t.Errorf("got %+v, %v, want 32 of each device, all of them waiting", list, err)
		}
		n := 0
		for _, err := range v.Entries() {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		if n != 64 {
			t.Errorf("got %d entries, want the 64 that waited then", n)
		}
	})
}

func TestVerifyOfAFolderThatIsNotThere(t *testing.T) {
	cfg := onDisk(t)
	if rep, err := queue.Verify(queue.Config{Path: cfg.Path + "-not", Dead: cfg.Dead}); err == nil {
		t.Errorf("got %+v and no error: it would be called sound", rep)
	}
}

// TestVerifyKnowsACompactedSegment: the cursor knows a segment by the length that it had, and may be older than the
// compaction which made it shorter, for nothing is acknowledged while the platform is away.
func TestVerifyKnowsACompactedSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := onDisk(t)
		cfg.MaxBytes, cfg.Segment = 100_000, 10_000
		cfg.WhenFull = map[string]queue.WhenFull{"live": queue.DropOldest}
		q := open(t, cfg)
		mustAppend(t, q, "live", "c", big("d", 0, 4))
		mustAppend(t, q, "file", "c", events("kept", 0, 4))
		if err := q.Ack(all(t, q)[0].Number); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the cursor is written
		for i := 1; q.State().Dropped == 0; i++ {
			mustAppend(t, q, "live", "c", big("d", i*4, 4))
		}
		if rep, err := queue.Verify(cfg); err != nil || len(rep.Faults) > 0 {
			t.Errorf("got %+v, %v, want no fault", rep.Faults, err)
		}
	})
}

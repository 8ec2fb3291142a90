package queue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/publisher/queue"
)

// TestQueueThatFilledItsDiskFreesWhatWasDelivered: a disk smaller than a segment has one segment alone, which is the one
// that is being written. Once all of it was delivered, the disk has room.
func TestQueueThatFilledItsDiskFreesWhatWasDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFakeFS()
		fs.setSize(400_000)
		q := open(t, queue.Config{Path: "/q", FS: fs, Segment: 1 << 20})
		var last chan error
		for n := 0; ; n += 4 {
			if last = appended(q, "csv", big("d", n, 4)); !isDone(last) {
				break
			}
		}
		if st := q.State(); !st.DiskFull {
			t.Fatalf("got %+v, want a full disk", st)
		}
		for _, e := range all(t, q) {
			if err := q.Ack(e.Number); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		if !isDone(last) || q.State().DiskFull {
			t.Errorf("all was delivered 5 s ago, and the queue does not go on: %+v", q.State())
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

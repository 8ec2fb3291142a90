package queue_test

import (
	"path/filepath"
	"sync"
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

// A slowFS gives the room of what was removed back only when it is told to, as a disk does while another process has the
// file open, or until its next commit.
type slowFS struct {
	*fakeFS
	mu   sync.Mutex
	size int64
}

func (f *slowFS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.usedNow()
	err := f.fakeFS.Remove(name)
	if filepath.Ext(name) == ".log" {
		f.size -= before - f.usedNow()
		f.setSize(f.size)
	}
	return err
}

func TestDropOldestGivesUpNoMoreThanItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1_000_000
		fs := &slowFS{fakeFS: newFakeFS(), size: size}
		fs.setSize(size)
		q := open(t, queue.Config{Path: "/q", FS: fs, Segment: 20_000, WhenFull: map[string]queue.WhenFull{"bus": queue.DropOldest}})
		var last chan error
		stored := 0
		for ; ; stored += 4 {
			if last = appended(q, "bus", big("d", stored, 4)); !isDone(last) {
				break
			}
		}
		if st := q.State(); !st.DiskFull || st.Held != 1 || st.Dropped == 0 || int(st.Dropped) > stored/4 {
			t.Errorf("%d events stored, then %+v; want a full disk, some dropped, one append that waits", stored, st)
		}
		fs.setSize(size)
		time.Sleep(5 * time.Second)
		if st := q.State(); !isDone(last) || st.DiskFull {
			t.Errorf("the disk has room for 5 s, and the queue does not go on: %+v", st)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

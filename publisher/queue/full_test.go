package queue_test

import (
	"context"
	"errors"
	"fmt"
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

// What the disk does not show as free yet is waited for by all links together: not each of them gives up as much again.
func TestDropOldestOfManyLinksGivesUpNoMoreThanThatOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, links = 1_000_000, 10
		fs := &slowFS{fakeFS: newFakeFS(), size: size}
		fs.setSize(size)
		policy := map[string]queue.WhenFull{}
		for i := range links {
			policy[fmt.Sprint("bus-", i)] = queue.DropOldest
		}
		q := open(t, queue.Config{Path: "/q", FS: fs, Segment: 20_000, WhenFull: policy})
		stored := 0
		last := make([]chan error, links)
		waits := 0
		for waits < links {
			for i := range last {
				if last[i] == nil || isDone(last[i]) {
					last[i] = appended(q, fmt.Sprint("bus-", i), big("d", stored, 4))
					stored += 4
				}
			}
			waits = 0
			for _, c := range last {
				if !isDone(c) {
					waits++
				}
			}
		}
		if st := q.State(); !st.DiskFull || st.Dropped == 0 || int(st.Dropped) > stored/4 {
			t.Errorf("%d events stored, then %+v; want a full disk, and some dropped", stored, st)
		}
		fs.setSize(size)
		time.Sleep(5 * time.Second)
		if st := q.State(); st.Held > 0 || st.DiskFull {
			t.Errorf("the disk has room for 5 s, and the queue does not go on: %+v", st)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A disk that is full to the last byte must not hold up a stop.
func TestSetAsideOnAFullDiskEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFakeFS()
		cfg := queue.Config{Path: "/q", FS: fs}
		q := open(t, cfg)
		mustAppend(t, q, "csv", "1", big("d", 0, 4))
		fs.setSize(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := q.SetAside(ctx, all(t, q)[0], "PLT009", "refused"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v after a minute on a full disk, want the end of the context", err)
		}
		if st := q.State(); st.Held != 0 || st.Waiting != 4 {
			t.Errorf("got %+v, want all of the events to wait and no request", st)
		}
		fs.setSize(1 << 30)
		if err := q.SetAside(t.Context(), all(t, q)[0], "PLT009", "refused"); err != nil || len(letters(t, cfg)) != 1 {
			t.Errorf("got %v, want one dead letter when there is room again", err)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	})
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

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// big makes a batch of n events of about 1000 bytes each.
func big(device string, from, n int) mapping.Output {
	out := events(device, from, n)
	for i := range out.Events {
		out.Events[i].Payload = append(out.Events[i].Payload, strings.Repeat(" ", 980)...)
	}
	return out
}

// appended appends in the background.
func appended(q *queue.Queue, link string, out mapping.Output) chan error {
	done := make(chan error, 1)
	go func() { done <- q.Append(context.Background(), link, []byte("c"), out) }()
	synctest.Wait()
	return done
}

func isDone(c chan error) bool { return len(c) > 0 }

func TestFullQueueHoldsALinkUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Config{Path: "/q", FS: newFakeFS(), MaxBytes: 100_000, Segment: 10_000})
		var last chan error
		n := 0
		for ; ; n++ {
			if last = appended(q, "csv", big("d", n*4, 4)); !isDone(last) {
				break
			}
		}
		if n < 20 || n > 25 {
			t.Errorf("%d batches of 4 kB fit into 100 kB", n)
		}
		if st := q.State(); !st.Full || st.Held != 1 || st.DiskFull {
			t.Errorf("got %+v, want full, one held", st)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := q.Append(ctx, "csv-2", nil, big("d", 0, 4)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want it to wait", err)
		}
		mustAppend(t, q, "csv-3", "position", mapping.Output{}) // a position needs no room
		for _, e := range all(t, q)[:40] {
			if err := q.Ack(e.Number); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if !isDone(last) {
			t.Errorf("it waits although there is room: %+v", q.State())
		}
		if st := q.State(); st.Full || st.Held != 0 || st.Waiting != uint64(n*4-40+4) {
			t.Errorf("got %+v, want room, %d waiting", st, n*4-40+4)
		}
		_ = q.Close()
	})
}

func TestDropOldestGivesUpItsOwnAndNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := queue.Config{Path: "/q", FS: newFakeFS(), MaxBytes: 100_000, Segment: 10_000, WhenFull: map[string]queue.WhenFull{"bus": queue.DropOldest}}
		q := open(t, cfg)
		r := q.NewReader()
		defer r.Close()
		held := 0
		var last []chan error
		for i := range 200 { // one row of a file among ten readings, the platform away
			if i%10 == 0 && len(last) == 0 {
				if c := appended(q, "csv", big("file", held, 1)); isDone(c) {
					held++
				} else {
					last = append(last, c)
				}
			}
			if c := appended(q, "bus", big("meter", i, 1)); !isDone(c) {
				t.Fatalf("a live source is held at %d: %+v", i, q.State())
			}
			_, _, _ = r.Next() // a publisher under whose feet they go
		}
		file, meter := account(t, q, "file"), account(t, q, "meter")
		if file.Dropped != 0 || int(file.Waiting) != held || held < 6 {
			t.Errorf("got %+v, want all %d rows of the file", file, held)
		}
		if meter.Dropped == 0 || meter.Waiting < 50 || meter.Read != 200 {
			t.Errorf("got %+v, want the newest of 200 readings", meter)
		}
		list := all(t, q)
		if got := string(list[len(list)-1].Event.Payload); !strings.HasPrefix(got, `{"d":{"n":199}}`) {
			t.Errorf("the last is %.20s, want the newest", got)
		}
		if b := q.State().Bytes; b > 100_000+10_000 {
			t.Errorf("%d bytes on the disk, want about 100,000", b)
		}
		if got := q.State().Dropped; got != meter.Dropped {
			t.Errorf("state says %d dropped, the ledger %d", got, meter.Dropped)
		}
		_ = q.Close()
		q = open(t, cfg)
		if got := account(t, q, "meter"); got != meter {
			t.Errorf("after a start: got %+v, want %+v", got, meter)
		}
		if got := len(all(t, q)); got != len(list) {
			t.Errorf("after a start: got %d events, want %d", got, len(list))
		}
		_ = q.Close()
		for _, c := range last {
			<-c
		}
	})
}

func TestDropNewestMovesThePositionOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Config{Path: "/q", FS: newFakeFS(), MaxBytes: 50_000, Segment: 10_000, WhenFull: map[string]queue.WhenFull{"bus": queue.DropNewest}})
		for i := range 100 {
			mustAppend(t, q, "bus", fmt.Sprint(i), big("meter", i, 1))
		}
		if got := string(q.Checkpoint("bus")); got != "99" {
			t.Errorf("got checkpoint %q, want 99", got)
		}
		a := account(t, q, "meter")
		if a.Dropped == 0 || a.Waiting == 0 || a.Dropped+a.Waiting != 100 {
			t.Errorf("got %+v, want 100 waiting or dropped", a)
		}
		if first := all(t, q)[0]; first.Number != 1 {
			t.Errorf("the oldest is %d, want 1", first.Number)
		}
		_ = q.Close()
	})
}

func TestDiskFullGoesOnByItselfWithinFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFakeFS()
		fs.setSize(400_000)
		cfg := queue.Config{Path: "/q", FS: fs, Segment: 20_000}
		q := open(t, cfg)
		promised := 0
		var last chan error
		for {
			if last = appended(q, "csv", big("d", promised*4, 4)); !isDone(last) {
				break
			}
			promised++
		}
		if promised < 50 {
			t.Errorf("%d batches of 4 kB fit onto 400 kB", promised)
		}
		if st := q.State(); !st.DiskFull || st.Held != 1 {
			t.Errorf("got %+v, want a full disk", st)
		}
		list := all(t, q)
		if len(list) != promised*4 {
			t.Errorf("got %d events, want %d", len(list), promised*4)
		}
		if err := q.SetAside(t.Context(), list[0], "PLT009", "refused"); err != nil { // the reserve has room for it
			t.Errorf("set aside on a full disk: %v", err)
		}
		if err := q.Ack(list[1].Number); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if isDone(last) {
			t.Error("append came back, and the disk is full")
		}
		fs.setSize(600_000)
		time.Sleep(5 * time.Second)
		if !isDone(last) || q.State().DiskFull {
			t.Errorf("the disk has room for 5 s, and the queue does not go on: %+v", q.State())
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		q = open(t, cfg)
		if n := len(all(t, q)); n != promised*4+4-2 {
			t.Errorf("got %d events after a start, want %d", n, promised*4+4-2)
		}
		_ = q.Close()
	})
}

func TestBatchLargerThanTheQueueIsTakenWhenItIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Config{Path: "/q", FS: newFakeFS(), MaxBytes: 20_000, Segment: 10_000})
		mustAppend(t, q, "csv", "1", big("d", 0, 50))
		next := appended(q, "csv", big("d", 50, 50))
		if isDone(next) {
			t.Error("a second one was taken too")
		}
		for _, e := range all(t, q) {
			if err := q.Ack(e.Number); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(200 * time.Millisecond) // seen with the cursor's next write
		if !isDone(next) {
			t.Errorf("the queue is empty, and a large batch waits: %+v", q.State())
		}
		_ = q.Close()
	})
}

func TestHeldAppendEndsWithItsContextWhateverTheCommitterDoes(t *testing.T) {
	cfg := onDisk(t)
	cfg.MaxBytes, cfg.Segment = 20_000, 10_000
	q := open(t, cfg)
	for {
		ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := q.Append(ctx, "csv", nil, big("d", 0, 4))
		stop()
		if err != nil {
			break
		}
	}
	for range 300 { // each other append makes the committer look at those that are held
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- q.Append(ctx, "csv", nil, big("d", 0, 4)) }()
		mustAppend(t, q, "other", "position", mapping.Output{})
		go stop()
		mustAppend(t, q, "other", "position", mapping.Output{})
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context canceled", err)
		}
	}
}

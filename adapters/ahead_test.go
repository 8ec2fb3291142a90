package adapters_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/adapters"
)

// slowSink takes a second for each put, whatever its context says.
type slowSink struct {
	batches [][]string
	err     error
}

func (s *slowSink) put(_ context.Context, b adapters.Batch) error {
	time.Sleep(time.Second)
	var origins []string
	for _, r := range b.Readings {
		origins = append(origins, r.Origin)
	}
	s.batches = append(s.batches, origins)
	return s.err
}

func reading(n int) adapters.Reading { return adapters.Reading{Origin: strconv.Itoa(n)} }

func TestWhatCameDuringAPutIsTheNextBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sink slowSink
		a := adapters.NewAhead(t.Context(), sink.put, 100)
		began := time.Now()
		for n := range 6 {
			if err := a.Add(t.Context(), reading(n)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n == 3 {
				time.Sleep(1500 * time.Millisecond)
			}
		}
		if got := time.Since(began); got != 1500*time.Millisecond {
			t.Errorf("adding took %v, want no waiting", got)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		want := [][]string{{"0"}, {"1", "2", "3"}, {"4", "5"}}
		if !slices.EqualFunc(sink.batches, want, slices.Equal) {
			t.Errorf("got batches %q, want %q", sink.batches, want)
		}
	})
}

func TestAddWaitsWhileTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sink slowSink
		a := adapters.NewAhead(t.Context(), sink.put, 2)
		began := time.Now()
		for n := range 5 { // 0 is being put, 1 and 2 wait, 3 has to
			if err := a.Add(t.Context(), reading(n)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			want := time.Duration(0)
			if n >= 3 {
				want = time.Second
			}
			if got := time.Since(began); got != want {
				t.Errorf("record %d was taken after %v, want %v", n, got, want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := a.Add(ctx, reading(5)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error while there is no room", err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		want := [][]string{{"0"}, {"1", "2"}, {"3", "4"}}
		if !slices.EqualFunc(sink.batches, want, slices.Equal) {
			t.Errorf("got batches %q, want %q", sink.batches, want)
		}
	})
}

func TestWhatWaitsIsPutAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sink slowSink
		ctx, cancel := context.WithCancel(t.Context())
		a := adapters.NewAhead(ctx, sink.put, 100)
		for n := range 3 {
			if err := a.Add(ctx, reading(n)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		cancel()
		if err := a.Close(); err != nil {
			t.Errorf("got %v, want nil: the sink takes it still", err)
		}
		want := [][]string{{"0"}, {"1", "2"}}
		if !slices.EqualFunc(sink.batches, want, slices.Equal) {
			t.Errorf("got batches %q, want %q", sink.batches, want)
		}
	})
}

func TestFailedPutIsToldToTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := slowSink{err: errDisk}
		a := adapters.NewAhead(t.Context(), sink.put, 1)
		if err := a.Add(t.Context(), reading(0)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := a.Add(t.Context(), reading(1)); err != nil {
			t.Fatal(err)
		}
		if err := a.Add(t.Context(), reading(2)); !errors.Is(err, errDisk) {
			t.Errorf("an Add that waited for room got %v, want %v", err, errDisk)
		}
		<-a.Failed()
		if err := a.Add(t.Context(), reading(3)); !errors.Is(err, errDisk) {
			t.Errorf("a later Add got %v, want %v", err, errDisk)
		}
		if err := a.Close(); !errors.Is(err, errDisk) {
			t.Errorf("Close got %v, want %v", err, errDisk)
		}
		if len(sink.batches) != 1 {
			t.Errorf("got puts %q, want none after the failure", sink.batches)
		}
	})
}

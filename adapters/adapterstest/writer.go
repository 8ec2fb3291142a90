package adapterstest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"legacybridge/adapters"
)

// A WriterContract says how the writing of a source is exercised. Written counts the orders that reached the equipment;
// it may be called at any time.
type WriterContract struct {
	New     func() (adapters.Writer, error) // over the same equipment
	Order   adapters.Order                  // one that the equipment takes
	Written func() int
	Point   string // one of the device, for the read-back
}

// RunWriter fails t with the first breach of the contract.
func RunWriter(t *testing.T, c WriterContract) {
	t.Helper()
	if err := CheckWriter(t.Context(), c); err != nil {
		t.Error(err)
	}
}

const writerPatience = 20 * time.Second

// CheckWriter returns the first breach of the contract of adapters.Writer: nothing is written while nobody owns the
// link, nor later for a caller who has gone, nor after a veto; each order is written once, while the source reads on;
// what the equipment does not list is not written.
func CheckWriter(ctx context.Context, c WriterContract) error {
	w, err := c.New()
	if err != nil {
		return fmt.Errorf("new source: %w", err)
	}
	gone, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	if a := w.Write(gone, c.Order); a.Outcome != adapters.NotWritten || a.Code == "" || a.Why == "" {
		return fmt.Errorf("nobody owned the link, and Write answered %+v, want it not written, with a code and a reason", a)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	readings := 0
	put := func(_ context.Context, b adapters.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		readings += len(b.Readings)
		return nil
	}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(running, nil, put) }()
	limit, cancel := context.WithTimeout(ctx, writerPatience)
	defer cancel()
	const orders = 5
	for n := 1; n <= orders; n++ {
		began := time.Now()
		if a := w.Write(limit, c.Order); a.Outcome != adapters.Written || a.Code != "" || a.At.Before(began) {
			return fmt.Errorf("order %d: Write answered %+v, want it written", n, a)
		}
		if got := c.Written(); got != n {
			return fmt.Errorf("%d orders were written, want %d: each once, and none for a caller who has gone", got, n)
		}
	}
	other := c.Order
	other.Command = "a-command-that-nobody-listed"
	if a := w.Write(limit, other); a.Outcome != adapters.NotWritten || a.Code == "" {
		return fmt.Errorf("a command that is not listed: Write answered %+v, want it not written", a)
	}
	late := c.Order
	late.Veto = func() (string, string) { return "CMD011", "the interlock is not met any more" }
	if a := w.Write(limit, late); a.Outcome != adapters.NotWritten || a.Code != "CMD011" || a.Why == "" || !a.At.IsZero() {
		return fmt.Errorf("an order that must not be written any more: Write answered %+v, want it not written, for the reason given", a)
	}
	since := time.Now()
	if r, err := w.Read(limit, c.Order.Device, c.Point); err != nil || r.Device != c.Order.Device || r.Time.Before(since) {
		return fmt.Errorf("read gave %+v, %v, want a reading of %s from after the call", r, err, c.Order.Device)
	}
	stop()
	select {
	case err := <-ended:
		if err != nil && ctx.Err() == nil && running.Err() == nil {
			return fmt.Errorf("Run returned %w", err)
		}
	case <-time.After(stopWithin):
		return fmt.Errorf("Run had not returned %v after its context was done", stopWithin)
	}
	if got := c.Written(); got != orders {
		return fmt.Errorf("%d orders were written at the end, want %d", got, orders)
	}
	mu.Lock()
	defer mu.Unlock()
	if readings == 0 {
		return fmt.Errorf("no reading came while orders were written")
	}
	return nil
}

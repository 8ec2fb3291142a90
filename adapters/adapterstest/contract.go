// Package adapterstest is the contract of every source as one test: a sink that fails at every third put, the source
// made anew from the stored checkpoint each time, and all records arrive in order, none twice, none missing.
//
// A live source cannot be read again, so it may lose what came for or during the put that failed, and nothing else.
// Every source returns the sink's error when put fails, and returns within one second of its context being done.
package adapterstest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"legacybridge/adapters"
)

// A Contract says how one kind of source is exercised. All functions but Number are called from one goroutine.
type Contract struct {
	// New makes a source over the same equipment, as after a restart of the program.
	New func() (adapters.Source, error)

	// Produce makes the equipment deliver record n: 0, 1, 2 and so on. If a record can come in two parts (half a row, half
	// a frame) it calls half between them, which gives the source time to see the first part.
	// Live only: nil where the source asks and the equipment numbers its own answers from 0 (a poll).
	Produce func(n int, half func()) error

	// Number tells which record a reading is, and false if it is none that was produced.
	Number func(r adapters.Reading) (n int, ok bool)

	Live     bool          // the equipment cannot be read again
	Records  int           // how many to produce; 0 = 60
	Patience time.Duration // for a record that must arrive; 0 = 10 s
}

const (
	failEvery  = 3                      // puts; every third fails
	stopWithin = time.Second            // the promise of Source
	glance     = 100 * time.Millisecond // what a source is given to look at half a record
	halfEvery  = 7                      // records; one in so many comes in two parts
)

// Run fails t with the first breach of the contract.
func Run(t *testing.T, c Contract) {
	t.Helper()
	if err := Check(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// Check returns the first breach of the contract, nil if there is none. No source of it runs any more then.
func Check(ctx context.Context, c Contract) error {
	if c.Records == 0 {
		c.Records = 60
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	d := &driver{Contract: c, changed: make(chan struct{}, 1), lastStored: -1, lastSeen: -1}
	defer d.abandon()
	read := d.rereadable
	if c.Live {
		read = d.live
	}
	if err := read(ctx); err != nil {
		return err
	}
	return d.cancelDuringPut(ctx)
}

// rereadable produces the records in portions of one to five, some of them while the source is stopped.
func (d *driver) rereadable(ctx context.Context) error {
	for portion := 1; d.produced < d.Records; portion = portion%5 + 1 {
		stopped := portion%2 == 0
		if stopped {
			if err := d.stop(); err != nil {
				return err
			}
		} else if err := d.running(ctx); err != nil {
			return err
		}
		for range min(portion, d.Records-d.produced) {
			if err := d.produce(ctx); err != nil {
				return err
			}
		}
		if err := d.stored(ctx, d.produced-1); err != nil {
			return err
		}
	}
	d.watch(ctx) // a record given twice may come after the last one
	return d.stop()
}

// live produces records while the source listens. What is produced before a new source hears the first one may be lost:
// it was not yet open, or threw away what was under way when it opened.
func (d *driver) live(ctx context.Context) error {
	if d.Produce == nil {
		if err := d.stored(ctx, d.Records-1); err != nil {
			return err
		}
		return d.stop()
	}
	for portion := 1; d.produced < d.Records; portion = portion%5 + 1 {
		if err := d.running(ctx); err != nil {
			return err
		}
		for tries, listens := 0, false; !listens; tries++ {
			if tries > int(d.Patience/glance) {
				return fmt.Errorf("nothing came from the source in %v, want record %d", d.Patience, d.produced-1)
			}
			err := d.produce(ctx)
			if err != nil {
				return err
			}
			if listens, err = d.listening(ctx); err != nil {
				return err
			}
		}
		for range portion {
			if err := d.produce(ctx); err != nil {
				return err
			}
		}
		if err := d.heard(ctx, d.produced-1); err != nil {
			return err
		}
	}
	return d.stop()
}

// cancelDuringPut ends the context while the sink is still at work.
func (d *driver) cancelDuringPut(ctx context.Context) error {
	d.block = make(chan struct{})
	if err := d.start(ctx); err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		if d.Produce != nil && (d.Live || tries == 0) {
			if err := d.produce(ctx); err != nil {
				return err
			}
		}
		select {
		case <-d.block:
			return d.stop()
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(glance):
		}
		if tries == int(d.Patience/glance) {
			return fmt.Errorf("no put in %v, want one with record %d", d.Patience, d.produced-1)
		}
	}
}

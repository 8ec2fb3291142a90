package adapterstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"legacybridge/adapters"
)

var errSink = errors.New("the sink of the contract test fails every third time")

// errLate says that patience is at an end.
var errLate = errors.New("missing: nothing came in time")

// A driver is the sink, the store behind it and the program around the source.
type driver struct {
	Contract
	produced int           // records
	stopping func()        // ends the run; nil when none is under way
	ended    chan error    // what Run returned; capacity 1
	changed  chan struct{} // something below has changed; capacity 1
	block    chan struct{} // not nil: the next put closes it and waits for its context

	mu         sync.Mutex
	puts       int
	lastStored int                 // record
	lastSeen   int                 // record, also of a put that failed
	heardAny   bool                // this run has put something
	failed     bool                // this run's put has failed
	checkpoint adapters.Checkpoint // stored
	breach     error
}

// put is the sink.
func (d *driver) put(ctx context.Context, b adapters.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.poke()
	if d.failed {
		d.fault("put was called again after it had failed: its error was ignored")
		return errSink
	}
	if d.block != nil {
		if len(b.Readings) > 0 {
			close(d.block)
			<-ctx.Done() // nobody else needs mu before that
			d.failed = true
			return ctx.Err()
		}
		return nil
	}
	d.puts++
	d.failed = d.puts%failEvery == 0
	for _, r := range b.Readings {
		d.look(r)
	}
	if d.failed {
		return errSink
	}
	d.lastStored = d.lastSeen
	if b.Checkpoint != nil {
		d.checkpoint = slices.Clone(b.Checkpoint)
	}
	return nil
}

func (d *driver) poke() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// look holds one reading against what must come next.
func (d *driver) look(r adapters.Reading) {
	n, ok := d.Number(r)
	switch {
	case !ok:
		d.fault("a reading that nobody produced (half a record?) after record %d: %+v, fault %+v", d.lastSeen, r, r.Fault)
	case r.Fault == nil && len(r.Names) != len(r.Values):
		d.fault("record %d has %d names and %d values", n, len(r.Names), len(r.Values))
	case n <= d.lastSeen && (d.Live || d.heardAny), n <= d.lastStored:
		d.fault("record %d came after record %d: twice, or out of order", n, max(d.lastSeen, d.lastStored))
	case !d.Live && !d.heardAny && n != d.lastStored+1:
		d.fault("record %d came first after a start, want %d: the checkpoint was ahead of its data", n, d.lastStored+1)
	case d.heardAny && n != d.lastSeen+1:
		d.fault("record %d came after record %d: one is missing", n, d.lastSeen)
	}
	d.lastSeen, d.heardAny = n, true
}

// fault keeps the first breach.
func (d *driver) fault(format string, args ...any) {
	if d.breach == nil {
		d.breach = fmt.Errorf(format, args...)
	}
}

// produce delivers the next record; one in halfEvery in two parts, if the equipment can. If the source is stopped, it
// is run over the first part for a moment.
func (d *driver) produce(ctx context.Context) error {
	half := func() {}
	if d.produced%halfEvery == halfEvery-1 {
		half = func() {
			if d.stopping != nil {
				d.watch(ctx)
				return
			}
			if err := d.start(ctx); err != nil {
				d.mu.Lock()
				d.fault("start over half a record: %w", err)
				d.mu.Unlock()
				return
			}
			d.watch(ctx)
			if err := d.stop(); err != nil {
				d.mu.Lock()
				d.fault("%w", err)
				d.mu.Unlock()
			}
		}
	}
	if err := d.Produce(d.produced, half); err != nil {
		return fmt.Errorf("produce record %d: %w", d.produced, err)
	}
	d.produced++
	return nil
}

// start runs a new source from the stored checkpoint.
func (d *driver) start(ctx context.Context) error {
	src, err := d.New()
	if err != nil {
		return fmt.Errorf("new source: %w", err)
	}
	d.mu.Lock()
	d.failed, d.heardAny = false, false
	from := slices.Clone(d.checkpoint)
	d.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	d.stopping, d.ended = cancel, ended
	go func() {
		err := src.Run(ctx, from, d.put)
		if ctx.Err() == nil && !d.hasFailed() {
			d.mu.Lock()
			d.fault("Run returned %v although nothing had failed", err)
			d.mu.Unlock()
			d.poke()
		}
		ended <- err
	}()
	return nil
}

// stop ends the run, if one is under way, and wants it to be over in time.
func (d *driver) stop() error {
	if d.stopping == nil {
		return d.trouble()
	}
	d.stopping()
	return d.over(true)
}

// over waits for the end of a run that must end now.
func (d *driver) over(canceled bool) error {
	defer func() { d.stopping = nil }()
	select {
	case err := <-d.ended:
		d.stopping()
		return d.outcome(err, canceled)
	case <-time.After(stopWithin):
		if err := d.trouble(); err != nil {
			return err
		}
		if canceled {
			return fmt.Errorf("Run had not returned %v after its context was done", stopWithin)
		}
		return fmt.Errorf("Run had not returned %v after put failed: its error was ignored", stopWithin)
	}
}

// outcome judges what Run returned.
func (d *driver) outcome(err error, canceled bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.breach != nil:
	case canceled && (err == nil || errors.Is(err, context.Canceled)):
	case d.failed && errors.Is(err, errSink):
	case d.failed:
		d.fault("Run returned %v after put had failed, want put's error", err)
	default:
		d.fault("Run returned %w after its context was done, want nil or the context's error", err)
	}
	return d.breach
}

func (d *driver) trouble() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.breach
}

// running sees to it that a source runs.
func (d *driver) running(ctx context.Context) error {
	if d.stopping != nil && !d.hasFailed() {
		return nil
	}
	if d.stopping != nil {
		if err := d.over(false); err != nil {
			return err
		}
	}
	return d.start(ctx)
}

func (d *driver) hasFailed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// stored starts sources, one after the other, until record n is stored.
func (d *driver) stored(ctx context.Context, n int) error {
	late := time.After(d.Patience)
	for {
		if err := d.running(ctx); err != nil {
			return err
		}
		done := false
		err := d.await(ctx, late, func() bool { done = d.lastStored >= n; return done || d.failed })
		if err != nil || done {
			return err
		}
	}
}

// heard waits until this run has put record n, or its put has failed.
func (d *driver) heard(ctx context.Context, n int) error {
	return d.await(ctx, time.After(d.Patience), func() bool { return d.lastSeen >= n || d.failed })
}

// listening gives this run a moment to put its first record.
func (d *driver) listening(ctx context.Context) (bool, error) {
	listens := false
	err := d.await(ctx, time.After(glance), func() bool { listens = d.heardAny || d.failed; return listens })
	if errors.Is(err, errLate) {
		err = nil
	}
	return listens, err
}

// watch gives the source time to do something wrong.
func (d *driver) watch(ctx context.Context) {
	if err := d.await(ctx, time.After(glance), func() bool { return false }); !errors.Is(err, errLate) {
		d.mu.Lock()
		d.fault("%w", err)
		d.mu.Unlock()
	}
}

// await returns nil when cond is true, which is asked under mu whenever something has changed.
func (d *driver) await(ctx context.Context, late <-chan time.Time, cond func() bool) error {
	for {
		d.mu.Lock()
		done, breach, stored := cond(), d.breach, d.lastStored
		d.mu.Unlock()
		if breach != nil || done {
			return breach
		}
		select {
		case <-d.changed:
		case <-late:
			return fmt.Errorf("%w: %v after record %d was stored, of %d produced", errLate, d.Patience, stored, d.produced)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// abandon leaves no run behind.
func (d *driver) abandon() {
	if d.stopping != nil {
		d.stopping()
		select {
		case <-d.ended:
		case <-time.After(stopWithin):
		}
	}
}

package adapters

import (
	"context"
	"sync"
)

// Ahead lets a live source read on while a put waits for its commit: what came meanwhile is the next batch. Without it
// a link would be polled at the pace of the queue's linger. It is for sources that cannot be re-read, so it carries no
// checkpoint. One goroutine calls Add; the goroutine that Ahead starts has ended when Close returns.
type Ahead struct {
	max  int
	done chan struct{}

	mu      sync.Mutex
	waiting []Reading
	spare   []Reading // the slice of the last batch, to be filled again
	err     error
	closed  bool
	more    chan struct{} // there is something to put, or Close was called; capacity 1
	room    chan struct{} // a put has taken what waited, or failed; capacity 1
}

// NewAhead puts what is added to it. While max readings or more wait, Add waits too.
func NewAhead(ctx context.Context, put Sink, max int) *Ahead {
	a := &Ahead{max: max, done: make(chan struct{}), more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	go a.run(ctx, put)
	return a
}

// Add hands r over. It waits while max readings wait, and returns the error of a put that failed, or ctx's.
func (a *Ahead) Add(ctx context.Context, r ...Reading) error {
	for {
		a.mu.Lock()
		if a.err != nil {
			a.mu.Unlock()
			return a.err
		}
		if len(a.waiting) == 0 || len(a.waiting) < a.max {
			a.waiting = append(a.waiting, r...)
			a.mu.Unlock()
			poke(a.more)
			return nil
		}
		a.mu.Unlock()
		select {
		case <-a.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Failed is closed when a put has failed: a source that waits for its equipment returns then, by way of Close.
func (a *Ahead) Failed() <-chan struct{} { return a.done }

// Close waits until all that was added is stored, or a put has failed, and returns that error. What was added before
// ctx was done is still put: the sink decides how long it goes on after that.
func (a *Ahead) Close() error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	poke(a.more)
	<-a.done
	return a.err
}

func (a *Ahead) run(ctx context.Context, put Sink) {
	defer close(a.done)
	for range a.more {
		a.mu.Lock()
		batch, closed := a.waiting, a.closed
		a.waiting, a.spare = a.spare, nil
		a.mu.Unlock()
		poke(a.room)
		if len(batch) > 0 {
			err := put(ctx, Batch{Readings: batch})
			clear(batch) // what the readings point to may go
			a.mu.Lock()
			a.err, a.spare = err, batch[:0]
			a.mu.Unlock()
			if err != nil {
				poke(a.room)
				return
			}
		}
		if closed {
			return
		}
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

package adapters

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// A Supervisor starts a failed source again from its last stored checkpoint. It owns retries, so that a source is
// straight-line code that may return at the first trouble.
type Supervisor struct {
	Source Source
	Put    Sink
	From   Checkpoint    // the stored checkpoint at start, nil on the first run
	Reopen time.Duration // wait before starting again
	Log    *slog.Logger  // already carries the link's name
}

// errPut marks a failure of the sink: the source is innocent, and the sink's owner has said what is wrong.
type errPut struct{ error }

func (e errPut) Unwrap() error { return e.error }

// Run returns nil when the source has read all there is or ctx is done, and the sink's error when that has failed for
// good. Every other error of the source is logged and answered by a new start. The sink's errors do not
// count as the source's: a sink that fails has either seen ctx done or lost its disk.
func (s *Supervisor) Run(ctx context.Context) error {
	last, repeated := "", 0
	for {
		err := s.Source.Run(ctx, s.From, s.put)
		if ctx.Err() != nil || err == nil {
			return nil
		}
		if sink, ok := errors.AsType[errPut](err); ok {
			return sink.error
		}
		// The same trouble every two seconds would bury everything else.
		if err.Error() == last {
			repeated++
			s.Log.Debug("source failed, starting again", "err", err, "dur", s.Reopen)
		} else {
			s.Log.Warn("source failed, starting again", "err", err, "dur", s.Reopen, "repeated", repeated)
			last, repeated = err.Error(), 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.Reopen):
		}
	}
}

// put remembers what is stored, for the next start.
func (s *Supervisor) put(ctx context.Context, b Batch) error {
	if err := s.Put(ctx, b); err != nil {
		return errPut{err}
	}
	if b.Checkpoint != nil {
		s.From = b.Checkpoint
	}
	return nil
}

package adapters

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// A Supervisor starts a failed source again from its last stored checkpoint. It owns retries, so that a source is
// straight-line code that may return at the first trouble.
type Supervisor struct {
	Source Source
	Put    Sink
	From   Checkpoint    // the stored checkpoint at start, nil on the first run
	Reopen time.Duration // wait before starting again; 0 = 2 s
	Log    *slog.Logger  // already carries the link's name
	Told   func() bool   // the trouble is in the log already, by what the source reports; nil: it never is

	failed   error // of Put
	progress bool  // something was stored since the last warning
}

// remind is how often a trouble that goes on is warned of: the same line every two seconds would bury everything else.
const remind = 10 * time.Minute

// Run returns nil when the source has read all there is or ctx is done, and the sink's error when that has failed for
// good. Every other error of the source is logged, unless it was Told, and answered by a new start. The sink's errors do not
// count as the source's: a sink that fails has either seen ctx done or lost its disk.
func (s *Supervisor) Run(ctx context.Context) error {
	var last string // trouble warned of
	var warned time.Time
	repeated := 0
	reopen := s.Reopen
	if reopen == 0 {
		reopen = 2 * time.Second
	}
	for {
		err := s.Source.Run(ctx, s.From, s.put)
		if ctx.Err() != nil {
			return nil
		}
		// Not by what Run returned: a source that hides the sink's error would be taken for one that has finished.
		if s.failed != nil {
			return s.failed
		}
		if err == nil {
			return nil
		}
		told := s.Told != nil && s.Told()
		again := !s.progress && !warned.IsZero() && (told || err.Error() == last)
		switch {
		case again && time.Since(warned) < remind:
			repeated++
			s.Log.Debug("source failed, starting again", "err", err, "dur", reopen)
		case told && !again:
			s.Log.Debug("source failed, starting again", "err", err, "dur", reopen)
			last, warned, repeated, s.progress = err.Error(), time.Now(), 0, false
		default:
			s.Log.Warn("source failed, starting again", "err", err, "dur", reopen, "n", repeated)
			last, warned, repeated, s.progress = err.Error(), time.Now(), 0, false
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reopen):
		}
	}
}

// put remembers what is stored, for the next start.
func (s *Supervisor) put(ctx context.Context, b Batch) error {
	if err := s.Put(ctx, b); err != nil {
		s.failed = err
		return err
	}
	s.progress = true
	if b.Checkpoint != nil {
		s.From = slices.Clone(b.Checkpoint) // the source may write its next one into the same bytes
	}
	return nil
}

package adapterstest_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"legacybridge/adapters"
	"legacybridge/adapters/adapterstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A tape is equipment that can be read again: lines that are written one after the other.
type tape struct {
	mu    sync.Mutex
	bytes []byte
	grown chan struct{}
	torn  chan struct{}
}

func (e *tape) write(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bytes = append(e.bytes, s...)
	select {
	case e.grown <- struct{}{}:
	default:
	}
}

func (e *tape) produce(n int, half func()) error {
	line := strconv.Itoa(n) + ";row " + strconv.Itoa(n) + " ends\n"
	e.write(line[:len(line)-3])
	half()
	e.write(line[len(line)-3:])
	return nil
}

func (e *tape) from(offset int) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.bytes[offset:])
}

// A tapeSource is right, but for the faults that are switched on.
type tapeSource struct {
	*tape
	ignoresError, aheadCheckpoint, takesHalf, lateCheckpoint, ownError, deaf, dropsSecond, givesUp bool
}

func (s tapeSource) Run(ctx context.Context, from adapters.Checkpoint, put adapters.Sink) error {
	offset, _ := strconv.Atoi(string(from))
	for {
		rest := s.from(offset)
		end := bytes.LastIndexByte(rest, '\n') + 1
		if s.takesHalf {
			end = len(rest)
		}
		if end > 0 {
			var b adapters.Batch
			for line := range strings.Lines(string(rest[:end])) {
				n, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ";")
				b.Readings = append(b.Readings, adapters.Reading{Names: []string{"n", "text"}, Values: []string{n, text}})
			}
			next := offset + end
			b.Checkpoint = adapters.Checkpoint(strconv.Itoa(next))
			if s.lateCheckpoint {
				b.Checkpoint = adapters.Checkpoint(strconv.Itoa(offset))
			}
			if s.dropsSecond && len(b.Readings) > 2 {
				b.Readings = append(b.Readings[:1], b.Readings[2:]...)
			}
			if s.aheadCheckpoint && len(b.Readings) > 1 {
				half := len(b.Readings) / 2
				if err := put(ctx, adapters.Batch{Readings: b.Readings[:half], Checkpoint: b.Checkpoint}); err != nil {
					return err
				}
				b.Readings = b.Readings[half:]
			}
			switch err := put(ctx, b); {
			case err == nil, s.ignoresError && ctx.Err() == nil:
			case s.ownError:
				return errors.New("something went wrong")
			default:
				return err
			}
			offset = next
			continue
		}
		if s.givesUp {
			return nil
		}
		if s.deaf {
			select {
			case <-s.grown:
				continue
			case <-s.torn:
				return nil
			}
		}
		select {
		case <-s.grown:
		case <-ctx.Done():
			return nil
		}
	}
}

func number(r adapters.Reading) (int, bool) {
	if len(r.Values) != 2 {
		return 0, false
	}
	n, err := strconv.Atoi(r.Values[0])
	return n, err == nil && r.Values[1] == "row "+r.Values[0]+" ends"
}

func checkTape(t *testing.T, fault func(*tapeSource)) error {
	e := &tape{grown: make(chan struct{}, 1), torn: make(chan struct{})}
	s := tapeSource{tape: e}
	fault(&s)
	err := adapterstest.Check(t.Context(), adapterstest.Contract{
		New:     func() (adapters.Source, error) { return s, nil },
		Produce: e.produce,
		Number:  number,

		Patience: time.Second,
	})
	close(e.torn) // lets a deaf source go
	return err
}

func TestGoodSourcePasses(t *testing.T) {
	t.Parallel()
	if err := checkTape(t, func(*tapeSource) {}); err != nil {
		t.Errorf("got %v, want no breach", err)
	}
}

func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault func(*tapeSource)
		want  string
	}{
		{"the error of put is ignored", func(s *tapeSource) { s.ignoresError = true }, "error was ignored"},
		{"the checkpoint is ahead of its data", func(s *tapeSource) { s.aheadCheckpoint = true }, "missing"},
		{"half a row is taken", func(s *tapeSource) { s.takesHalf = true }, "nobody produced"},
		{"the checkpoint lags behind its data", func(s *tapeSource) { s.lateCheckpoint = true }, "twice"},
		{"the error of put is replaced", func(s *tapeSource) { s.ownError = true }, "want put's error"},
		{"Run does not heed its context", func(s *tapeSource) { s.deaf = true }, "had not returned"},
		{"a record is left out", func(s *tapeSource) { s.dropsSecond = true }, "missing"},
		{"Run returns although there will be more", func(s *tapeSource) { s.givesUp = true }, "nothing had failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := checkTape(t, c.fault)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a breach with %q", err, c.want)
			}
		})
	}
}

// A horn is live equipment: who does not listen misses it.
type horn struct{ sound chan string }

func (e *horn) produce(n int, half func()) error {
	half()
	select {
	case e.sound <- strconv.Itoa(n):
	case <-time.After(10 * time.Millisecond):
	}
	return nil
}

type hornSource struct {
	*horn
	ignoresError, dropsSome, repeats bool
}

func (s hornSource) Run(ctx context.Context, _ adapters.Checkpoint, put adapters.Sink) error {
	for heard := 0; ; heard++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case n := <-s.sound:
			if s.dropsSome && heard == 1 {
				continue
			}
			b := adapters.Batch{Readings: []adapters.Reading{{Names: []string{"n", "text"}, Values: []string{n, "row " + n + " ends"}}}}
			if s.repeats && heard == 1 {
				b.Readings = append(b.Readings, b.Readings...)
			}
			if err := put(ctx, b); err != nil && !s.ignoresError {
				return err
			}
		}
	}
}

func checkHorn(t *testing.T, fault func(*hornSource)) error {
	s := hornSource{horn: &horn{sound: make(chan string)}}
	fault(&s)
	return adapterstest.Check(t.Context(), adapterstest.Contract{
		Live:    true,
		New:     func() (adapters.Source, error) { return s, nil },
		Produce: s.produce,
		Number:  number,

		Patience: time.Second,
	})
}

func TestGoodLiveSourcePasses(t *testing.T) {
	t.Parallel()
	if err := checkHorn(t, func(*hornSource) {}); err != nil {
		t.Errorf("got %v, want no breach", err)
	}
}

func TestPlantedFaultsOfLiveSourcesAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault func(*hornSource)
		want  string
	}{
		{"the error of put is ignored", func(s *hornSource) { s.ignoresError = true }, "error was ignored"},
		{"records are left out", func(s *hornSource) { s.dropsSome = true }, "missing"},
		{"a record comes twice", func(s *hornSource) { s.repeats = true }, "twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := checkHorn(t, c.fault)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a breach with %q", err, c.want)
			}
		})
	}
}

// A poll answers as often as it is asked.
type poll struct{ answers *int }

func (s poll) Run(ctx context.Context, _ adapters.Checkpoint, put adapters.Sink) error {
	for ctx.Err() == nil {
		n := strconv.Itoa(*s.answers)
		*s.answers++
		if err := put(ctx, adapters.Batch{Readings: []adapters.Reading{{Names: []string{"n", "text"}, Values: []string{n, "row " + n + " ends"}}}}); err != nil {
			return err
		}
	}
	return nil
}

func TestPolledSourceNumbersItsOwnAnswers(t *testing.T) {
	t.Parallel()
	answers := new(int)
	adapterstest.Run(t, adapterstest.Contract{
		Live:   true,
		New:    func() (adapters.Source, error) { return poll{answers}, nil },
		Number: number,
	})
}

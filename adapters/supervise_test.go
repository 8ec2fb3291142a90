package adapters_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/adapters"
)

var errDisk = errors.New("disk lost")

// script is a source whose nth Run is the nth function; the last one stays.
type script struct {
	runs  []func(ctx context.Context, from adapters.Checkpoint, put adapters.Sink) error
	froms []string
}

func (s *script) Run(ctx context.Context, from adapters.Checkpoint, put adapters.Sink) error {
	s.froms = append(s.froms, string(from))
	return s.runs[min(len(s.froms), len(s.runs))-1](ctx, from, put)
}

func fails(text string) func(context.Context, adapters.Checkpoint, adapters.Sink) error {
	return func(context.Context, adapters.Checkpoint, adapters.Sink) error { return errors.New(text) }
}

func stores(checkpoint string, err error) func(context.Context, adapters.Checkpoint, adapters.Sink) error {
	return func(ctx context.Context, _ adapters.Checkpoint, put adapters.Sink) error {
		mark := adapters.Checkpoint(checkpoint)
		if err := put(ctx, adapters.Batch{Checkpoint: mark}); err != nil {
			return err
		}
		clear(mark) // a source may use the bytes again
		return err
	}
}

func accept(context.Context, adapters.Batch) error { return nil }

func TestFailedSourceStartsAgainFromItsStoredCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{}
		src.runs = append(src.runs, fails("no port"), stores("a", errors.New("unplugged")), fails("no port"), stores("b", nil))
		s := adapters.Supervisor{Source: src, Put: accept, From: adapters.Checkpoint("start"), Reopen: 3 * time.Second, Log: slog.New(slog.DiscardHandler)}
		began := time.Now()
		if err := s.Run(t.Context()); err != nil {
			t.Errorf("got %v, want nil: the source has read all there is", err)
		}
		if want := []string{"start", "start", "a", "a"}; !slices.Equal(src.froms, want) {
			t.Errorf("started from %q, want %q", src.froms, want)
		}
		if got := time.Since(began); got != 9*time.Second {
			t.Errorf("took %v, want three times the reopen wait", got)
		}
	})
}

func TestSinkErrorEndsSupervision(t *testing.T) {
	lost := func(context.Context, adapters.Batch) error { return errDisk }
	for name, run := range map[string]func(context.Context, adapters.Checkpoint, adapters.Sink) error{
		"returned as it is": stores("a", nil),
		"wrapped": func(ctx context.Context, _ adapters.Checkpoint, put adapters.Sink) error {
			return fmt.Errorf("kiln.csv: %w", put(ctx, adapters.Batch{}))
		},
		"hidden behind nil": func(ctx context.Context, _ adapters.Checkpoint, put adapters.Sink) error {
			_ = put(ctx, adapters.Batch{})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			src := &script{}
			src.runs = append(src.runs, run)
			s := adapters.Supervisor{Source: src, Put: lost, From: adapters.Checkpoint("start"), Log: slog.New(slog.DiscardHandler)}
			if err := s.Run(t.Context()); !errors.Is(err, errDisk) {
				t.Errorf("got %v, want %v", err, errDisk)
			}
			if len(src.froms) != 1 || string(s.From) != "start" {
				t.Errorf("started %d times, checkpoint %q; want once and the old one", len(src.froms), s.From)
			}
		})
	}
}

func TestSupervisionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		src := &script{}
		src.runs = append(src.runs, fails("no port"))
		s := adapters.Supervisor{Source: src, Put: accept, Reopen: time.Hour, Log: slog.New(slog.DiscardHandler)}
		began := time.Now()
		if err := s.Run(ctx); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("got %v after %v, want nil at once when the context is done", err, time.Since(began))
		}
	})
}

func TestWithoutReopenItDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		src := &script{}
		src.runs = append(src.runs, fails("no port"))
		s := adapters.Supervisor{Source: src, Put: accept, Log: slog.New(slog.DiscardHandler)}
		if err := s.Run(ctx); err != nil || len(src.froms) != 5 {
			t.Errorf("got %v and %d starts in 9 s, want nil and 5", err, len(src.froms))
		}
	})
}

func TestRepeatedTroubleIsSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
		defer cancel()
		src := &script{}
		src.runs = append(src.runs, fails("no port"), fails("no port"), stores("a", errors.New("no port")), fails("no port"), fails("no right to open it"), fails("no port"))
		s := adapters.Supervisor{Source: src, Put: accept, Reopen: 2 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))}
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(log.String()) {
			_, text, _ := strings.Cut(strings.TrimSpace(line), "err=")
			got = append(got, text)
		}
		want := []string{
			`"no port" dur=2s n=0`,
			`"no port" dur=2s n=1`, // something was stored in between
			`"no right to open it" dur=2s n=1`,
			`"no port" dur=2s n=0`,
			`"no port" dur=2s n=299`, // ten minutes later
			`"no port" dur=2s n=299`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got warnings\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestToldTroubleIsNotToldAgain: a source that reports its state has told why it failed; only a reminder follows.
func TestToldTroubleIsNotToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Minute)
		defer cancel()
		src := &script{}
		src.runs = append(src.runs, fails("port vanished"), fails("no port"))
		s := adapters.Supervisor{Source: src, Put: accept, Reopen: 2 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil)), Told: func() bool { return true }}
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `err="no port" dur=2s n=299`) {
			t.Errorf("got\n%swant one line, ten minutes later, with what is wrong now", got)
		}
	})
}

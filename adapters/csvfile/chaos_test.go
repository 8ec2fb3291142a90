package csvfile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"

	"legacybridge/adapters"
)

// A logger writes rows the way loggers do: in pieces, with rotation, truncation, rewriting and damage.
type logger struct {
	rnd    *rand.Rand
	dir    string
	file   string
	encode func(string) []byte
	whole  []byte // of the file, for rewriting
	rows   int    // written
	dead   int    // written that no one can read
	files  int
	given  atomic.Int64 // rows that were stored
	ctx    context.Context
}

var chaosEncodings = []func(string) []byte{
	func(s string) []byte { return []byte(s) },
	func(s string) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return b
	},
	func(s string) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u>>8), byte(u))
		}
		return b
	},
}

// begin starts a new file in some encoding. Its mark tells which.
func (l *logger) begin() error {
	l.encode, l.whole = chaosEncodings[l.rnd.IntN(len(chaosEncodings))], nil
	l.files++
	return l.write("\uFEFF" + kilnHead)
}

// write appends in pieces of random size.
func (l *logger) write(text string) error {
	b := l.encode(text)
	l.whole = append(l.whole, b...)
	for len(b) > 0 {
		n := 1 + l.rnd.IntN(len(b))
		if err := appendFile(l.file, string(b[:n])); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (l *logger) some(most int) error {
	var text strings.Builder
	for range 1 + l.rnd.IntN(most) {
		text.WriteString(kilnRow(l.rows))
		l.rows++
	}
	return l.write(text.String())
}

// caughtUp waits until all rows are stored: what is truncated before that is lost by nature.
func (l *logger) caughtUp() error {
	for l.given.Load() < int64(l.rows) {
		select {
		case <-l.ctx.Done():
			return fmt.Errorf("%d rows of %d were stored: %w", l.given.Load(), l.rows, l.ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// act does one thing.
func (l *logger) act() error {
	switch l.rnd.IntN(14) {
	case 0: // rotation by rename
		if err := os.Rename(l.file, fmt.Sprintf("%s.%d", l.file, l.files)); err != nil {
			return err
		}
		return l.begin()
	case 1: // copytruncate, or a restart of the logger
		if err := l.some(1); err != nil { // behind what is damaged
			return err
		}
		if err := l.caughtUp(); err != nil {
			return err
		}
		if err := os.Truncate(l.file, 0); err != nil {
			return err
		}
		return l.begin()
	case 2: // rewritten whole, with more, and put in place
		for range 1 + l.rnd.IntN(3) {
			l.whole = append(l.whole, l.encode(kilnRow(l.rows))...)
			l.rows++
		}
		tmp := filepath.Join(l.dir, "tmp")
		if err := os.WriteFile(tmp, l.whole, 0o644); err != nil {
			return err
		}
		return os.Rename(tmp, l.file)
	case 3: // power cut
		l.dead++
		return l.write(strings.Repeat("\x00", 1+l.rnd.IntN(3000)) + "damaged\n")
	case 4: // quote bomb
		l.dead++
		bomb := "\"bomb;" + kilnRow(0)[1:]
		for range 45 { // enough for max_record: an open quote waits for its end
			bomb += kilnRow(l.rows)
			l.rows++
		}
		return l.write(bomb)
	case 5:
		l.dead++
		return l.write("too;many;columns\n")
	case 6: // the header once more
		return l.write(kilnHead)
	case 7: // another header for a while
		l.dead += 2
		return l.write("text;n;x\na;1;2\nb;3\n" + kilnHead)
	case 8: // longer than max_record
		l.dead++
		return l.write(strings.Repeat("long;", 200+l.rnd.IntN(2000)) + "\n")
	}
	return l.some(20)
}

// Whatever the logger does, all rows come once and in order, and what is damaged comes as dead letters; half of the runs go
// without hints, and the sink fails now and then.
func TestChaos(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			dir := t.TempDir()
			l := &logger{rnd: rand.New(rand.NewPCG(seed, 1)), dir: dir, file: filepath.Join(dir, "LOG"), ctx: ctx}
			if err := l.begin(); err != nil {
				t.Fatal(err)
			}
			cfg := kiln(filepath.Join(dir, "LOG*"))
			cfg.Batch, cfg.Format.MaxRecord = 7, 512

			_, stored, err := once(t, cfg, nil) // the first look is behind us
			if err != nil {
				t.Fatal(err)
			}
			var codes []string
			var done atomic.Bool // the logger has ended
			var expect, dead atomic.Int64
			next, puts := 0, 0
			failing := rand.New(rand.NewPCG(seed, 2))
			errDisk := errors.New("disk lost")
			put := func(_ context.Context, b adapters.Batch) error {
				if puts++; failing.IntN(10) == 0 {
					return errDisk
				}
				for _, r := range b.Readings {
					if r.Fault != nil {
						codes = append(codes, r.Fault.Code)
						continue
					}
					n, ok := kilnNumber(r)
					if !ok || n != next {
						t.Errorf("got %s from %s, want row %d", short(r), r.Origin, next)
						cancel()
					}
					next++
				}
				stored = slices.Clone(b.Checkpoint)
				l.given.Store(int64(next))
				if done.Load() && int64(next) == expect.Load() && int64(len(codes)) >= dead.Load() {
					cancel()
				}
				return nil
			}
			ended := make(chan error, 1)
			go func() {
				var err error
				for n := 0; n < 120 && err == nil; n++ {
					err = l.act()
				}
				expect.Store(int64(l.rows + 1))
				dead.Store(int64(l.dead))
				done.Store(true)
				if err == nil {
					err = l.write(kilnRow(l.rows))
				}
				ended <- err
			}()
			for ctx.Err() == nil {
				err := newSource(t, cfg, seed%2 == 0).Run(ctx, stored, put)
				if !errors.Is(err, errDisk) && ctx.Err() == nil {
					t.Fatalf("Run returned %v", err)
				}
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if next != l.rows+1 || len(codes) != l.dead {
				t.Errorf("got %d rows and %d dead letters in %d puts, want %d and %d", next, len(codes), puts, l.rows+1, l.dead)
			}
			slices.Sort(codes)
			t.Logf("%d rows in %d files, dead letters %d %v", next, l.files, len(codes), slices.Compact(codes))
		})
	}
}

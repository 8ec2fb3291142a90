package sim

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestKilnWritesRowsAsALoggerDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kiln.csv")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 99*time.Second+time.Millisecond)
		defer cancel()
		if err := (Kiln{Path: file}).Run(ctx, time.Second); err != nil {
			t.Fatal(err)
		}
	})
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(b), "\n")
	if want := "time;zone_1;zone_2;pressure"; head != want {
		t.Errorf("got header %q, want %q", head, want)
	}
	rows, none, broken := 0, 0, 0
	good := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d;10\d\d,\d;(---|10\d\d,\d);1\d,\d\n$`)
	for row := range strings.Lines(rest) {
		rows++
		switch {
		case strings.Contains(row, ";ERR 7;"):
			broken++
			continue
		case strings.Contains(row, "---"):
			none++
		}
		if !good.MatchString(row) {
			t.Errorf("got row %q", row)
		}
	}
	if rows != 100 || none != 14 || broken != 5 {
		t.Errorf("got %d rows, %d without a value, %d broken; want 100, 14, 5", rows, none, broken)
	}
}

func TestKilnGoesOnWithItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kiln.csv")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if err := (Kiln{Path: file}).Run(ctx, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(b), "\n") != 3 || strings.Count(string(b), "zone_1") != 1 {
		t.Errorf("got %q, want one header and two rows", b)
	}
}

package csvfile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"legacybridge/adapters"
)

// A million rows of about 40 bytes: number, time, one of 100 devices, two decimals, one word.
func BenchmarkMillionRows(b *testing.B) {
	const rows = 1_000_000
	for _, c := range []struct {
		name string
		time *Time
		word string
	}{
		{"plain", nil, "ok"},
		{"time", &Time{Columns: []string{"time"}, Format: "%Y-%m-%d %H:%M:%S"}, "ok"},
		{"quoted", nil, `"ok"`},
	} {
		b.Run(c.name, func(b *testing.B) {
			file := filepath.Join(b.TempDir(), "bench.csv")
			var text strings.Builder
			text.WriteString("n,time,dev,a,b,word\n")
			for n := range rows {
				fmt.Fprintf(&text, "%d,2026-05-11 %02d:%02d:%02d,d%02d,20.10,4.25,%s\n", n, n/3600%24, n/60%60, n%60, n%100, c.word)
			}
			if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
				b.Fatal(err)
			}
			s, err := New(Config{Files: file, Once: true, Format: Format{Header: true, Time: c.time},
				Devices: []Device{{Name: "d", Columns: []Column{{"n", "n"}, {"a", "a"}, {"b", "b"}, {"word", "word"}}, Uses: []string{"dev"}}}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			before := cpu()
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				got := 0
				err := s.Run(context.Background(), nil, func(_ context.Context, batch adapters.Batch) error {
					got += len(batch.Readings)
					return nil
				})
				if err != nil || got != rows {
					b.Fatalf("got %d rows, %v, want %d", got, err, rows)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
			b.ReportMetric(float64(cpu()-before)/float64(b.N)/rows, "cpu-ns/row")
		})
	}
}

// cpu is the processor time of this process: other builds on the same machine do not blur it.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

package queue_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// benchOutput is a batch of n events of 100 devices, as a CSV file makes them.
func benchOutput(n int) mapping.Output {
	out := mapping.Output{}
	now := time.Now().UTC()
	for i := range n {
		d := fmt.Sprintf("device-%02d", i%100)
		out.Events = append(out.Events, mapping.Event{
			Device: d, Type: "kiln", ID: "K-" + d, Name: "temperature", Format: "json", QoS: 1, Number: mapping.AsMember,
			Time:    now.Add(time.Duration(i) * time.Millisecond),
			Payload: fmt.Appendf(nil, `{"d":{"number":%d,"zone_1":%d.25,"zone_2":20.10,"word":"kiln"},"ts":"2026-05-11T08:04:31.114Z"}`, i, i),
		})
	}
	for i := range min(n, 100) {
		out.Counts = append(out.Counts, mapping.Count{Device: out.Events[i].Device, Read: (n - i + 99) / 100})
	}
	return out
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkQueue appends a batch, reads it and acknowledges it, on the real disk; ns/op is of one event.
func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{1, 10, 100, 500} {
		b.Run(fmt.Sprintf("batch-%d", n), func(b *testing.B) {
			dir := b.TempDir()
			q, err := queue.Open(queue.Config{Path: filepath.Join(dir, "q"), Dead: queue.DeadConfig{Path: filepath.Join(dir, "d")}})
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			r := q.NewReader()
			defer r.Close()
			out := benchOutput(n)
			checkpoint := make([]byte, 64)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			for done := 0; done < b.N; done += n {
				if err := q.Append(b.Context(), "csv", checkpoint, out); err != nil {
					b.Fatal(err)
				}
				for range n {
					e, ok, err := r.Next()
					if !ok || err != nil {
						b.Fatal(ok, err)
					}
					if err := q.Ack(e.Number); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/event")
		})
	}
}

// BenchmarkDisk writes and syncs as many bytes as a batch has, and does nothing else.
func BenchmarkDisk(b *testing.B) {
	for _, n := range []int{1, 10, 100, 500} {
		b.Run(fmt.Sprintf("batch-%d", n), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "f"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			size := 0
			for _, ev := range benchOutput(n).Events {
				size += len(ev.Payload) + 6 // time, lengths, template
			}
			buf := make([]byte, size+200)
			off := int64(0)
			b.ResetTimer()
			before := cpu()
			for done := 0; done < b.N; done += n {
				if _, err := f.WriteAt(buf, off); err != nil {
					b.Fatal(err)
				}
				if err := syscall.Fdatasync(int(f.Fd())); err != nil {
					b.Fatal(err)
				}
				if off += int64(len(buf)); off > 8<<20 { // as a segment: space that is new
					off = 0
					if err := f.Truncate(0); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/event")
		})
	}
}

package mapping

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWindowsAreBounded: readings may come as often as they like.
func TestWindowsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := memorySpec{fn: rapid.SampledFrom([]string{"avg", "rate", "min", "max"}).Draw(t, "fn"), window: time.Minute}
		gap := rapid.SampledFrom([]time.Duration{0, 1, time.Millisecond, 233 * time.Millisecond, 235 * time.Millisecond, time.Second, time.Hour}).Draw(t, "gap")
		var m memory
		at := time.Unix(0, 0)
		one := value{kind: number, full: decimal{coef: 1}}
		for range 1000 {
			at = at.Add(gap)
			if x, ok := m.next(&spec, &one, at); ok && x != 1 && spec.fn != "rate" {
				t.Fatalf("got %g, want 1", x)
			}
			if len(m.buckets) > slots+1 || cap(m.buckets) > 4*slots {
				t.Fatalf("got %d buckets and room for %d, want at most %d", len(m.buckets), cap(m.buckets), slots+1)
			}
		}
	})
}

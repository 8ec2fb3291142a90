package mapping

import "time"

// A memorySpec is one call of a function with memory. Each produced id has a memory for each of them.
type memorySpec struct {
	fn      string // rate delta avg min max ago
	source  int    // among the device's values
	counter bool   // only rises: a drop is a reset, after which it counts from 0
	window  time.Duration
}

// A recalled is what a function with memory gives for one reading.
type recalled struct {
	x  float64
	ok bool
}

// slots bounds a window's memory: it keeps at most so many buckets (20 KB), so readings that come more often than a
// slot of its length share one, and leave the window together.
const slots = 256

// A bucket is the readings of one slot.
type bucket struct {
	start         time.Time // of its first reading
	total         float64   // rise up to its first reading
	sum, min, max float64
	n             int
}

// A memory is what a function remembers of one point. The zero value remembers nothing.
type memory struct {
	known   bool
	at      time.Time // of the last reading that brought the point
	last    float64
	total   float64  // rise since the first
	buckets []bucket // oldest first; the first may begin before the window, for rate
}

// next takes the point's value of a reading at t, and gives the function's. Like every result, it is absent where the
// point is; only ago asks for nothing but readings before this one. A clock that went back begins a window anew.
func (m *memory) next(spec *memorySpec, v *value, t time.Time) (x float64, ok bool) {
	if spec.fn == "ago" {
		x, ok = t.Sub(m.at).Seconds(), m.known && !t.Before(m.at)
		if v.kind != absent {
			m.known, m.at = true, t
		}
		return x, ok
	}
	if v.kind != number {
		return 0, false
	}
	now, before := v.full.float(), *m
	m.known, m.at, m.last = true, t, now
	rise := now - before.last
	if spec.counter && rise < 0 {
		rise = now
	}
	if spec.fn == "delta" {
		return rise, before.known
	}
	if !before.known || t.Before(before.at) {
		m.total, m.buckets = 0, m.buckets[:0]
	} else {
		m.total += rise
	}
	m.put(spec.window, now, t)
	switch spec.fn {
	case "rate":
		return m.rate(spec.window, t)
	case "avg":
		return m.average(spec.window, t)
	}
	return m.extreme(spec.fn == "min", spec.window, t), true
}

func (m *memory) put(window time.Duration, x float64, t time.Time) {
	for len(m.buckets) > 1 && t.Sub(m.buckets[1].start) >= window {
		m.buckets = m.buckets[1:]
	}
	if n := len(m.buckets); n > 0 && t.Sub(m.buckets[n-1].start) < window/slots {
		b := &m.buckets[n-1]
		b.sum, b.min, b.max, b.n = b.sum+x, min(b.min, x), max(b.max, x), b.n+1
		return
	}
	m.buckets = append(m.buckets, bucket{start: t, total: m.total, sum: x, min: x, max: x, n: 1})
}

// rate is the rise per window, from the last reading before the window (if it is not older than two) or the first
// in it: scaled, where that is not quite the window.
func (m *memory) rate(window time.Duration, t time.Time) (float64, bool) {
	base := m.buckets[0]
	if t.Sub(base.start) > 2*window && len(m.buckets) > 1 {
		base = m.buckets[1]
	}
	span := t.Sub(base.start)
	if span <= 0 || span > 2*window {
		return 0, false
	}
	return (m.total - base.total) * float64(window) / float64(span), true
}

func (m *memory) average(window time.Duration, t time.Time) (float64, bool) {
	sum, n := 0.0, 0
	for i := range m.buckets {
		if b := &m.buckets[i]; t.Sub(b.start) < window {
			sum, n = sum+b.sum, n+b.n
		}
	}
	return sum / float64(n), n > 0
}

func (m *memory) extreme(lowest bool, window time.Duration, t time.Time) float64 {
	x := m.last
	for i := range m.buckets {
		switch b := &m.buckets[i]; {
		case t.Sub(b.start) >= window:
		case lowest:
			x = min(x, b.min)
		default:
			x = max(x, b.max)
		}
	}
	return x
}

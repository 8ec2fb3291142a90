package queue

import "slices"

// A span is the numbers lo … hi-1.
type span struct{ lo, hi uint64 }

// ranges is the set of numbers that wait no more: all below first, and those in above, which are sorted, apart from
// one another and all above first.
type ranges struct {
	first uint64
	above []span
	sum   uint64 // numbers in above
}

// add puts lo … hi-1 into the set. In order it costs nothing, out of order a binary search.
func (r *ranges) add(lo, hi uint64) {
	switch n := len(r.above); {
	case hi <= max(lo, r.first):
		return
	case lo <= r.first:
		r.first = hi
		r.swallow()
		return
	case n == 0 || r.above[n-1].hi < lo:
		r.above = append(r.above, span{lo, hi})
		r.sum += hi - lo
		return
	}
	i := r.search(lo)
	j := i
	for j < len(r.above) && r.above[j].lo <= hi {
		lo, hi = min(lo, r.above[j].lo), max(hi, r.above[j].hi)
		r.sum -= r.above[j].hi - r.above[j].lo
		j++
	}
	r.above = slices.Replace(r.above, i, j, span{lo, hi})
	r.sum += hi - lo
}

// swallow takes into first what now touches it.
func (r *ranges) swallow() {
	i := 0
	for ; i < len(r.above) && r.above[i].lo <= r.first; i++ {
		r.sum -= r.above[i].hi - r.above[i].lo
		r.first = max(r.first, r.above[i].hi)
	}
	r.above = r.above[i:]
}

// search is the index of the first span that ends at n or after it.
func (r *ranges) search(n uint64) int {
	lo, hi := 0, len(r.above)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); r.above[m].hi < n {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// union adds sorted spans, many at once: dropping the oldest of a full queue can leave thousands of them.
func (r *ranges) union(spans []span) {
	if len(spans) < 16 {
		for _, s := range spans {
			r.add(s.lo, s.hi)
		}
		return
	}
	both := make([]span, 0, len(r.above)+len(spans))
	for a, b := r.above, spans; len(a) > 0 || len(b) > 0; {
		var s span
		if len(b) == 0 || len(a) > 0 && a[0].lo <= b[0].lo {
			s, a = a[0], a[1:]
		} else {
			s, b = b[0], b[1:]
		}
		if n := len(both); n > 0 && both[n-1].hi >= s.lo {
			both[n-1].hi = max(both[n-1].hi, s.hi)
		} else if s.hi > max(s.lo, r.first) {
			both = append(both, s)
		}
	}
	r.above, r.sum = both, 0
	for _, s := range both {
		r.sum += s.hi - s.lo
	}
	r.swallow()
}

func (r *ranges) has(n uint64) bool { return r.covers(n, n+1) }

// covers says whether all of lo … hi-1 is in the set.
func (r *ranges) covers(lo, hi uint64) bool {
	if hi <= max(lo, r.first) {
		return true
	}
	i := r.search(hi)
	return i < len(r.above) && r.above[i].lo <= lo
}

// missing is how many of lo … hi-1 are not in the set.
func (r *ranges) missing(lo, hi uint64) uint64 {
	lo = max(lo, r.first)
	if hi <= lo {
		return 0
	}
	n := hi - lo
	for _, s := range r.within(lo, hi) {
		n -= s.hi - s.lo
	}
	return n
}

// within is what of the set lies in lo … hi-1.
func (r *ranges) within(lo, hi uint64) []span {
	var list []span
	if lo < min(r.first, hi) {
		list = append(list, span{lo, min(r.first, hi)})
	}
	for i := r.search(lo + 1); i < len(r.above) && r.above[i].lo < hi; i++ {
		list = append(list, span{max(lo, r.above[i].lo), min(hi, r.above[i].hi)})
	}
	return list
}

// waiting counts the numbers below next that are not in the set.
func (r *ranges) waiting(next uint64) uint64 {
	if next <= r.first {
		return 0
	}
	return next - r.first - r.sum
}

func (r *ranges) clone() ranges {
	return ranges{first: r.first, above: slices.Clone(r.above), sum: r.sum}
}

package modbus

import "math/bits"

// A history is the last outcomes of one kind, at most 64.
type history struct {
	bits uint64
	n    int // known, up to size
	size int
}

func (h *history) add(yes bool) {
	h.bits <<= 1
	if yes {
		h.bits |= 1
	}
	h.bits &= 1<<h.size - 1
	h.n = min(h.n+1, h.size)
}

func (h history) count() int { return bits.OnesCount64(h.bits) }

// share is how many of size were, in percent.
func (h history) share() int { return 100 * h.count() / h.size }

// mostly tells whether at least percent of at least n were.
func (h history) mostly(percent, n int) bool { return h.n >= n && 100*h.count() >= percent*h.n }

func (h history) some() bool { return h.mostly(someDamaged, enoughReplies) }
func (h history) most() bool { return h.mostly(mostDamaged, enoughReplies) }

package localplatform

import (
	"legacybridge/publisher/wiotp"
)

// Bounds on messages that wait or are in flight, in bytes. A subscription has a bound in messages besides.
const (
	maxDurableBytes = 64 << 20 // waiting for one session or group
	maxBehind       = 8 << 20  // waiting for a session that is not durable
	maxUnacked      = 8 << 20  // sent to one client and not acknowledged
	maxUnackedMuch  = 256 << 10
	maxHeld         = 128 << 20 // in all; a message for many counts once
	maxHeldFree     = 16 << 20  // the same for Quickstart, which must not take the organisation's part
)

func (s *session) maxBytes() int {
	if s.durable() {
		return maxDurableBytes
	}
	return maxBehind
}

// full says whether the window for messages to the client is used up. With much held already, windows are small: what
// is in flight cannot be given up.
func (h *hub) full(s *session) bool {
	return len(s.inflight)+len(s.released) >= s.id.Class.MaxUnacked() ||
		s.unacked >= maxUnacked || s.unacked >= maxUnackedMuch && h.held > h.most/2
}

// heldWith is the count that m belongs to.
func (h *hub) heldWith(m *message) *int {
	if m.free {
		return &h.heldFree
	}
	return &h.held
}

// relieve keeps the bound of all messages. Whoever has most waiting loses its oldest: one that is stuck or away must
// not cost the others theirs.
func (h *hub) relieve(m *message) {
	held, most := h.heldWith(m), h.most
	if m.free {
		most = maxHeldFree
	}
	for *held > most {
		s, g := h.fattest(m.free)
		switch {
		case s != nil:
			for half := s.bytes / 2; *held > most && s.bytes > half && s.pending.live > 1; {
				h.dropOldest(s, s.pending.peek())
			}
		case g != nil:
			for half := g.bytes / 2; *held > most && g.bytes > half && g.backlog.live > 1; {
				h.dropBacklog(g, g.backlog.peek())
			}
		default:
			return
		}
	}
}

// fattest is the session or group with most bytes waiting, of those that have more than one message.
func (h *hub) fattest(free bool) (s *session, g *group) {
	most := 0
	for _, one := range h.sessions {
		if one.bytes > most && one.pending.live > 1 && (one.id.Org == wiotp.Quickstart) == free {
			s, most = one, one.bytes
		}
	}
	if free {
		return s, nil // it has no groups
	}
	for _, one := range h.groups {
		if one.bytes > most && one.backlog.live > 1 {
			s, g, most = nil, one, one.bytes
		}
	}
	return s, g
}

// quickLive counts the sessions of Quickstart; it keeps none that is not connected.
func (h *hub) quickLive() (n int) {
	for _, s := range h.sessions {
		if s.id.Org == wiotp.Quickstart {
			n++
		}
	}
	return n
}

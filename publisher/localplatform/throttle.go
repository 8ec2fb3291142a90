package localplatform

import (
	"net"
	"time"
)

// A budget is what a connection has used of its units per second. Like the hosted platform, the local one does not
// refuse what is too much: it stops reading until the next second.
type budget struct {
	second int64
	units  int
}

// spend counts units and returns how long to read nothing.
func (b *budget) spend(units, perSecond int, now time.Time) time.Duration {
	second := now.Unix()
	if passed := second - b.second; passed > 0 {
		b.units = max(0, b.units-int(min(passed, 1<<20))*perSecond)
	}
	b.second = second
	if b.units += units; b.units < perSecond {
		return 0
	}
	whole := time.Duration(b.units / perSecond)
	return now.Truncate(time.Second).Add(whole * time.Second).Sub(now)
}

// pause reads nothing for d. It returns an error if the connection ends meanwhile.
func (c *conn) pause(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.gone:
		return net.ErrClosed
	}
}

const (
	// stuckAfter is how long a message waits for a durable subscriber whose buffer is filling, before the oldest give
	// way: one that takes nothing for so long is stuck. Others, such as a terminal that shows events, are given less.
	stuckAfter      = time.Second
	stuckAfterBrief = stuckAfter / 10
	// slowWait is a wait that a subscriber of 50 messages a second does not cause, more than twice what the hosted
	// platform lets an application send; slowTimes of them make a subscriber slow.
	slowWait  = 20 * time.Millisecond
	slowTimes = 10
	// slowFor is how long one that is stuck or slow is not waited for: it costs the others a tenth of their time at most.
	slowFor = 10 * time.Second
	// mostHeld is how long a publisher waits in slowFor for all that are stuck or slow: however many there are, it goes on.
	mostHeld = 2 * stuckAfter
)

// patience is how long publishers wait for subscribers.
type patience struct {
	stuck, stuckBrief, slow time.Duration
	most                    time.Duration
}

// filling says whether s should be waited for: it is connected and behind by half its buffer.
func (h *hub) filling(s *session) bool {
	return s.conn != nil && (s.pending.live > h.buffer/2 || s.bytes > s.maxBytes()/2) && time.Now().After(s.slow)
}

// yield lets a subscriber that is filling catch up, before the publisher c goes on. One that does not, in time, is not
// waited for again soon: it must not hold up the others for long.
func (h *hub) yield(c *conn, s *session) {
	if s == nil {
		return
	}
	h.lock()
	left := c.held.left(time.Now(), h.patience.most)
	if s.room == nil {
		s.room = make(chan struct{})
	}
	room, wait, limit := s.room, h.filling(s), h.patience.stuckBrief
	if s.durable() {
		limit = h.patience.stuck
	}
	h.unlock()
	if !wait || left <= 0 {
		return
	}
	began := time.Now()
	timer := time.NewTimer(min(limit, left))
	defer timer.Stop()
	stuck := false
	select {
	case <-room:
	case <-c.gone:
	case <-timer.C:
		stuck = true
	}
	h.lock()
	defer h.unlock()
	if waited := time.Since(began); waited > h.patience.slow {
		c.held.spent += waited
		s.strikes++
	} else if s.strikes > 0 {
		s.strikes--
	}
	if stuck || s.strikes >= slowTimes {
		s.strikes, s.slow = 0, time.Now().Add(slowFor)
	}
}

// holdUps are how long a publisher has waited for others that are stuck or slow, of late.
type holdUps struct {
	since time.Time
	spent time.Duration
}

// left is how long it may wait still.
func (u *holdUps) left(now time.Time, most time.Duration) time.Duration {
	if now.Sub(u.since) > slowFor {
		*u = holdUps{since: now}
	}
	return most - u.spent
}

// caughtUp releases who waits for s.
func (h *hub) caughtUp(s *session) {
	if s.room != nil && s.pending.live <= h.buffer/2 && s.bytes <= s.maxBytes()/2 {
		close(s.room)
		s.room = nil
	}
}

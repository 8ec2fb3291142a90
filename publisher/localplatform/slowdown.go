package localplatform

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A slowdown makes the guessing of tokens slow: an address with many wrong logins waits before each of its logins is
// looked at, good ones too, or the wait would tell which they are. Other addresses do not wait.
type slowdown struct {
	mu    sync.Mutex
	tries map[netip.Addr]*tries
}

// tries are the wrong logins of one address.
type tries struct {
	last  []time.Time // at most freeTries, oldest first
	extra int         // wrong logins since it is served slowly, 0: it is not
}

const (
	// freeTries is how many wrong logins an address has in slowdownTime.
	freeTries = 10
	// slowdownTime without a wrong login ends it.
	slowdownTime = time.Minute
	// firstSlowdown is doubled with each further wrong login. lastSlowdown is what clients with a time-out of a few
	// seconds still stand: a good one that shares its address with a wrong one gets in.
	firstSlowdown = 250 * time.Millisecond
	lastSlowdown  = 4 * time.Second
	// maxSlowAddresses bounds the memory.
	maxSlowAddresses = 4096
)

func newSlowdown() *slowdown { return &slowdown{tries: map[netip.Addr]*tries{}} }

// addressOf is the address that a host's logins count for. A host has a whole /64 of IPv6 to itself.
func addressOf(host string) netip.Addr {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// wrong counts a wrong login. It returns true when the address begins to be served slowly.
func (s *slowdown) wrong(a netip.Addr) (begins bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tries[a]
	if t == nil || now.Sub(t.newest()) > slowdownTime {
		if t == nil {
			s.makeRoom()
		}
		t = &tries{}
		s.tries[a] = t
	}
	t.last = append(t.last, now)
	if t.extra > 0 {
		t.extra++
	} else if len(t.last) >= freeTries && now.Sub(t.last[len(t.last)-freeTries]) <= slowdownTime {
		t.extra, begins = 1, true
	}
	t.last = slices.Delete(t.last, 0, max(0, len(t.last)-freeTries))
	return begins
}

func (t *tries) newest() time.Time { return t.last[len(t.last)-1] }

// makeRoom forgets the quietest of a few: a map gives them in any order, and to look at all would take long.
func (s *slowdown) makeRoom() {
	if len(s.tries) < maxSlowAddresses {
		return
	}
	var quietest netip.Addr
	var since time.Time
	seen := 0
	for a, t := range s.tries {
		if n := t.newest(); seen == 0 || n.Before(since) {
			quietest, since = a, n
		}
		if seen++; seen == 16 {
			break
		}
	}
	delete(s.tries, quietest)
}

// delay is how long the next login of an address has to wait.
func (s *slowdown) delay(a netip.Addr) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tries[a]
	if t == nil || t.extra == 0 {
		return 0
	}
	if time.Since(t.newest()) > slowdownTime {
		delete(s.tries, a)
		return 0
	}
	return min(firstSlowdown<<min(t.extra-1, 10), lastSlowdown)
}

// wait holds up a login. It returns false if gone is closed meanwhile.
func (s *slowdown) wait(ctx context.Context, a netip.Addr, gone <-chan struct{}) bool {
	d := s.delay(a)
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-gone:
	case <-ctx.Done():
	}
	return false
}

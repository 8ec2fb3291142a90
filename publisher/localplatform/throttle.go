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
	over := false
	timer := time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		over = true
		c.wake.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !over && !c.ended {
		c.wake.Wait()
	}
	if c.ended {
		return net.ErrClosed
	}
	return nil
}

package publisher

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/mapping"
)

// What is overdue and cannot be sent yet must not be waited for with a timer: that would fire at once, again and again, and
// burn a processor as long as the platform is slow.
func TestWaitingForASlowPlatformCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Window: 2, KeepAlive: time.Second})
		now := time.Now()
		near, far := net.Pipe()
		defer func() { _ = near.Close(); _ = far.Close() }()
		s := &session{wire: &wire{stream: newStream(near)}}
		full := func() *drain {
			return &drain{Publisher: r.Publisher, s: s, timer: time.NewTimer(time.Hour), quiet: now, moved: now, flights: make([]flight, 2)}
		}
		overdue := entry(3, []byte("{}"))
		overdue.Event.Batch = mapping.Batch{Max: 10, Within: time.Minute}
		overdue.Stored = now.Add(-time.Hour)

		batch := full()
		batch.batches.add(now, "t", overdue, 1000)
		batch.arm(now)
		if batch.armed.Sub(now) != batch.t.due {
			t.Errorf("a full window and a batch that is overdue: the timer fires in %v, want after %v", batch.armed.Sub(now), batch.t.due)
		}
		time.Sleep(time.Hour) // virtual: nothing was heard since
		now = time.Now()
		idle := full()
		idle.flights = nil
		idle.alone = &overdue
		idle.arm(now)
		if d := idle.armed.Sub(now); d != slowWrite {
			t.Errorf("a peer that is behind and a suspect that is overdue: the timer fires in %v, want after %v", d, slowWrite)
		}
	})
}

// The same from outside: with a full window, an overdue batch behind it and no acknowledgement, virtual time passes, which it
// does only while nobody is busy.
func TestOverdueBatchBehindAFullWindowLeavesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.onPublish = func(p *peer, m got) {
			time.Sleep(3 * time.Second) // a throttled platform
			p.ack(m)
		}
		r := newRig(t, Config{Window: 2})
		r.dial = b.pipe
		stop := r.start(t)
		r.put(t, batched("press-7", 3, 10, time.Second)...)
		r.put(t, events("press-8", 20)...)
		began := time.Now()
		for r.state().Acked < 23 && time.Since(began) < 10*time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		if s := r.state(); s.Acked != 23 || s.Reconnects != 0 {
			t.Errorf("got %+v, want 23 acknowledged on one connection", s)
		}
		stop()
		b.peers.Wait()
	})
}

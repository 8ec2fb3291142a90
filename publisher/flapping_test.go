package publisher

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A link that flaps cuts at any time, also right after a login and with an event alone in flight. Twenty cuts, many times
// over; no event is ever to blame.
func TestFlappingLinkMakesNoDeadLetter(t *testing.T) {
	for seed := range uint64(proof(8, 200, 20_000)) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			roundTrip := time.Duration(1+random.IntN(150)) * time.Millisecond
			stands := time.Duration(1+random.IntN(10)) * time.Second // a connection, on average
			lives := make([]time.Duration, 20)
			for i := range lives {
				lives[i] = time.Duration(random.ExpFloat64() * float64(stands))
			}
			b := newBroker()
			b.onLogin = func(p *peer) byte {
				if p.n <= len(lives) {
					time.AfterFunc(lives[p.n-1], func() { _ = p.Close() })
				}
				return 0
			}
			b.onPublish = func(p *peer, m got) { time.AfterFunc(roundTrip, func() { p.ack(m) }) }
			r := newRig(t, Config{Backoff: Backoff{Jitter: 0.2}, Window: 1 + random.IntN(100)})
			r.dial = b.pipe
			stop := r.start(t)
			n := 0
			for b.loggedIn() <= 20 { // something is always in flight
				for range 1 + random.IntN(5) {
					r.put(t, event("press-7", n))
					n++
				}
				time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
				for wait := 10 * time.Millisecond; !r.state().Connected || r.state().Acked+r.state().SetAside+20 < uint64(n); wait = min(2*wait, 10*time.Second) {
					time.Sleep(wait)
				}
			}
			time.Sleep(time.Hour)
			stop()
			b.peers.Wait()
			if s := r.state(); s.Acked != uint64(n) || s.SetAside != 0 || s.Reconnects < 20 {
				t.Errorf("seed %d, round trip %v, connections of %v: got %+v, want %d acknowledged, none set aside, 20 cuts\n%s", seed, roundTrip, stands, s, n, r.log)
			}
			if got, _ := firsts(b.got()); !slices.Equal(got, payloads(events("press-7", n))) {
				t.Errorf("seed %d: got %d events or another order, want %d in order", seed, len(got), n)
			}
		})
	}
}

// A platform that begins to refuse everything, in the middle of the work. The worst is a site of one device: nothing else
// is left that could show that it is not the device's fault.
func TestServerThatBeginsToRefuseEverything(t *testing.T) {
	for _, devices := range []int{1, 2, 50} {
		t.Run(fmt.Sprint(devices, " devices"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				var refusing atomic.Bool
				b.onPublish = func(p *peer, m got) {
					if refusing.Load() {
						_ = p.Close()
						return
					}
					p.ack(m)
				}
				r := newRig(t, Config{Backoff: Backoff{Jitter: 0.2}})
				r.dial = b.pipe
				next := 0
				put := func(n int) {
					for range n {
						r.put(t, event(fmt.Sprint("press-", next%devices), next))
						next++
					}
				}
				put(100)
				stop := r.start(t)
				time.Sleep(time.Minute) // virtual, as all below
				refusing.Store(true)
				put(100)
				for range 5 * 60 { // five hours
					time.Sleep(time.Minute)
					put(1)
				}
				s := r.state()
				if s.SetAside > 3 || s.Code != codeAllRefused || s.Connected || !strings.Contains(s.Why, "everything we send is refused") {
					t.Errorf("got %+v, want at most 3 dead letters and %s", s, codeAllRefused)
				}
				if n := b.loggedIn(); n > 5*6+20 {
					t.Errorf("got %d logins in five hours, want one in ten minutes and a few to begin with", n)
				}
				if n := strings.Count(r.log.String(), codeAllRefused); n < 1 || n > 6 {
					t.Errorf("got it said %d times in five hours, want once and a reminder each hour", n)
				}
				refusing.Store(false)
				began := time.Now()
				for r.state().Acked+r.state().SetAside < uint64(next) && time.Since(began) < time.Hour {
					time.Sleep(time.Second)
				}
				if d := time.Since(began); d > 11*time.Minute {
					t.Errorf("got the rest after %v, want it with the next attempt, within 11 minutes", d)
				}
				put(10)
				time.Sleep(time.Second)
				if s := r.state(); s.SetAside > 3 || s.Acked != uint64(next)-s.SetAside || !s.Connected || s.Code != "" {
					t.Errorf("got %+v, want %d acknowledged but for 3 and nothing to complain of", s, next)
				}
				stop()
				b.peers.Wait()
			})
		})
	}
}

// Memory does not grow with the backlog, nor with the size of the events: what waits, waits on disk.
func TestMemoryStaysFlatWithASlowServer(t *testing.T) {
	b := newBroker()
	base, most, came := uint64(0), uint64(0), 0
	b.onPublish = func(p *peer, m got) {
		if came++; came%50 == 0 {
			now := heap()
			for range 50 { // until our side has filled the socket and has to wait
				now = min(now, heap())
				if now < base+4<<20 {
					break
				}
			}
			most = max(most, now)
			p.forgetGot()
		}
		p.ack(m)
	}
	r := newRigIn(t, Config{Servers: []string{b.listen(t)}, Window: 100}, t.TempDir())
	n := proof(120, 2000, 4000)
	for i := range n {
		r.put(t, large(i))
	}
	base = heap()
	r.Finish()
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if came != n || most == 0 {
		t.Errorf("got %d events, want %d", came, n)
	}
	// The whole backlog is 15 MB and more; the window alone would be 13.
	if most > base+8<<20 {
		t.Errorf("got %d KiB of heap with %d MB waiting, %d KiB before; want it to stay within 8 MiB", most>>10, n*131_000>>20, base>>10)
	}
}

// After a drop that no event can have caused, two cuts right behind an event sent alone may be chance; three are not, and
// even then it is out after five reconnects.
func TestAfterADropByItselfTwoCutsAreChanceAndThreeAreNot(t *testing.T) {
	for alone, aside := range map[int]uint64{2: 0, 3: 1} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker()
			b.onPublish = func(p *peer, m got) {
				if p.n >= 2 && p.n <= 3+alone {
					_ = p.Close()
					return
				}
				p.ack(m)
			}
			r := newRig(t, Config{Backoff: Backoff{Jitter: 0.2}})
			r.dial = b.pipe
			stop := r.start(t)
			time.Sleep(time.Minute)
			b.hangUp()
			began := r.state().Reconnects
			r.put(t, events("press-7", 10)...)
			time.Sleep(time.Minute)
			if s := r.state(); s.Acked != 10-aside || s.SetAside != aside || s.Reconnects-began > 1+5 {
				t.Errorf("%d cuts: got %+v and %d reconnects before, want %d set aside, the rest acknowledged, at most 5 reconnects for it", alone, s, began, aside)
			}
			stop()
			b.peers.Wait()
		})
	}
}

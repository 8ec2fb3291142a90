package publisher

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever the answer to the login, and however often a login is let in: only an acknowledgement resets the back-off.
func TestBackOffGrowsWithJitterAndOnlyAnAcknowledgementResetsIt(t *testing.T) {
	for code := byte(1); code <= 6; code++ {
		t.Run(fmt.Sprintf("return code %d", code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const refusals = 10
				b := newBroker()
				b.onLogin = func(p *peer) byte {
					if n := p.n; n <= refusals || n == refusals+4 {
						return code
					}
					return 0
				}
				b.onPublish = func(p *peer, m got) {
					switch p.n {
					case refusals + 1, refusals + 2: // let in, and never an acknowledgement
					case refusals + 3:
						p.ack(m)
						_ = p.Close()
					default:
						p.ack(m)
					}
				}
				r := newRig(t, Config{Backoff: Backoff{Jitter: 0.2}})
				r.dial = b.pipe
				r.put(t, events("press-7", 3)...)
				stop := r.start(t)
				time.Sleep(time.Hour)
				stop()
				b.peers.Wait()
				at := b.loginTimes()
				// What passes between two logins beside the back-off.
				silent := realTiming.due
				var want, extra []time.Duration
				for n := range refusals {
					want, extra = append(want, min(time.Second<<n, 2*time.Minute)), append(extra, 0)
				}
				want = append(want, 2*time.Minute, 2*time.Minute, time.Second, 2*time.Second)
				extra = append(extra, silent, silent, 0, 0)
				if len(at) != len(want)+1 {
					t.Fatalf("got %d logins, want %d", len(at), len(want)+1)
				}
				exact := 0
				for i := range want {
					d := at[i+1].Sub(at[i]) - extra[i]
					if d < want[i]*8/10-time.Millisecond || d > want[i]*12/10+time.Millisecond {
						t.Errorf("before login %d: got %v, want %v and at most a fifth more or less", i+2, d, want[i])
					}
					if max(d-want[i], want[i]-d) < want[i]/1000 {
						exact++
					}
				}
				if exact > 2 {
					t.Errorf("got %d of %d waits without jitter", exact, len(want))
				}
				if s := r.state(); s.Acked != 3 || s.SetAside != 0 {
					t.Errorf("got %+v, want 3 acknowledged and none set aside", s)
				}
			})
		})
	}
}

// rival is another client with our id, which comes back a moment after it was thrown out.
func rivalry(b *broker, comesBack time.Duration) (is func(there bool)) {
	var gone atomic.Bool
	b.onLogin = func(p *peer) byte {
		time.AfterFunc(comesBack, func() {
			if !gone.Load() {
				b.hangUp()
			}
		})
		return 0
	}
	return func(there bool) { gone.Store(!there) }
}

func TestRivalIsSaidOnceAndNotFought(t *testing.T) {
	for _, comesBack := range []time.Duration{time.Millisecond, time.Second, 8 * time.Second} {
		t.Run(comesBack.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				rival := rivalry(b, comesBack)
				r := newRig(t, Config{Backoff: Backoff{Jitter: 0.2}})
				r.dial = b.pipe
				r.put(t, events("press-7", 20)...)
				stop := r.start(t)
				time.Sleep(30 * time.Minute) // the waits below are 25 to 29 minutes together
				at := b.loginTimes()
				var holds []time.Duration
				for i := range at[1:] {
					holds = append(holds, at[i+1].Sub(at[i])-comesBack)
				}
				want := []time.Duration{1, 2, 60, 120, 240, 480, 600}
				for i := range want {
					w := want[i] * time.Second
					if i >= len(holds) || holds[i] < w*8/10 || holds[i] > min(w*12/10, 10*time.Minute)+time.Second {
						t.Errorf("got the waits %v, want about %d seconds", holds, want)
						break
					}
				}
				if s := r.state(); s.Code != codeRival || !strings.Contains(s.Why, "another client uses this id (a:legacy:test)") {
					t.Errorf("got %+v, want %s", s, codeRival)
				}
				if n := strings.Count(r.log.String(), codeRival); n != 1 {
					t.Errorf("got it said %d times in half an hour, want once:\n%s", n, r.log)
				}
				if s := r.state(); s.Acked != 20 || s.SetAside != 0 {
					t.Errorf("got %+v, want 20 acknowledged in what time there was, none set aside", s)
				}

				// It leaves. The next rival is said again.
				rival(false)
				time.Sleep(20 * time.Minute)
				r.put(t, events("press-8", 5)...)
				time.Sleep(time.Second)
				if s := r.state(); !s.Connected || s.Code != "" || s.Acked != 25 {
					t.Errorf("got %+v, want a connection and nothing to complain of after the rival has left", s)
				}
				rival(true)
				b.hangUp()
				time.Sleep(10 * time.Minute)
				if n := strings.Count(r.log.String(), codeRival); n != 2 {
					t.Errorf("got it said %d times, want it again for the second rival:\n%s", n, r.log)
				}
				stop()
				b.peers.Wait()
			})
		})
	}
}

// A platform that is restarted, a few times even, is no rival and holds nothing up.
func TestRestartsAreNoRival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		r := newRig(t, Config{Backoff: Backoff{Jitter: 0.2}})
		r.dial = b.pipe
		stop := r.start(t)
		for i := range 100 {
			time.Sleep([]time.Duration{time.Minute, 3 * time.Second, 20 * time.Minute}[i%3])
			b.hangUp()
			r.put(t, events("press-7", 3)...)
		}
		time.Sleep(10 * time.Second)
		if s := r.state(); s.Acked != 300 || strings.Contains(r.log.String(), codeRival) {
			t.Errorf("got %+v, want 300 acknowledged and nothing of another client:\n%s", s, r.log)
		}
		if got := len(b.got()); got != 300 {
			t.Errorf("got %d events, want each once", got)
		}
		stop()
		b.peers.Wait()
	})
}

package publisher

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// teller is a broker that tells the reason of a drop to whoever listens on the status topic.
type teller struct {
	*broker
	mu  sync.Mutex
	ear *peer
}

func newTeller() *teller {
	b := &teller{broker: newBroker()}
	b.onSubscribe = func(p *peer) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.ear = p
	}
	return b
}

// drop ends p for a reason.
func (b *teller) drop(p *peer, code int) {
	b.mu.Lock()
	ear := b.ear
	b.mu.Unlock()
	if ear != nil {
		ear.send("iot-2/app/test/mon", fmt.Sprintf(`{"Action":"Disconnect","ClientID":%q,"CloseCode":%d}`, p.clientID, code), 0)
	}
	_ = p.Close()
}

func telling(t *testing.T, b *teller) *rig {
	t.Helper()
	r := newRig(t, Config{ReasonID: "a:legacy:test-why-00001"})
	r.dial = b.pipe
	return r
}

func TestDeadLetterSaysThePlatformsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTeller()
		b.onPublish = func(p *peer, m got) {
			if strings.Contains(m.payload, "poison") {
				b.drop(p, 287)
				return
			}
			p.ack(m)
		}
		r := telling(t, b)
		list := events("press-7", 60)
		list[10].Payload = []byte(`{"poison":true}`)
		r.put(t, list...)
		stop := r.start(t)
		for r.state().Acked < 59 {
			time.Sleep(100 * time.Millisecond) // virtual
		}
		stop()
		b.peers.Wait()
		if s := r.state(); s.SetAside != 1 || s.Reconnects > 5 || !strings.Contains(r.log.String(), "it says 287") {
			t.Errorf("got %d set aside in %d reconnects, want 1 in at most 5, with code 287:\n%s", s.SetAside, s.Reconnects, r.log)
		}
	})
}

// A link that is known to drop by itself makes the breaker doubt; the platform's word ends that.
func TestReasonEndsTheDoubtAboutALinkThatFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTeller()
		var last *peer
		b.onPublish = func(p *peer, m got) {
			if last = p; strings.Contains(m.payload, "poison") {
				b.drop(p, 276)
				return
			}
			p.ack(m)
		}
		r := telling(t, b)
		r.put(t, event("press-7", 1))
		stop := r.start(t)
		for r.state().Acked < 1 {
			time.Sleep(100 * time.Millisecond) // virtual
		}
		poisonAfter(t, r, last) // with nothing in flight
		stop()
		b.peers.Wait()
		if s := r.state(); s.SetAside != 1 || s.Reconnects > 5 {
			t.Errorf("got %d set aside in %d reconnects, want 1 in at most 5", s.SetAside, s.Reconnects)
		}
	})
}

func TestReasonThatIsNotTheEventsBlamesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTeller()
		cuts := 0
		b.onPublish = func(p *peer, m got) {
			if strings.Contains(m.payload, `"n":10}`) && cuts < 20 { // always the same event, by chance
				cuts++
				b.drop(p, 93)
				return
			}
			p.ack(m)
		}
		r := telling(t, b)
		r.put(t, events("press-7", 60)...)
		stop := r.start(t)
		for r.state().Acked < 60 {
			time.Sleep(time.Second) // virtual
		}
		stop()
		b.peers.Wait()
		if s := r.state(); s.SetAside != 0 || cuts != 20 || !strings.Contains(r.log.String(), "93 ") {
			t.Errorf("got %d set aside after %d cuts, want none after 20, with code 93", s.SetAside, cuts)
		}
	})
}

func TestOtherClientWithOurIDIsKnownByTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTeller()
		b.onPublish = func(p *peer, m got) {
			if p.n == 1 || p.n == 3 { // the second login is that of the listener
				b.drop(p, 288)
				return
			}
			p.ack(m)
		}
		r := telling(t, b)
		r.put(t, events("press-7", 3)...)
		began := time.Now()
		stop := r.start(t)
		for r.state().Acked < 3 {
			time.Sleep(time.Second) // virtual
		}
		d := time.Since(began)
		stop()
		b.peers.Wait()
		if d < time.Minute || d > 2*time.Minute || !strings.Contains(r.log.String(), codeRival) {
			t.Errorf("got the events after %v, want us to stay away a minute at once:\n%s", d, r.log)
		}
	})
}

func TestServerThatTellsNothingIsNotAskedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		listeners, cuts := 0, 0
		b.onSubscribe = func(*peer) { listeners++ }
		b.onPublish = func(p *peer, m got) {
			if cuts < 6 && strings.Contains(m.payload, fmt.Sprintf(`"n":%d}`, 10*cuts)) {
				cuts++
				_ = p.Close()
				return
			}
			p.ack(m)
		}
		r := newRig(t, Config{ReasonID: "a:legacy:test-why-00001"})
		r.dial = b.pipe
		r.put(t, events("press-7", 60)...)
		stop := r.start(t)
		for r.state().Acked < 60 {
			time.Sleep(time.Second) // virtual
		}
		stop()
		b.peers.Wait()
		if listeners != 1 || cuts != 6 {
			t.Errorf("got %d sessions that listened in %d cuts, want 1 in 6", listeners, cuts)
		}
	})
}

// poisonAfter ends a connection, in virtual time, and lets a poison message and 59 others be settled over the next ones.
func poisonAfter(t *testing.T, r *rig, p *peer) {
	t.Helper()
	_ = p.Close()
	for r.state().Reconnects < 1 || !r.state().Connected {
		time.Sleep(100 * time.Millisecond)
	}
	list := events("press-7", 60)
	list[10].Payload = []byte(`{"poison":true}`)
	r.put(t, list...)
	for r.state().Acked < 60 {
		time.Sleep(100 * time.Millisecond)
	}
}

// A server that restarts is away just when we begin to listen: we listen when it is back.
func TestReasonIsHeardAlsoAfterTheServerWasAway(t *testing.T) {
	for name, c := range map[string]struct {
		refused byte // CONNACK for the listener
		want    bool
	}{"away": {0, true}, "unavailable": {3, true}, "not allowed": {5, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTeller()
				var asked, dials atomic.Int32
				b.onLogin = func(p *peer) byte {
					if !strings.Contains(p.clientID, "-why-") {
						return 0
					}
					if asked.Add(1) == 1 || c.refused == 5 {
						return c.refused
					}
					return 0
				}
				var last *peer
				b.onPublish = func(p *peer, m got) {
					if last = p; strings.Contains(m.payload, "poison") {
						b.drop(p, 287)
						return
					}
					p.ack(m)
				}
				r := telling(t, b)
				r.dial = func(ctx context.Context, addr string) (net.Conn, error) {
					if dials.Add(1) == 2 && c.refused == 0 { // the first of the listener
						return nil, syscall.ECONNREFUSED
					}
					return b.pipe(ctx, addr)
				}
				r.put(t, event("press-7", 1))
				stop := r.start(t)
				for r.state().Acked < 1 {
					time.Sleep(100 * time.Millisecond) // virtual
				}
				poisonAfter(t, r, last) // it restarts
				stop()
				b.peers.Wait()
				if got := strings.Contains(r.log.String(), "it says 287"); got != c.want {
					t.Errorf("the reason was heard: %v, want %v:\n%s", got, c.want, r.log)
				}
				if c.refused == 5 && asked.Load() != 1 {
					t.Errorf("got %d logins of a listener that is not allowed, want one", asked.Load())
				}
			})
		})
	}
}

// The status topic tells of all clients of an application: those of others must not crowd out our own.
func TestReasonsOfManyOtherClientsHideNotOurs(t *testing.T) {
	r := newReasons(Config{ClientID: "A:legacy:test:one", ReasonID: "a:legacy:test-why-00001"})
	tell := func(id string, code int) {
		r.take(Message{Payload: fmt.Appendf(nil, `{"Action":"Disconnect","ClientID":%q,"CloseCode":%d}`, id, code)})
	}
	for i := range 100 {
		tell(fmt.Sprint("A:legacy:test:", i), 93)
	}
	if _, known := r.why(canceled(t)); known {
		t.Error("a reason of another client is taken for ours")
	}
	tell("A:legacy:test:one", 287)
	if code, known := r.why(t.Context()); !known || code != 287 {
		t.Errorf("got %v, %v, want 287", code, known)
	}
	r.forget()
	if _, known := r.why(canceled(t)); known {
		t.Error("the reason of the session before is taken for that of this one")
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

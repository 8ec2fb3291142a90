package publisher

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPoisonIsSetAsideAndEverythingBehindItArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.onPublish = func(p *peer, m got) {
			if strings.Contains(m.payload, "poison") {
				_ = p.Close()
				return
			}
			p.ack(m)
		}
		r := newRig(t, Config{Backoff: Backoff{Jitter: 0.2}})
		r.dial = b.pipe
		list := events("press-7", 60)
		list[10].Payload = []byte(`{"poison":true}`)
		r.put(t, list...)
		began := time.Now()
		stop := r.start(t)
		for r.state().Acked < 59 {
			time.Sleep(100 * time.Millisecond) // virtual
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("got the last event after %v, want it within a minute", d)
		}
		stop()
		b.peers.Wait()
		if s := r.state(); s.SetAside != 1 || s.Reconnects > 5 {
			t.Errorf("got %d set aside in %d reconnects, want 1 in at most 5", s.SetAside, s.Reconnects)
		}
		want := slices.Delete(payloads(list), 10, 11)
		got, _ := firsts(b.got())
		if got = slices.DeleteFunc(got, func(s string) bool { return strings.Contains(s, "poison") }); !slices.Equal(got, want) {
			t.Errorf("got %d events, want the 59 others in order", len(got))
		}
		if !strings.Contains(r.log.String(), codeRefused) || strings.Contains(r.log.String(), codeRival) {
			t.Errorf("got log %s, want %s and nothing of another client", r.log, codeRefused)
		}
	})
}

// A reset connection can swallow acknowledgements, so that the event to blame is not the first in flight.
func TestPoisonBehindLostAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lag = 10 * time.Millisecond
		b := newBroker()
		var pending []got
		b.onPublish = func(p *peer, m got) {
			if strings.Contains(m.payload, "poison") {
				pending = nil
				_ = p.Close()
				return
			}
			if p.n >= 3 { // two drops: now one at a time
				time.AfterFunc(lag, func() { p.ack(m) })
				return
			}
			if pending = append(pending, m); len(pending) < 5 {
				return
			}
			for _, m := range pending {
				p.ack(m)
			}
			pending = nil
		}
		r := newRig(t, Config{Window: 5})
		r.dial = b.pipe
		list := events("press-7", 60)
		list[8].Payload = []byte(`{"poison":true}`)
		r.put(t, list...)
		stop := r.start(t)
		defer stop()
		for r.state().Acked < 59 {
			time.Sleep(100 * time.Millisecond) // virtual
		}
		if s := r.state(); s.SetAside != 1 || s.Reconnects > 5 {
			t.Errorf("got %d set aside in %d reconnects, want 1 in at most 5", s.SetAside, s.Reconnects)
		}
		var before got
		for _, m := range b.got() {
			if m.conn == 3 && before.conn == 3 && m.at.Sub(before.at) < lag {
				t.Errorf("got %s %v after %s, want one at a time", m.payload, m.at.Sub(before.at), before.payload)
			}
			before = m
		}
	})
}

func TestOversizedEventBehindTheGateIsNeverSent(t *testing.T) {
	b := newBroker()
	r := newRig(t, Config{Servers: []string{b.listen(t)}, MaxPayload: 1000})
	list := events("press-7", 10)
	list[4].Payload = fmt.Appendf(nil, `{"x":"%s"}`, strings.Repeat("x", 1000))
	list[6].ID = "press/7"
	r.put(t, list...)
	r.Finish()
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.got(); len(got) != 8 {
		t.Errorf("got %d events sent, want 8", len(got))
	}
	if s := r.state(); s.SetAside != 2 || s.Reconnects != 0 {
		t.Errorf("got %d set aside and %d reconnects, want 2 and 0", s.SetAside, s.Reconnects)
	}
	for _, code := range []string{codeTooLarge, codeBadTopic} {
		if !strings.Contains(r.log.String(), code) {
			t.Errorf("got log %s, want %s in it", r.log, code)
		}
	}
}

// An unregistered device has many events. They must cost the others a few reconnects in all, not one each.
func TestRefusedTopicBecomesDeadLettersUnsent(t *testing.T) {
	for name, mixed := range map[string]bool{"mixed with others": true, "in a row": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				var registered atomic.Bool
				b.onPublish = func(p *peer, m got) {
					if strings.Contains(m.topic, "ghost") && !registered.Load() {
						_ = p.Close()
						return
					}
					p.ack(m)
				}
				r := newRig(t, Config{})
				r.dial = b.pipe
				if ghosts, others := events("ghost", 30), events("press-7", 50); mixed {
					for i := range ghosts {
						r.put(t, ghosts[i], others[i])
					}
					r.put(t, others[30:]...)
				} else {
					r.put(t, append(ghosts, others...)...)
				}
				began := time.Now()
				stop := r.start(t)
				for r.state().Acked < 50 {
					time.Sleep(100 * time.Millisecond) // virtual
				}
				if d := time.Since(began); d > 2*time.Minute {
					t.Errorf("got the last of the others after %v, want it within two minutes", d)
				}
				if s := r.state(); s.SetAside != 30 || s.Reconnects > 10 {
					t.Errorf("got %d set aside in %d reconnects, want 30 in at most 10: 5 for each of two", s.SetAside, s.Reconnects)
				}

				// Every ten minutes one is tried.
				before := len(b.got())
				time.Sleep(11 * time.Minute)
				r.put(t, events("ghost", 5)...)
				time.Sleep(time.Minute)
				if n := len(b.got()) - before; n != 1 {
					t.Errorf("got %d events of the refused topic sent, want one", n)
				}
				if n := r.state().SetAside; n != 35 {
					t.Errorf("got %d dead letters, want 35", n)
				}
				registered.Store(true)
				time.Sleep(11 * time.Minute)
				r.put(t, events("ghost", 5)...)
				time.Sleep(time.Minute)
				if n := r.state().Acked; n != 55 {
					t.Errorf("got %d acknowledged after the device was registered, want 55", n)
				}
				stop()
				b.peers.Wait()
				onceEach(t, b.got())
			})
		})
	}
}

// onceEach checks that no connection carried an event twice.
func onceEach(t *testing.T, all []got) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range all {
		key := fmt.Sprint(m.conn, m.topic, m.payload)
		if strings.Contains(m.topic, "press") && seen[key] {
			t.Errorf("got %s on %s twice on connection %d, want it once", m.payload, m.topic, m.conn)
		}
		seen[key] = true
	}
}

func TestRoleTakenAwayEmptiesNothingIntoTheDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var refusing atomic.Bool
		refusing.Store(true)
		b.onPublish = func(p *peer, m got) {
			if refusing.Load() {
				_ = p.Close()
				return
			}
			p.ack(m)
		}
		r := newRig(t, Config{})
		r.dial = b.pipe
		for i := range 50 {
			r.put(t, event(fmt.Sprintf("press-%d", i%10), i))
		}
		stop := r.start(t)
		time.Sleep(3 * time.Hour)
		s := r.state()
		if s.SetAside > 3 || s.Code != codeAllRefused || s.Connected {
			t.Errorf("got %+v, want at most 3 dead letters and %s", s, codeAllRefused)
		}
		if n := b.loggedIn(); n > 60 {
			t.Errorf("got %d logins in three hours, want one in ten minutes and a few to begin with", n)
		}
		refusing.Store(false)
		time.Sleep(15 * time.Minute)
		if got := r.state(); got.Acked != 50-s.SetAside {
			t.Errorf("got %d acknowledged when it accepts again, want the other %d", got.Acked, 50-s.SetAside)
		}
		stop()
		b.peers.Wait()
	})
}

// What says nothing about an event must never cost one.
func TestOutagesMakeNoDeadLetter(t *testing.T) {
	for name, script := range map[string]func(b *broker){
		"closes after QoS 0": func(b *broker) {
			b.onPublish = func(p *peer, _ got) { _ = p.Close() }
		},
		"never acknowledges":  func(b *broker) { b.onPublish = func(*peer, got) {} },
		"refuses the login":   func(b *broker) { b.onLogin = func(*peer) byte { return 5 } },
		"closes at the login": func(b *broker) { b.onLogin = func(*peer) byte { return 0xff } },
		"closes when idle": func(b *broker) {
			b.onPublish = func(p *peer, m got) {
				if p.n > 100 {
					p.ack(m)
				}
			}
			b.onLogin = func(p *peer) byte {
				time.AfterFunc(time.Second, func() { _ = p.Close() })
				return 0
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				script(b)
				r := newRig(t, Config{})
				r.dial = b.pipe
				if name != "closes when idle" && name != "closes after QoS 0" {
					r.put(t, events("press-7", 20)...)
				}
				stop := r.start(t)
				for range 2 * 360 {
					time.Sleep(10 * time.Second)
					if name == "closes after QoS 0" {
						ev := event("press-7", 1)
						ev.QoS = 0
						r.put(t, ev)
					}
				}
				stop()
				b.peers.Wait()
				if s := r.state(); s.SetAside != 0 {
					t.Errorf("got %d dead letters, want none", s.SetAside)
				}
				if n := b.loggedIn(); n > 250 {
					t.Errorf("got %d logins in two hours, want the back-off to grow: a login resets nothing", n)
				}
				if n := strings.Count(r.log.String(), "\n"); n > 200 {
					t.Errorf("got %d log lines, want repeats summed up", n)
				}
			})
		})
	}
}

func TestTwoPublishersWithOneIDStopFighting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.takeOver = true
		first, second := newRig(t, Config{Backoff: Backoff{Jitter: 0.2}}), newRig(t, Config{Backoff: Backoff{Jitter: 0.2}})
		var stops []func()
		for _, r := range []*rig{first, second} {
			r.dial = b.pipe
			r.put(t, events("press-7", 20)...)
			stops = append(stops, r.start(t))
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		for i, r := range []*rig{first, second} {
			if !strings.Contains(r.log.String(), codeRival) {
				t.Errorf("publisher %d: got log %s, want it to say that another client uses its id", i+1, r.log)
			}
			if s := r.state(); s.SetAside != 0 || s.Acked != 20 {
				t.Errorf("publisher %d: got %+v, want 20 acknowledged and no dead letter", i+1, s)
			}
		}
		before := b.loggedIn()
		time.Sleep(2 * time.Hour)
		if n := b.loggedIn() - before; n > 60 {
			t.Errorf("got %d logins in two hours, want them to stay away", n)
		}
		for _, stop := range stops {
			stop()
		}
		b.peers.Wait()
	})
}

func TestServerThatAcknowledgesAndHangsUpIsNoRival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.onPublish = func(p *peer, m got) {
			p.ack(m)
			if strings.Contains(m.topic, "ghost") {
				_ = p.Close()
			}
		}
		r := newRig(t, Config{})
		r.dial = b.pipe
		ghosts, others := events("ghost", 20), events("press-7", 20)
		for i := range ghosts {
			r.put(t, ghosts[i], others[i])
		}
		r.put(t, ghosts...) // and some in a row
		stop := r.start(t)
		time.Sleep(3 * time.Minute)
		stop()
		b.peers.Wait()
		if s := r.state(); s.Acked != 60 || s.SetAside != 0 {
			t.Errorf("got %+v, want all 60 acknowledged in three minutes", s)
		}
		if strings.Contains(r.log.String(), codeRival) {
			t.Errorf("got log %s, want nothing of another client", r.log)
		}
	})
}

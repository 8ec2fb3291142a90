package publisher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/mapping"
)

func TestEverythingArrivesInOrder(t *testing.T) {
	for qos := range byte(3) {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			b := newBroker()
			r := newRig(t, Config{Servers: []string{b.listen(t)}, Window: 7})
			list := events("press-7", 500)
			for i := range list {
				list[i].QoS = qos
			}
			r.put(t, list...)
			r.Finish()
			if err := r.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			// With QoS 0 Run does not wait for the broker.
			b.until(t, "500 events", func() bool { return len(b.got()) == 500 })
			all := b.got()
			if got, _ := firsts(all); !slices.Equal(got, payloads(list)) {
				t.Errorf("got %d events out of order or damaged, want 500 in order", len(got))
			}
			for _, m := range all {
				if m.flags&1 != 0 || m.qos() != qos {
					t.Fatalf("got header flags %04b, want QoS %d and not retained", m.flags, qos)
				}
			}
			if s := r.state(); s.Acked != 500 || s.Connected {
				t.Errorf("got state %+v, want 500 acknowledged and no connection after Run", s)
			}
		})
	}
}

func TestIDIsTheLastMemberAndTheSameOnEveryResend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.onPublish = func(p *peer, m got) {
			if p.n > 1 {
				p.ack(m)
			} else {
				_ = p.Close()
			}
		}
		r := newRig(t, Config{})
		r.dial = b.pipe
		ev := event("press-7", 1)
		ev.Number = mapping.AsMember
		empty := event("press-7", 2)
		empty.Number, empty.Payload = mapping.AsMember, []byte("{}")
		r.put(t, ev, empty)
		r.Finish()
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.peers.Wait()
		stream := r.q.Stream()
		all := b.got()
		if want := `{"d":{"n":1},"id":"` + stream + `-1"}`; all[0].payload != want || all[len(all)-2].payload != want {
			t.Errorf("got %s and again %s, want both %s", all[0].payload, all[len(all)-2].payload, want)
		}
		if want := `{"id":"` + stream + `-2"}`; all[len(all)-1].payload != want {
			t.Errorf("got %s, want %s", all[len(all)-1].payload, want)
		}
	})
}

func TestSwallowedAcknowledgementsAreSentAgainAfterTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.onPublish = func(p *peer, m got) {
			if p.n > 1 || len(p.got()) <= 3 {
				p.ack(m)
			}
		}
		r := newRig(t, Config{Window: 10})
		r.dial = b.pipe
		list := events("press-7", 30)
		r.put(t, list...)
		began := time.Now()
		stop := r.start(t)
		b.until(t, "all acknowledged", func() bool { synctest.Wait(); return r.state().Acked == 30 })
		if d := time.Since(began); d < 20*time.Second || d > 22*time.Second {
			t.Errorf("got the second connection after %v, want it 20 s and a back-off after the last acknowledgement", d)
		}
		stop()
		b.peers.Wait()
		got, repeats := firsts(b.got())
		if !slices.Equal(got, payloads(list)) {
			t.Errorf("got %q, want all in order", got)
		}
		if repeats != 10 {
			t.Errorf("got %d events twice, want the window of 10", repeats)
		}
		if !strings.Contains(r.log.String(), codeSilent) {
			t.Errorf("got log %s, want it to say %s", r.log, codeSilent)
		}
	})
}

func TestAcknowledgementsLateTwiceAndOutOfOrder(t *testing.T) {
	b := newBroker()
	var late []got
	b.onPublish = func(p *peer, m got) {
		late = append(late, m)
		if len(late) < 5 {
			return
		}
		slices.Reverse(late)
		for _, m := range late {
			p.ack(m)
			p.ack(m)
		}
		late = nil
	}
	r := newRig(t, Config{Servers: []string{b.listen(t)}, Window: 5})
	list := events("press-7", 500)
	r.put(t, list...)
	r.Finish()
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, repeats := firsts(b.got()); !slices.Equal(got, payloads(list)) || repeats != 0 {
		t.Errorf("got %d events and %d again, want 500 in order and 0", len(got), repeats)
	}
}

func TestCutsInMidFlightMakeNoDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		seen := 0
		b.onPublish = func(p *peer, m got) {
			if seen++; p.n <= 20 && seen%11 == 0 {
				p.write([]byte{0x40, 2}) // in the middle of a packet
				_ = p.Close()
				return
			}
			p.ack(m)
		}
		r := newRig(t, Config{Window: 20})
		r.dial = b.pipe
		list := append(events("press-7", 200), events("press-8", 200)...)
		r.put(t, list...)
		stop := r.start(t)
		for r.state().Acked < 400 {
			time.Sleep(time.Second) // virtual
		}
		stop()
		b.peers.Wait()
		got, repeats := firsts(b.got())
		if len(got) != 400 || !slices.Equal(got[:200], payloads(list[:200])) {
			t.Errorf("got %d events or a wrong order, want 400 in order", len(got))
		}
		if n := r.state().SetAside; n != 0 {
			t.Errorf("got %d dead letters, want none: cuts are not the fault of an event", n)
		}
		if most := 20 * 20; repeats > most {
			t.Errorf("got %d events twice, want at most a window for each cut, %d", repeats, most)
		}
	})
}

func TestFinishSaysThatThePlatformCannotBeReached(t *testing.T) {
	for name, script := range map[string]func(b *broker){
		"login refused":      func(b *broker) { b.onLogin = func(*peer) byte { return 4 } },
		"never acknowledges": func(b *broker) { b.onPublish = func(*peer, got) {} },
		"everything refused": func(b *broker) { b.onPublish = func(p *peer, _ got) { _ = p.Close() } },
		"closes at once": func(b *broker) {
			b.onLogin = func(p *peer) byte {
				time.AfterFunc(time.Millisecond, func() { _ = p.Close() })
				return 0
			}
			b.onPublish = func(*peer, got) {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				script(b)
				r := newRig(t, Config{Servers: []string{"mqtt://a", "mqtt://b"}})
				r.dial = b.pipe
				r.put(t, events("press-7", 20)...)
				stopped := make(chan error, 1)
				go func() { stopped <- r.Run(t.Context()) }()
				time.Sleep(time.Minute)
				r.Finish()
				began := time.Now()
				if err := <-stopped; !errors.Is(err, ErrUnreachable) {
					t.Errorf("got %v, want ErrUnreachable", err)
				}
				if d := time.Since(began); d > 3*time.Minute {
					t.Errorf("got an answer after %v, want one within three minutes", d)
				}
				b.peers.Wait()
			})
		})
	}
}

// What was stored before Finish is sent, however close it was.
func TestFinishCountsWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			b := newBroker()
			r := newRig(t, Config{})
			r.dial = b.pipe
			stop := r.start(t)
			synctest.Wait()
			r.put(t, batched("press-7", 3, 10, time.Hour)...)
			r.Finish()
			<-r.ended
			stop()
			b.peers.Wait()
			if n := r.state().Acked; n != 3 {
				t.Fatalf("got %d acknowledged, want 3", n)
			}
		}
	})
}

func TestPoisonPartTakesItsWholeEventAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.onPublish = func(p *peer, m got) {
			if strings.Contains(m.payload, `"n":3,"of"`) {
				_ = p.Close()
				return
			}
			p.ack(m)
		}
		r := newRig(t, Config{})
		r.dial = b.pipe
		out := NewGate(Config{MaxPayload: 400}).Admit(mapping.Output{Events: []mapping.Event{event("press-7", 1), sized(1000), event("press-7", 2)}})
		r.put(t, out.Events...)
		stop := r.start(t)
		time.Sleep(time.Minute)
		stop()
		b.peers.Wait()
		all := b.got()
		if s := r.state(); s.SetAside != 1 || s.Acked != 2 || all[len(all)-1].payload != `{"d":{"n":2}}` {
			t.Errorf("got %+v and %s last, want the event set aside and the next one sent", s, all[len(all)-1].payload)
		}
		for _, m := range all {
			if strings.Contains(m.payload, `"n":4,"of"`) && m.conn > 2 {
				t.Errorf("got part 4 sent on connection %d, want none after part 3 is to blame", m.conn)
			}
		}
		if !strings.Contains(r.log.String(), codeParts) {
			t.Errorf("got log %s, want %s in it", r.log, codeParts)
		}
	})
}

func TestFinishWithAnEmptyQueueNeedsNoServer(t *testing.T) {
	r := newRig(t, Config{Servers: []string{"mqtt://127.0.0.1:1"}})
	r.Finish()
	if err := r.Run(t.Context()); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

// A peer that takes nothing must not hold up the end of the program.
func TestStalledServerDoesNotHoldUpTheStop(t *testing.T) {
	b := newBroker()
	release := make(chan struct{})
	b.onPublish = func(*peer, got) { <-release }
	r := newRig(t, Config{Servers: []string{b.listen(t)}})
	big := strings.Repeat("x", 100_000)
	for i := range 90 {
		ev := event("press-7", i)
		ev.Payload = fmt.Appendf(nil, `{"n":%d,"x":%q}`, i, big)
		r.put(t, ev)
	}
	stop := r.start(t)
	b.until(t, "the first event", func() bool { return len(b.got()) > 0 })
	began := time.Now()
	stop()
	if d := time.Since(began); d > 4*time.Second {
		t.Errorf("got the end after %v, want it within 4 s", d)
	}
	close(release)
}

// Each dead letter waits for the disk; a queue full of them must not hold up the stop either.
func TestManyDeadLettersDoNotHoldUpTheStop(t *testing.T) {
	b := newBroker()
	r := newRig(t, Config{Servers: []string{b.listen(t)}, MaxPayload: 10})
	r.put(t, events("press-7", 500)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	report := r.reporter.report
	r.reporter.report = func(s State) {
		report(s)
		if s.SetAside > 0 {
			cancel()
		}
	}
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := r.state().SetAside; n < 1 || n > 2 {
		t.Errorf("got %d dead letters before the end, want it after the first", n)
	}
}

func TestServersAreTriedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var tried []string
		var down atomic.Bool
		down.Store(true)
		r := newRig(t, Config{Servers: []string{"mqtt://a", "mqtt://b", "mqtt://c"}})
		r.dial = func(ctx context.Context, addr string) (net.Conn, error) {
			tried = append(tried, addr)
			if down.Load() && addr != "c:1883" {
				return nil, errors.New("down")
			}
			return b.pipe(ctx, addr)
		}
		r.put(t, event("press-7", 1))
		stop := r.start(t)
		time.Sleep(time.Second)
		down.Store(false)
		b.hangUp()
		time.Sleep(2 * time.Second)
		stop()
		b.peers.Wait()
		if want := []string{"a:1883", "b:1883", "c:1883", "a:1883"}; !slices.Equal(tried, want) {
			t.Errorf("got %v, want %v: the first one again after it worked", tried, want)
		}
	})
}

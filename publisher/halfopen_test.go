package publisher

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"legacybridge/mapping"
)

// hole is a connection whose peer can vanish without a word: what is written is taken and lost, nothing is read any more.
type hole struct {
	net.Conn
	vanished *atomic.Bool
	closed   chan struct{}
}

func (h *hole) Write(p []byte) (int, error) {
	if h.vanished.Load() {
		return len(p), nil
	}
	return h.Conn.Write(p)
}

func (h *hole) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if h.vanished.Load() {
		<-h.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (h *hole) Close() error {
	close(h.closed)
	return h.Conn.Close()
}

// large is an event just under the limit of the platform.
func large(i int) mapping.Event {
	ev := event("press-7", i)
	ev.Payload = fmt.Appendf(nil, `{"n":%d,"x":"%s"}`, i, strings.Repeat("x", 131_000))
	return ev
}

func TestHalfOpenConnectionIsFoundWithin30sWhileEventsWait(t *testing.T) {
	for name, c := range map[string]struct {
		vanish bool // the network swallows everything; else the peer is there…
		reads  bool // …and still reads
		events []mapping.Event
		every  time.Duration
	}{
		"one event, swallowed":           {true, false, events("press-7", 1), 0},
		"the window, swallowed":          {true, false, events("press-7", 200), 0},
		"now and then one, swallowed":    {true, false, events("press-7", 50), 700 * time.Millisecond},
		"a large one, swallowed":         {true, false, []mapping.Event{large(1)}, 0},
		"one event, never read":          {false, false, events("press-7", 1), 0},
		"the window, never read":         {false, false, events("press-7", 200), 0},
		"now and then one, never read":   {false, false, events("press-7", 50), 700 * time.Millisecond},
		"large ones, never read":         {false, false, []mapping.Event{large(1), large(2), large(3), large(4)}, 0},
		"one event, read and forgotten":  {false, true, events("press-7", 1), 0},
		"the window, read and forgotten": {false, true, events("press-7", 200), 0},
		"now and then one, forgotten":    {false, true, events("press-7", 50), 700 * time.Millisecond},
		"large ones, forgotten":          {false, true, []mapping.Event{large(1), large(2), large(3), large(4)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				var gone, vanished atomic.Bool
				release := make(chan struct{})
				b.onPublish = func(p *peer, m got) {
					switch {
					case !gone.Load() || p.n > 1:
						p.ack(m)
					case !c.reads:
						<-release
					}
				}
				r := newRig(t, Config{KeepAlive: 12 * time.Hour}) // no ping finds it
				r.dial = func(ctx context.Context, addr string) (net.Conn, error) {
					conn, err := b.pipe(ctx, addr)
					vanished := &vanished
					if b.loggedIn() > 0 {
						vanished = &atomic.Bool{}
					}
					return &hole{conn, vanished, make(chan struct{})}, err
				}
				stop := r.start(t)
				r.put(t, event("press-0", 0))
				time.Sleep(3 * time.Second) // virtual, as all below
				gone.Store(true)
				vanished.Store(c.vanish)
				began := time.Now()
				go func() {
					for i := range c.events {
						r.put(t, c.events[i])
						time.Sleep(c.every)
					}
				}()
				for r.state().Reconnects == 0 && time.Since(began) < time.Hour {
					time.Sleep(100 * time.Millisecond)
				}
				if d := time.Since(began); d < 15*time.Second || d > 30*time.Second {
					t.Errorf("got the end %v after the first event, want it within 30 s and not in haste", d)
				}
				close(release)
				time.Sleep(time.Minute)
				if s := r.state(); s.Acked != uint64(1+len(c.events)) || s.SetAside != 0 {
					t.Errorf("got %d acknowledged and %d set aside on the next connection, want %d and 0", s.Acked, s.SetAside, 1+len(c.events))
				}
				if !strings.Contains(r.log.String(), "connection to the platform ended") || strings.Contains(r.log.String(), codeRival) {
					t.Errorf("got log %s, want one drop and nothing of another client", r.log)
				}
				stop()
				b.peers.Wait()
			})
		})
	}
}

// An idle connection whose peer has gone without a word is known within keepalive and 10 s, whenever paho looks.
func TestDeadIdleConnectionIsNoticed(t *testing.T) {
	for _, keepalive := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute} {
		for _, after := range []time.Duration{0, 900 * time.Millisecond, 2500 * time.Millisecond, 4999 * time.Millisecond} {
			t.Run(fmt.Sprint(keepalive, " ", after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBroker()
					mute := make(chan struct{})
					var gone atomic.Bool
					b.onPing = func(*peer) {
						if gone.Load() {
							<-mute
						}
					}
					r := newRig(t, Config{KeepAlive: keepalive})
					r.dial = b.pipe
					stop := r.start(t)
					time.Sleep(after)
					r.put(t, event("press-7", 1))
					synctest.Wait()
					gone.Store(true)
					began := time.Now()
					for r.state().Connected && time.Since(began) < time.Hour {
						time.Sleep(100 * time.Millisecond)
					}
					if d := time.Since(began); d > keepalive+10*time.Second || d < keepalive {
						t.Errorf("got the end %v after the last event, want it within keepalive and 10 s", d)
					}
					if s := r.state(); s.Code != codeSilent {
						t.Errorf("got %+v, want %s", s, codeSilent)
					}
					close(mute)
					stop()
					b.peers.Wait()
				})
			})
		}
	}
}

func TestIdleConnectionThatAnswersStands(t *testing.T) {
	for _, keepalive := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker()
			b.onPing = func(*peer) { time.Sleep(2 * time.Second) } // over a satellite
			r := newRig(t, Config{KeepAlive: keepalive})
			r.dial = b.pipe
			stop := r.start(t)
			time.Sleep(2 * time.Hour)
			if n := b.loggedIn(); n != 1 {
				t.Errorf("keepalive %v: got %d logins in two hours, want 1", keepalive, n)
			}
			stop()
			b.peers.Wait()
		})
	}
}

// throttle answers as a throttled platform does: a message costs one unit and one for each 4096 bytes, and what is over the
// budget of a second waits, the socket unread.
func throttle(b *broker, unitsPerSecond int) {
	units := 0
	b.onPublish = func(p *peer, m got) {
		for units += 1 + len(m.payload)/4096; units > unitsPerSecond; units -= unitsPerSecond {
			time.Sleep(time.Second)
		}
		p.ack(m)
	}
}

func TestThrottledPlatformIsNotTakenForDead(t *testing.T) {
	for _, keepalive := range []time.Duration{time.Second, 3 * time.Second, 30 * time.Second} {
		for _, units := range []int{10, 20} {
			t.Run(fmt.Sprintf("keepalive %v, %d units a second", keepalive, units), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBroker()
					throttle(b, units)
					r := newRig(t, Config{KeepAlive: keepalive})
					r.dial = b.pipe
					for i := range 30 {
						r.put(t, large(i))
					}
					r.put(t, events("press-8", 200)...)
					stop := r.start(t)
					began := time.Now()
					for r.state().Acked < 230 && time.Since(began) < time.Hour {
						time.Sleep(time.Second)
					}
					time.Sleep(time.Minute) // and idle after it
					if s := r.state(); s.Reconnects != 0 || s.Acked != 230 || !s.Connected {
						t.Errorf("got %+v, want 230 acknowledged and no reconnect\n%s", s, r.log)
					}
					if _, repeats := firsts(b.got()); repeats != 0 {
						t.Errorf("got %d events twice, want none", repeats)
					}
					stop()
					b.peers.Wait()
				})
			})
		}
	}
}

// dripped is a connection over which a peer takes little at a time.
type dripped struct {
	net.Conn
	bytes int
	every time.Duration
}

func (d *dripped) Read(p []byte) (int, error) {
	time.Sleep(d.every) // virtual
	return d.Conn.Read(p[:min(len(p), d.bytes)])
}

// A link of 4 KB/s needs half a minute for the largest event. It is slow, not dead.
func TestLargeEventOverASlowLinkArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		r := newRig(t, Config{})
		r.dial = func(context.Context, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			b.peers.Go(func() { b.serve(&dripped{theirs, 400, 100 * time.Millisecond}) })
			return ours, nil
		}
		for i := range 5 {
			r.put(t, large(i))
		}
		stop := r.start(t)
		time.Sleep(5 * time.Minute)
		if s := r.state(); s.Acked != 5 || s.Reconnects != 0 {
			t.Errorf("got %+v, want 5 acknowledged and no reconnect\n%s", s, r.log)
		}
		stop()
		b.peers.Wait()
	})
}

// But one that takes a few bytes now and then and never acknowledges is given up, so that another server has its turn.
func TestPeerThatOnlyTrickles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		r := newRig(t, Config{Servers: []string{"mqtt://a", "mqtt://b"}})
		r.dial = func(ctx context.Context, addr string) (net.Conn, error) {
			if addr == "b:1883" {
				return b.pipe(ctx, addr)
			}
			ours, theirs := net.Pipe()
			b.peers.Go(func() { b.serve(&dripped{theirs, 50, time.Second}) })
			return ours, nil
		}
		r.put(t, large(1))
		stop := r.start(t)
		time.Sleep(6 * time.Minute)
		if s := r.state(); s.Acked != 1 || s.Server != "b:1883" {
			t.Errorf("got %+v, want the event taken by the second server within six minutes", s)
		}
		stop()
		b.peers.Wait()
	})
}

// What no test on loopback can show the kernel is told: when to end a connection that only it knows to be dead, and to
// hold little that the network has not taken.
func TestKernelIsToldWhatADeadPeerIs(t *testing.T) {
	server := newBroker().listen(t)
	conn, err := dialTCP(t.Context(), strings.TrimPrefix(server, "mqtt://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var patience, unsent int
	if err := raw.Control(func(fd uintptr) {
		patience, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		unsent, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
	}); err != nil {
		t.Fatal(err)
	}
	if patience <= 0 || patience > 30_000 || unsent <= 0 || unsent > 64<<10 {
		t.Errorf("got %d ms and %d bytes, want at most 30 s and 64 KiB", patience, unsent)
	}
}

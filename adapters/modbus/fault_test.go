package modbus_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/modbus"
	"legacybridge/hardware/port"
)

// faults are the ways of equipment to answer wrongly. good is the right answer.
func faults(timeout time.Duration) map[string]func(q asked, good []byte) []piece {
	change := func(at int, by byte) func(asked, []byte) []piece { // with a right checksum
		return func(q asked, good []byte) []piece {
			if q.header != nil {
				b := slices.Clone(good)
				b[at+6] += by
				return now(b)
			}
			b := slices.Clone(good[:len(good)-2])
			b[at] += by
			return now(asked{}.frame(b[0], b[1:]...))
		}
	}
	return map[string]func(asked, []byte) []piece{
		"silent": func(asked, []byte) []piece { return nil },
		"late":   func(_ asked, good []byte) []piece { return []piece{{after: timeout * 3 / 2, bytes: good}} },
		"half":   func(_ asked, good []byte) []piece { return now(good[:len(good)/2]) },
		"slow half": func(_ asked, good []byte) []piece {
			return []piece{{bytes: good[:len(good)/2]}, {after: timeout * 3 / 2, bytes: good[len(good)/2:]}}
		},
		"in two parts": func(_ asked, good []byte) []piece {
			return []piece{{bytes: good[:4]}, {after: timeout / 4, bytes: good[4:]}}
		},
		"unit + 1":       change(0, 1),
		"function + 1":   change(1, 1),
		"byte count + 2": change(2, 2),
		"byte count - 2": change(2, 0xfe),
		"two registers less": func(q asked, good []byte) []piece {
			less := q
			less.count -= 2
			if less.count < 1 {
				return nil
			}
			return now(less.ownRegisters())
		},
		"two registers more": func(q asked, good []byte) []piece {
			more := q
			more.count += 2
			return now(more.ownRegisters())
		},
		"number + 1, or checksum + 1": func(q asked, good []byte) []piece {
			b := slices.Clone(good)
			if q.header != nil {
				b[1]++
			} else {
				b[len(b)-1]++
			}
			return now(b)
		},
		"length lies, or a bit is wrong": func(q asked, good []byte) []piece {
			b := slices.Clone(good)
			if q.header != nil {
				b[5] += 10
			} else {
				b[3] ^= 4
			}
			return now(b)
		},
		"noise": func(asked, []byte) []piece { return now([]byte{0xff, 0, 0x55, 1, 3}) },
		"twice": func(_ asked, good []byte) []piece { return now(append(slices.Clone(good), good...)) },
		"reset": func(asked, []byte) []piece { return []piece{{hangUp: true}} },
		"half, then the end": func(_ asked, good []byte) []piece {
			return []piece{{bytes: good[:len(good)/2]}, {after: timeout / 10, hangUp: true, bytes: []byte{}}}
		},
		"exception 5":  func(q asked, _ []byte) []piece { return now(q.exception(5)) },
		"exception 6":  func(q asked, _ []byte) []piece { return now(q.exception(6)) },
		"exception 10": func(q asked, _ []byte) []piece { return now(q.exception(10)) },
		"exception 11": func(q asked, _ []byte) []piece { return now(q.exception(11)) },
	}
}

// wrong returns what is wrong with a reading of points that are named after their addresses.
func wrong(r adapters.Reading) string {
	unit := r.Device[len(r.Device)-1] - '0'
	if len(r.Names) == 0 || len(r.Names) != len(r.Values) {
		return fmt.Sprintf("%d names, %d values", len(r.Names), len(r.Values))
	}
	for i, n := range r.Names {
		address, _ := strconv.Atoi(n)
		if want := strconv.Itoa(int(own(unit, address))); r.Values[i] != want {
			return fmt.Sprintf("%s of %s = %s, want %s", n, r.Device, r.Values[i], want)
		}
	}
	return ""
}

func addresses(at ...uint16) []modbus.Point {
	var points []modbus.Point
	for _, a := range at {
		points = append(points, modbus.Point{Name: strconv.Itoa(int(a)), Address: a})
	}
	return points
}

func TestFaultyRepliesNeverBecomeValues(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		const enough = 1500
		cfg.Devices = units(3, 50*time.Millisecond, addresses(1, 2, 3, 100, 101, 102, 200)...)
		random := rand.New(rand.NewPCG(3, 4))
		ways := faults(cfg.Timeout)
		if cfg.Framing == modbus.RTU {
			delete(ways, "reset") // a tty that hangs up is gone
			delete(ways, "half, then the end")
		}
		kinds := slices.Sorted(maps.Keys(ways))
		seen := map[string]int{}
		s.answer = func(q asked) []piece {
			if random.IntN(5) > 0 {
				return now(q.ownRegisters())
			}
			kind := kinds[random.IntN(len(kinds))]
			seen[kind]++
			return ways[kind](q, q.ownRegisters())
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		src, err := modbus.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		readings, first := 0, ""
		err = src.Run(ctx, nil, func(_ context.Context, b adapters.Batch) error {
			for _, r := range b.Readings {
				if w := wrong(r); w != "" && first == "" {
					first = w
				}
				if readings++; readings == enough {
					stop()
				}
			}
			return nil
		})
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil || first != "" {
			t.Errorf("Run returned %v; first wrong value: %q", err, first)
		}
		if len(seen) != len(ways) || readings < enough {
			t.Errorf("%d readings, %d of %d faults", readings, len(seen), len(ways))
		}
		if s.most > 1 {
			t.Errorf("%d connections at the same time, want 1", s.most)
		}
	})
}

// Over real sockets, each fault for itself, all at the same time: readings before it, readings after it, nothing wrong,
// never two connections.
func TestEveryFaultIsOutlived(t *testing.T) {
	t.Parallel()
	const timeout = 250 * time.Millisecond // a busy machine may take a while over an answer
	var all sync.WaitGroup
	defer all.Wait()
	for _, framing := range []modbus.Framing{modbus.TCP, modbus.RTUOverTCP} {
		for kind, way := range faults(timeout) {
			s := &station{framing: framing}
			n := 0
			s.answer = func(q asked) []piece {
				if n++; n > 3 && n <= 5 {
					return way(q, q.ownRegisters())
				}
				return now(q.ownRegisters())
			}
			cfg := modbus.Config{Link: "plc", Framing: framing, Port: port.Config{TCP: s.listen(t)}, Timeout: timeout, Retries: 1, MaxGap: 8,
				Devices: units(2, 50*time.Millisecond, addresses(1, 2, 50)...)}
			all.Go(func() {
				if err := outlive(t, s, cfg, kind); err != nil {
					t.Errorf("framing %d, %s: %v", framing, kind, err)
				}
			})
		}
	}
}

func outlive(t *testing.T, s *station, cfg modbus.Config, kind string) error {
	c := newCatch()
	missing := error(nil)
	// Counted on our side: when the equipment takes note of a close is up to the machine.
	var open, most atomic.Int32
	cfg.Dial = func(ctx context.Context) (port.Port, error) {
		p, err := port.Open(ctx, cfg.Port)
		if err == nil {
			if n := open.Add(1); n > most.Load() {
				most.Store(n)
			}
			p = &counted{Port: p, closed: sync.OnceFunc(func() { open.Add(-1) })}
		}
		return p, err
	}
	if err := run(t, cfg, c, func() {
		if !c.wait(func() bool { return len(c.of("unit-1")) > 6 && len(c.of("unit-2")) > 6 }) {
			missing = fmt.Errorf("%d and %d readings in 20 s, want 7", len(c.of("unit-1")), len(c.of("unit-2")))
		}
	}); err != nil || missing != nil {
		return errors.Join(err, missing)
	}
	for _, r := range append(c.of("unit-1"), c.of("unit-2")...) {
		if w := wrong(r); w != "" {
			return errors.New(w)
		}
	}
	if most.Load() != 1 {
		return fmt.Errorf("%d connections at the same time, want 1", most.Load())
	}
	_, one := c.last("unit-1")
	_, two := c.last("unit-2")
	late := one.Counts.Timeouts+two.Counts.Timeouts > 0 // the machine was too busy: then the connection is a new one
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasPrefix(kind, "exception") && s.dials != 1 && !late {
		return fmt.Errorf("%d connections, want an exception to leave the first alone", s.dials)
	}
	return nil
}

// A counted port tells when it is closed.
type counted struct {
	port.Port
	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.Port.Close()
}

func TestIdleConnectionThatWasClosedIsOpenedAgain(t *testing.T) {
	overFramings(t, aConnection, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(1, 10*time.Second, addresses(1)...)
		s.answer = func(q asked) []piece {
			return []piece{{bytes: q.ownRegisters()}, {after: 5 * time.Second, hangUp: true}}
		}
		c := newCatch()
		if err := run(t, cfg, c, func() { <-time.After(time.Minute + time.Second) }); err != nil {
			t.Errorf("Run returned %v, want nil", err)
		}
		state, _ := c.last("unit-1")
		if len(c.of("unit-1")) != 7 || s.dials != 7 || state.Counts.Timeouts != 0 || state.Counts.Reopened != 6 {
			t.Errorf("%d readings, %d connections, %+v; want 7, 7, no time-out", len(c.of("unit-1")), s.dials, state.Counts)
		}
	})
}

func TestHostThatHangsUpOnOneUnitServesTheOthers(t *testing.T) {
	overFramings(t, aConnection, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(2, time.Second, addresses(1)...)
		s.answer = func(q asked) []piece {
			if q.unit == 2 {
				return []piece{{hangUp: true, after: time.Millisecond}}
			}
			return now(q.ownRegisters())
		}
		c := newCatch()
		run(t, cfg, c, func() { <-time.After(2 * time.Minute) })
		_, device := c.last("unit-2")
		if got := len(c.of("unit-1")); got < 108 || device.Code != "COM003" || !strings.Contains(device.Why, "closes the connection when unit 2 is asked") {
			t.Errorf("%d readings in 2 min of the one, %+v of the other", got, device)
		}
	})
}

func TestDeadTTYEndsRun(t *testing.T) {
	overFramings(t, aTTY, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(2, time.Second, addresses(1)...)
		s.answer = func(q asked) []piece {
			return []piece{{bytes: q.ownRegisters()}, {after: 1500 * time.Millisecond, hangUp: true}}
		}
		c := newCatch()
		src, err := modbus.New(with(cfg, c))
		if err != nil {
			t.Fatal(err)
		}
		err = src.Run(t.Context(), nil, c.put)
		if state, device := c.last("unit-1"); err == nil || state.Health != adapters.Down || device.Health != adapters.Down || state.Why != err.Error() {
			t.Errorf("Run returned %v, %+v; want the wire gone", err, state)
		}
		s.answer = func(q asked) []piece { return now(q.ownRegisters()) }
		run(t, cfg, c, func() { <-time.After(5 * time.Second) }) // as Supervise would
		if _, device := c.last("unit-1"); device.Health != adapters.Up {
			t.Errorf("after it came back: %+v", device)
		}
	})
}

func TestDamagedLineIsNamed(t *testing.T) {
	overFramings(t, wiresBehind, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(3, time.Second, addresses(1)...)
		damage := 0
		s.answer = func(q asked) []piece {
			b := q.ownRegisters()
			if damage++; damage%3 == 0 {
				b[4] ^= 0x10
			}
			return now(b)
		}
		c := newCatch()
		run(t, cfg, c, func() {
			<-time.After(5 * time.Minute)
			state, device := c.last("unit-2")
			if state.Health != adapters.Up && state.Health != adapters.Late || state.Counts.Bad == 0 || device.Code != "COM005" && device.Code != "COM006" {
				t.Errorf("got %+v, want a link that is up with COM005", state)
			}
			s.mu.Lock()
			s.answer = func(q asked) []piece { return now([]byte{0xf0, 0x0f, 0xf0, 0x0f, 0xf0, 0x0f, 0xf0, 0x0f}) }
			s.mu.Unlock()
			<-time.After(20 * time.Minute)
			state, device = c.last("unit-2")
			if state.Health != adapters.Garbled || state.Code != "COM005" || !strings.Contains(state.Why, "of 50 replies damaged (CRC). All units affected: baud/parity") {
				t.Errorf("got link %+v, want it garbled with COM005", state)
			}
			if device.Health != adapters.Garbled || device.Code != "COM005" {
				t.Errorf("got device %+v, want it garbled", device)
			}
		})
	})
}

func TestLineThatNeverFallsSilentIsNamed(t *testing.T) {
	overFramings(t, wiresBehind, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(1, time.Second, addresses(1)...)
		s.answer = func(q asked) []piece {
			var chatter []piece
			for i := range 1000 {
				chatter = append(chatter, piece{after: time.Duration(i+1) * 100 * time.Millisecond, bytes: []byte("chatter")})
			}
			return chatter
		}
		c := newCatch()
		src, err := modbus.New(with(cfg, c))
		if err != nil {
			t.Fatal(err)
		}
		err = src.Run(t.Context(), nil, c.put)
		if state, _ := c.last(""); err == nil || !strings.Contains(err.Error(), "never silent") || state.Health != adapters.Garbled || state.Code != "COM005" {
			t.Errorf("got %v, %+v, want a line that is never silent", err, state)
		}
	})
}

func TestFrameThatNobodyAskedForIsDiscarded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(1, 2*time.Second, modbus.Point{Name: "number"})
		number := uint16(0)
		s.answer = func(q asked) []piece {
			number++
			n := number
			b := q.registers(func(int) uint16 { return n })
			return []piece{{bytes: b}, {after: time.Second, bytes: b}} // once more, when nothing is asked
		}
		c := newCatch()
		run(t, cfg, c, func() { <-time.After(time.Minute + time.Second) })
		for i, r := range c.of("unit-1") {
			if want := strconv.Itoa(i + 1); r.Values[0] != want {
				t.Fatalf("reading %d = %s, want the answer to its own request, %s", i, r.Values[0], want)
			}
		}
		if state, _ := c.last(""); len(c.of("unit-1")) < 25 || state.Counts.Bad < 25 {
			t.Errorf("%d readings, %d frames dropped; want about 30 of each", len(c.of("unit-1")), state.Counts.Bad)
		}
	})
}

func TestNoiseBetweenPollsDelaysNothing(t *testing.T) {
	overFramings(t, wiresBehind, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(1, time.Second, addresses(1)...)
		s.answer = func(q asked) []piece {
			return []piece{{bytes: append([]byte{0xff}, append(q.ownRegisters(), 0)...)}, {after: 100 * time.Millisecond, bytes: []byte{0}}}
		}
		c := newCatch()
		run(t, cfg, c, func() { <-time.After(time.Minute + 600*time.Millisecond) })
		if got := len(c.of("unit-1")); got != 61 {
			t.Errorf("%d readings in a minute, want 61", got)
		}
	})
}

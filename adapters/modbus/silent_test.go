package modbus_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/modbus"
)

func TestUnreachableHostEndsRun(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(2, time.Second, modbus.Point{Name: "a"})
		s.answer = func(q asked) []piece { return []piece{{hangUp: true}} }
		refused := errors.New("10.0.0.7:502 is not reached")
		c := newCatch()
		src, _ := modbus.New(with(cfg, c))
		s.refuse = refused
		err := src.Run(t.Context(), nil, c.put)
		state, device := c.last("unit-2")
		if !errors.Is(err, refused) || state.Health != adapters.Down || state.Why != refused.Error() || device.Health != adapters.Down {
			t.Errorf("got %v, %+v, want the link failing with its error", err, state)
		}
	})
}

func TestSilentUnitHoldsUpNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		const every, minutes = 500 * time.Millisecond, 5
		cfg.Devices = units(4, every, modbus.Point{Name: "a"}, modbus.Point{Name: "b", Address: 100}, modbus.Point{Name: "c", Address: 200})
		dead := false
		s.answer = func(q asked) []piece {
			if q.unit == 3 && dead {
				return nil
			}
			return []piece{{20 * time.Millisecond, q.ownRegisters(), false}}
		}
		c := newCatch()
		var died time.Time
		run(t, cfg, c, func() {
			<-time.After(time.Minute)
			s.mu.Lock()
			dead, died = true, time.Now()
			s.mu.Unlock()
			<-time.After(minutes * time.Minute)
			state, device := c.last("unit-3")
			if device.Health != adapters.Down || device.Code != "COM003" || state.Health != adapters.Up {
				t.Errorf("got device %+v on link %q, want it failing with COM003 on a link that is ok", device, state.Health)
			}
			const want = "no answer from unit 3 on bus-1 (3 tries, 500 ms each). Other units "
			if !strings.HasPrefix(device.Why, want) {
				t.Errorf("got %q, want %q", device.Why, want)
			}
			s.mu.Lock()
			dead = false
			s.mu.Unlock()
			<-time.After(31 * time.Second)
			if _, device := c.last("unit-3"); device.Health != adapters.Up {
				t.Errorf("31 s after it was mended: %+v, want ok", device)
			}
		})
		for _, healthy := range []string{"unit-1", "unit-2", "unit-4"} {
			first, whole := 0, 0
			for _, r := range c.of(healthy) {
				if since := r.Time.Sub(died); since >= 0 && since < time.Minute {
					first++
				}
				if since := r.Time.Sub(died); since >= 0 && since < minutes*time.Minute {
					whole++
				}
			}
			asked := int(time.Minute / every)
			if first < asked*9/10 || whole < minutes*asked*9/10 {
				t.Errorf("%s: %d of %d polls in the first minute, %d of %d in all, want 90 %%", healthy, first, asked, whole, minutes*asked)
			}
		}
		probes := 0
		for _, q := range s.requests() {
			if since := q.at.Sub(died); q.unit == 3 && since > time.Minute && since < minutes*time.Minute {
				probes++
			}
		}
		if want := (minutes - 1) * 2; probes < want-2 || probes > want+1 {
			t.Errorf("%d requests to the silent unit in %d min, want one per 30 s", probes, minutes-1)
		}
	})
}

func TestManySilentUnitsTakeATenthOfTheTime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(9, time.Second, modbus.Point{Name: "a"})
		s.answer = func(q asked) []piece {
			if q.unit > 1 {
				return nil
			}
			return now(q.ownRegisters())
		}
		c := newCatch()
		began := time.Now()
		run(t, cfg, c, func() { <-time.After(20 * time.Minute) })
		got, settled := 0, began.Add(2*time.Minute) // the first misses take their time
		for _, r := range c.of("unit-1") {
			if r.Time.After(settled) {
				got++
			}
		}
		if want := 18 * 60 * 9 / 10; got < want {
			t.Errorf("the unit that answers was polled %d times in 18 min, want at least %d", got, want)
		}
		for unit := byte(2); unit <= 9; unit++ {
			probes := 0
			for _, q := range s.requests() {
				if q.unit == unit && q.at.After(settled) {
					probes++
				}
			}
			if probes < 10 {
				t.Errorf("unit %d was asked %d times in 18 min, want at least 10", unit, probes)
			}
		}
	})
}

func TestAllUnitsComeBackWithTheFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(4, time.Second, modbus.Point{Name: "a"})
		cut := true
		s.answer = func(q asked) []piece {
			if cut {
				return nil
			}
			return now(q.ownRegisters())
		}
		c := newCatch()
		run(t, cfg, c, func() {
			<-time.After(5 * time.Minute)
			state, device := c.last("unit-2")
			if state.Health != adapters.Down || state.Code != "COM003" || !strings.Contains(device.Why, "No other unit ") {
				t.Errorf("got link %+v, want it failing: nobody answers", state)
			}
			s.mu.Lock()
			cut = false
			s.mu.Unlock()
			<-time.After(31 * time.Second)
			for _, d := range must(c.last("")).Devices {
				if d.Health != adapters.Up {
					t.Errorf("31 s after the bus was mended: %+v, want ok", d)
				}
			}
		})
	})
}

func must(s adapters.State, _ adapters.DeviceState) adapters.State { return s }

func TestGatewayExceptionsAreTheUnitsSilence(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(2, time.Second, modbus.Point{Name: "a"})
		s.answer = func(q asked) []piece {
			if q.unit == 1 {
				return []piece{{400 * time.Millisecond, q.exception(11), false}} // the gateway has waited itself
			}
			return now(q.ownRegisters())
		}
		c := newCatch()
		run(t, cfg, c, func() { <-time.After(5 * time.Minute) })
		n := 0
		for _, q := range s.requests() {
			if q.unit == 1 {
				n++
			}
		}
		if n > 15 || n < 10 {
			t.Errorf("the unit was asked %d times in 5 min, want once per 30 s after three misses", n)
		}
		if got := len(c.of("unit-2")); got < 270 {
			t.Errorf("%d readings of the other unit, want nearly one per second", got)
		}
		if _, d := c.last("unit-1"); d.Health != adapters.Down || d.Code != "COM004" {
			t.Errorf("got %+v, want failing with COM004", d)
		}
		if s.dials != 1 {
			t.Errorf("%d connections, want 1", s.dials)
		}
	})
}

func TestHostThatRestartsIsPolledAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(2, time.Second, addresses(1)...)
		c := newCatch()
		src, err := modbus.New(with(cfg, c))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		supervisor := &adapters.Supervisor{Source: src, Put: c.put, Reopen: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}
		go func() { ended <- supervisor.Run(ctx) }()
		<-time.After(30 * time.Second)
		s.mu.Lock()
		s.refuse = errors.New("connection refused")
		s.line.Close()
		s.mu.Unlock()
		<-time.After(5 * time.Second)
		if state, device := c.last("unit-1"); state.Health != adapters.Down || device.Why != "connection refused" && cfg.Framing != modbus.RTU {
			t.Errorf("while it is away: %+v, want the link failing", state)
		}
		s.mu.Lock()
		s.refuse = nil
		s.mu.Unlock()
		back := time.Now()
		<-time.After(5 * time.Second)
		if r := c.of("unit-2"); len(r) == 0 || !r[len(r)-1].Time.After(back) {
			t.Errorf("5 s after it came back: last of %d readings is old", len(r))
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("got %v, want nil", err)
		}
	})
}

package modbus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/modbus"
)

var framings = map[string]modbus.Framing{"TCP": modbus.TCP, "RTU": modbus.RTU, "RTU over TCP": modbus.RTUOverTCP}

// inBubble runs a test for each framing in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, s *station, cfg modbus.Config)) {
	overFramings(t, func(modbus.Framing) bool { return true }, test)
}

// What a test of some framings is of.
func aTTY(f modbus.Framing) bool        { return f == modbus.RTU }
func aConnection(f modbus.Framing) bool { return f != modbus.RTU }
func wiresBehind(f modbus.Framing) bool { return f != modbus.TCP }

// overFramings is inBubble for the framings that are wanted.
func overFramings(t *testing.T, wanted func(modbus.Framing) bool, test func(t *testing.T, s *station, cfg modbus.Config)) {
	for text, framing := range framings {
		if !wanted(framing) {
			continue
		}
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &station{framing: framing, answer: func(q asked) []piece { return now(q.ownRegisters()) }}
				defer s.stop()
				cfg := modbus.Config{Link: "bus-1", Framing: framing, Dial: s.dial, Timeout: 500 * time.Millisecond, Retries: 2, MaxGap: 8}
				test(t, s, cfg)
			})
		})
	}
}

func TestReadingHasAllPointsOfOnePoll(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(2, time.Second,
			modbus.Point{Name: "last", Table: modbus.Holding, Address: 77},
			modbus.Point{Name: "first", Table: modbus.Holding, Address: 3, Type: "u32"},
			modbus.Point{Name: "lamp", Table: modbus.Coil, Address: 9},
			modbus.Point{Name: "door", Table: modbus.Discrete, Address: 1234},
			modbus.Point{Name: "in", Table: modbus.Input, Address: 3})
		c := newCatch()
		began := time.Now()
		if err := run(t, cfg, c, func() { <-time.After(10*time.Second + 500*time.Millisecond) }); err != nil {
			t.Errorf("Run returned %v, want nil", err)
		}
		for unit := 1; unit <= 2; unit++ {
			readings := c.of(name(unit))
			if len(readings) < 10 || len(readings) > 11 { // a line is listened to for one timeout first
				t.Fatalf("unit %d: %d readings in 10.5 s, want one per second", unit, len(readings))
			}
			u := byte(unit)
			want := []string{fmt.Sprint(own(u, 77)), fmt.Sprint(uint32(own(u, 3))<<16 | uint32(own(u, 4))), "true", "false", fmt.Sprint(own(u, 3))}
			for _, r := range readings {
				if !slices.Equal(r.Names, []string{"last", "first", "lamp", "door", "in"}) || !slices.Equal(r.Values, want) {
					t.Fatalf("unit %d: got %v = %v, want %v", unit, r.Names, r.Values, want)
				}
				if want := fmt.Sprintf("bus-1 unit %d", unit); r.Origin != want || r.Raw != nil || r.Fault != nil || r.Time.Before(began) || r.Time.Location() != time.UTC {
					t.Fatalf("got %+v, want origin %q and the time it came", r, want)
				}
			}
			if &readings[0].Names[0] != &readings[9].Names[0] {
				t.Error("readings of one shape do not share their names")
			}
		}
		if s.dials != 1 {
			t.Errorf("%d connections, want 1", s.dials)
		}
		for i, q := range s.requests()[1:] {
			if gap := q.at.Sub(s.requests()[i].at); cfg.Framing != modbus.TCP && gap < 1750*time.Microsecond {
				t.Errorf("%v between two requests, want 1.75 ms of silence", gap)
			}
		}
	})
}

func TestUnansweredRequestLeavesItsPointsOut(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(1, time.Second, modbus.Point{Name: "a", Address: 1}, modbus.Point{Name: "b", Address: 100}, modbus.Point{Name: "c", Address: 200})
		ignored := 100
		s.answer = func(q asked) []piece {
			if q.start == ignored {
				return nil
			}
			return now(q.ownRegisters())
		}
		c := newCatch()
		run(t, cfg, c, func() {
			<-time.After(5 * time.Minute)
			if state, device := c.last("unit-1"); device.Code != "COM003" || device.Health != adapters.Up || !strings.Contains(device.Why, "holding register 100") {
				t.Errorf("got %+v on %q, want holding register 100 named", device, state.Health)
			}
			s.mu.Lock()
			ignored = -1
			s.mu.Unlock()
			<-time.After(31 * time.Second)
		})
		readings := c.of("unit-1")
		if len(readings) < 280 {
			t.Errorf("%d readings in 331 s, want nearly one per second", len(readings))
		}
		for _, r := range readings[:len(readings)-5] {
			if len(r.Names) != 2 && len(r.Names) != 3 || len(r.Values) != len(r.Names) {
				t.Fatalf("got %v = %v", r.Names, r.Values)
			}
			for i, n := range r.Names {
				address := map[string]int{"a": 1, "b": 100, "c": 200}[n]
				if r.Values[i] != fmt.Sprint(own(1, address)) {
					t.Fatalf("%s = %s, want %d", n, r.Values[i], own(1, address))
				}
			}
		}
		if a, b := readings[3], readings[100]; !slices.Equal(a.Names, []string{"a", "c"}) || &a.Names[0] != &b.Names[0] {
			t.Errorf("got %v and %v, want a and c, one list", a.Names, b.Names)
		}
		if last := readings[len(readings)-1]; !slices.Equal(last.Names, []string{"a", "b", "c"}) {
			t.Errorf("after it answers again: %v, want all", last.Names)
		}
	})
}

func TestExceptionsAreNeverValues(t *testing.T) {
	for code, text := range map[byte]string{1: "function", 2: "no such registers", 3: "max_read", 4: "fault", 5: "needs time", 6: "busy", 10: "gateway", 11: "gateway", 99: "maker"} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
				cfg.Devices = units(2, time.Second, modbus.Point{Name: "a"}, modbus.Point{Name: "b", Address: 100})
				s.answer = func(q asked) []piece {
					if q.unit == 1 && q.start == 100 {
						return now(q.exception(code))
					}
					return now(q.ownRegisters())
				}
				c := newCatch()
				run(t, cfg, c, func() {
					<-time.After(60*time.Second + 900*time.Millisecond)
					_, device := c.last("unit-1")
					if device.Code != "COM004" || device.Counts.Exceptions == 0 || !strings.Contains(device.Why, text) || !strings.Contains(device.Why, fmt.Sprint("exception ", code)) {
						t.Errorf("got %+v, want COM004 with %q", device, text)
					}
				})
				if len(c.of("unit-2")) < 55 || len(c.of("unit-1")) < 55 {
					t.Errorf("%d and %d readings in a minute, want one per second", len(c.of("unit-1")), len(c.of("unit-2")))
				}
				for _, r := range c.of("unit-1") {
					if !slices.Equal(r.Names, []string{"a"}) || r.Values[0] != fmt.Sprint(own(1, 0)) {
						t.Fatalf("got %v = %v, want a alone", r.Names, r.Values)
					}
				}
				if s.dials != 1 {
					t.Errorf("%d connections, want the first to stay", s.dials)
				}
			})
		})
	}
}

func TestBusyUnitIsAskedAgainSoon(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(1, 10*time.Second, modbus.Point{Name: "a"}, modbus.Point{Name: "b", Address: 100})
		refusals := 2
		s.answer = func(q asked) []piece {
			if refusals > 0 && q.start == 100 {
				refusals--
				return now(q.exception(6))
			}
			return now(q.ownRegisters())
		}
		c := newCatch()
		began := time.Now()
		run(t, cfg, c, func() { <-time.After(9 * time.Second) })
		readings := c.of("unit-1")
		if len(readings) != 1 || len(readings[0].Names) != 2 || readings[0].Time.Sub(began) > time.Second+500*time.Millisecond {
			t.Errorf("got %+v, want one whole reading 300 ms later", readings)
		}
	})
}

func TestOverloadedBusIsFairAndSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(9, time.Second, modbus.Point{Name: "a"})
		s.answer = func(q asked) []piece { return []piece{{300 * time.Millisecond, q.ownRegisters(), false}} }
		c := newCatch()
		run(t, cfg, c, func() {
			<-time.After(3 * time.Minute)
			if state, device := c.last("unit-5"); state.Health != adapters.Late || device.Health != adapters.Late || device.Code != "COM006" || device.Why == "" {
				t.Errorf("got %q, %+v, want late with COM006", state.Health, device)
			}
		})
		least, most := 1<<30, 0
		for unit := 1; unit <= 9; unit++ {
			n := len(c.of(name(unit)))
			least, most = min(least, n), max(most, n)
		}
		if most-least > 2 || least < 55 {
			t.Errorf("between %d and %d readings per unit, want the same for all, about 60", least, most)
		}
	})
}

func TestAlignedPollsFollowLocalTime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		zone := time.FixedZone("Nepal", 5*3600+45*60)
		cfg.Devices = units(1, 15*time.Minute, modbus.Point{Name: "a"})
		cfg.Devices[0].Align = zone
		cfg.Devices = append(cfg.Devices, modbus.Device{Name: "day", Unit: 9, Every: 24 * time.Hour, Align: zone, Points: cfg.Devices[0].Points})
		c := newCatch()
		run(t, cfg, c, func() {
			<-time.After(7 * time.Minute)
			<-time.After(48 * time.Hour)
		})
		if got := len(c.of("unit-1")); got != 48*4 && got != 48*4+1 {
			t.Errorf("%d readings in 48 h, want 192", got)
		}
		for _, r := range c.of("unit-1") {
			if at := r.Time.In(zone); at.Minute()%15 != 0 || at.Second() > 1 {
				t.Fatalf("polled at %v, want :00 :15 :30 :45", at)
			}
		}
		if days := c.of("day"); len(days) != 2 || days[0].Time.In(zone).Format("15:04") != "00:00" {
			t.Errorf("got %v, want two polls at local midnight", days)
		}
	})
}

func TestRunReturnsTheSinksErrorAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(1, time.Hour, modbus.Point{Name: "a"})
		src, err := modbus.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		began, disk := time.Now(), errors.New("disk gone")
		err = src.Run(t.Context(), nil, func(context.Context, adapters.Batch) error { return disk })
		if !errors.Is(err, disk) || time.Since(began) > 2*time.Second {
			t.Errorf("got %v after %v, want the sink's error at once", err, time.Since(began))
		}
	})
}

func TestRunEndsWithinASecondOfCancel(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(1, time.Second, modbus.Point{Name: "a"})
		cfg.Timeout = time.Minute
		s.answer = func(q asked) []piece { return nil }
		var stopped time.Time
		run(t, cfg, newCatch(), func() {
			<-time.After(3 * time.Minute)
			stopped = time.Now()
		})
		if d := time.Since(stopped); d > time.Second {
			t.Errorf("Run returned %v after its context was done, want at most 1 s", d)
		}
	})
}

func TestOnceNamesWhoDidNotAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Once, cfg.Devices = true, units(4, time.Hour, modbus.Point{Name: "a"})
		for i := range cfg.Devices {
			cfg.Devices[i].Align = time.UTC // has no effect
		}
		dead, busy := true, 1
		s.answer = func(q asked) []piece {
			switch {
			case dead && (q.unit == 2 || q.unit == 4):
				return nil
			case q.unit == 3 && busy > 0:
				busy--
				return now(q.exception(6))
			}
			return now(q.ownRegisters())
		}
		once := func() (*catch, error) {
			src, err := modbus.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			c := newCatch()
			return c, src.Run(t.Context(), nil, c.put)
		}
		c, err := once()
		if err == nil || err.Error() != "no answer on bus-1 from unit-2, unit-4" {
			t.Errorf("got %v, want unit-2 and unit-4 named", err)
		}
		if len(c.of("unit-1")) != 1 || len(c.of("unit-2")) != 0 || len(c.of("unit-3")) != 1 {
			t.Errorf("got %+v, want one reading of units 1 and 3", c.readings)
		}
		dead = false
		if c, err = once(); err != nil || len(c.readings) != 4 {
			t.Errorf("got %v, %d readings, want nil and 4", err, len(c.readings))
		}
	})
}

func with(cfg modbus.Config, c *catch) modbus.Config {
	cfg.Report = c.report
	return cfg
}

func TestStateIsReportedOnChangeAndOnceASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		cfg.Devices = units(2, 50*time.Millisecond, modbus.Point{Name: "a"})
		cfg.Devices[1].Every = time.Hour
		c := newCatch()
		run(t, cfg, c, func() {
			<-time.After(30*time.Second + 100*time.Millisecond)
			c.mu.Lock()
			states := slices.Clone(c.states)
			c.mu.Unlock()
			if n := len(states); n < 29 || n > 36 {
				t.Errorf("%d reports in 30 s, want one per second and one per change", n)
			}
			state, device := c.last("unit-2")
			if first := states[0]; first.Health != adapters.Starting || first.Devices[0].Health != adapters.Starting {
				t.Errorf("first report %+v, want starting", first)
			}
			if state.Health != adapters.Up || device.Counts.Frames != 1 || state.Counts.Frames < 500 || state.Since.IsZero() {
				t.Errorf("got %+v, want both units ok and counted", state)
			}
			for i, earlier := range states[1:] {
				if &earlier.Devices[0] == &states[i].Devices[0] {
					t.Fatal("two reports share their devices")
				}
			}
		})
		cfg.Once = true
		c = newCatch()
		run(t, cfg, c, func() { <-time.After(5 * time.Second) })
		if state, _ := c.last(""); state.Counts.Frames != 2 {
			t.Errorf("once: last report counts %+v, want both polls", state.Counts)
		}
	})
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	good := modbus.Config{Link: "bus-1", Devices: units(2, time.Second, modbus.Point{Name: "a"})}
	for want, spoil := range map[string]func(*modbus.Config){
		"no devices":        func(c *modbus.Config) { c.Devices = nil },
		"is unit-1 already": func(c *modbus.Config) { c.Devices[1].Unit = 1 },
		"broadcast":         func(c *modbus.Config) { c.Devices[0].Unit = 0 },
		"no points":         func(c *modbus.Config) { c.Devices[0].Points = nil },
		"every is":          func(c *modbus.Config) { c.Devices[0].Every = 0 },
		"max_read":          func(c *modbus.Config) { c.MaxRead = 126 },
		"timeout":           func(c *modbus.Config) { c.Timeout = -1 },
		"byte order":        func(c *modbus.Config) { c.Devices[0].Points = []modbus.Point{{Name: "x", Order: "AB"}} },
	} {
		cfg := good
		cfg.Devices = slices.Clone(good.Devices)
		spoil(&cfg)
		if _, err := modbus.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := modbus.New(good); err != nil {
		t.Errorf("got %v, want none", err)
	}
}

package modbus_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/modbus"
	"legacybridge/hardware/port"
)

// Each request reads two registers: who and where they are, and the number of the request. So a value of another unit
// or register, or from an older request, is recognised. What comes late finds four requests of the same shape waiting.
func TestLateRepliesNeverBecomeValues(t *testing.T) {
	inBubble(t, func(t *testing.T, s *station, cfg modbus.Config) {
		enough := 25_000 // readings, 100,000 in all
		if cfg.Framing == modbus.RTU {
			enough = 50_000 // where it is hardest
		}
		cfg.Devices = units(3, 20*time.Millisecond,
			modbus.Point{Name: "0", Address: 0}, modbus.Point{Name: "1", Address: 1},
			modbus.Point{Name: "100", Address: 100}, modbus.Point{Name: "101", Address: 101})
		cfg.Devices[0].Points, cfg.Devices[1].Points = cfg.Devices[0].Points[:2], cfg.Devices[1].Points[:2]
		cfg.Devices[2].Every = 200 * time.Millisecond // two requests of one shape to one unit
		random := rand.New(rand.NewPCG(1, 2))
		type place struct {
			unit  byte
			start int
		}
		var mu sync.Mutex // the sink runs beside the source
		sent, late := map[place][]time.Time{}, 0
		s.answer = func(q asked) []piece {
			mu.Lock()
			defer mu.Unlock()
			at := place{q.unit, q.start}
			number := uint16(len(sent[at]))
			sent[at] = append(sent[at], q.at)
			p := piece{bytes: q.registers(func(address int) uint16 {
				if address == q.start {
					return own(q.unit, address)
				}
				return number
			})}
			if random.IntN(10) == 0 {
				late++
				p.after = cfg.Timeout + time.Duration(random.Int64N(int64(cfg.Timeout-10*time.Millisecond)))
				if cfg.Framing == modbus.TCP {
					p.after = cfg.Timeout + time.Duration(random.Int64N(int64(10*cfg.Timeout)))
				}
			}
			return []piece{p}
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		readings, values, wrong := 0, 0, 0
		line := &queue{}
		cfg.Dial = func(context.Context) (port.Port, error) {
			if cfg.Framing == modbus.TCP {
				line = &queue{} // what is late on the old connection is never heard; a converter's line is always the same
			}
			return &directPort{queue: line, framing: cfg.Framing, answer: s.answer}, nil
		}
		src, err := modbus.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = src.Run(ctx, nil, func(_ context.Context, b adapters.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range b.Readings {
				unit := r.Device[len(r.Device)-1] - '0'
				for i, n := range r.Names {
					address, _ := strconv.Atoi(n)
					value, _ := strconv.Atoi(r.Values[i])
					values++
					if address%100 == 0 {
						if value != int(own(unit, address)) {
							wrong++
						}
						continue
					}
					requests := sent[place{unit, address - 1}]
					number := value
					for number+1<<16 < len(requests) && requests[number+1<<16].Before(r.Time) {
						number += 1 << 16
					}
					if number >= len(requests) || number+1 < len(requests) && requests[number+1].Before(r.Time) {
						wrong++ // the same was asked again before this came
					}
				}
				if readings++; readings == enough {
					stop()
				}
			}
			return nil
		})
		if err != nil || wrong != 0 {
			t.Errorf("%d of %d values wrong (%v), want none", wrong, values, err)
		}
		if late < readings/11 || readings < enough || values < 2*readings {
			t.Errorf("%d readings with %d values, %d replies late: the test did not test", readings, values, late)
		}
	})
}

// A directPort is equipment that answers while the request is written: 100,000 readings with a goroutine on the other
// side of a pipe take longer than all other tests.
type directPort struct {
	*queue
	framing  modbus.Framing
	answer   func(asked) []piece
	deadline time.Time
}

// A queue is what comes, in the order of arrival.
type queue struct{ coming []arrival }

type arrival struct {
	at    time.Time
	bytes []byte
}

func (p *directPort) Write(b []byte) (int, error) {
	q, err := (&station{framing: p.framing}).next(bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	for _, piece := range p.answer(q) {
		p.coming = append(p.coming, arrival{q.at.Add(piece.after), piece.bytes})
	}
	slices.SortStableFunc(p.coming, func(a, b arrival) int { return a.at.Compare(b.at) })
	return len(b), nil
}

func (p *directPort) Read(b []byte) (int, error) {
	for {
		now, next := time.Now(), p.deadline
		if len(p.coming) > 0 {
			if first := p.coming[0]; !first.at.After(now) {
				p.coming = p.coming[1:]
				return copy(b, first.bytes), nil
			} else if first.at.Before(next) {
				next = first.at
			}
		}
		if !now.Before(p.deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		<-time.After(next.Sub(now))
	}
}

func (p *directPort) SetDeadline(at time.Time) error { p.deadline = at; return nil }
func (p *directPort) Close() error                   { return nil }

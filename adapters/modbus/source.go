package modbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"legacybridge/adapters"
	"legacybridge/hardware/port"
)

const (
	defaultTimeout = 500 * time.Millisecond
	defaultMaxRead = 120
	shortestGap    = 1750 * time.Microsecond // above 19200 Bd (Modbus over Serial Line V1.02, 2.5.1.1)
	// What may wait while the queue commits. Polling stops beyond it: a disk that stands for long must not fill memory.
	maxAhead = 512
	// A clock that was set is noticed after this long.
	longestWait = time.Minute
)

// A Source polls the units of one link. Only one Run at a time.
type Source struct {
	cfg   Config
	units []*unit
	wire  *wire
	desk  *adapters.Desk
	gone  error           // what a job from the desk found: the port is lost
	ctx   context.Context // of the current Run: a job from the desk has to end with it too

	started    time.Time // of the current Run: unaligned polls are multiples of Every from here
	probeAfter time.Time // no unit that is silent for long is asked before, while others answer

	reported adapters.State // what Report was last told
	at       time.Time      // when
	pending  bool           // counters have moved since
}

// New checks cfg and plans the requests. It opens nothing.
func New(cfg Config) (*Source, error) {
	if cfg.Timeout < 0 || cfg.Retries < 0 || cfg.MaxGap < 0 || cfg.Gap < 0 || cfg.MaxRead < 0 || cfg.MaxRead > maxRegisters {
		return nil, fmt.Errorf("%s: timeout, retries, max_gap and gap must not be negative, max_read is 1 to %d", cfg.Link, maxRegisters)
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.MaxRead = cmp.Or(cfg.MaxRead, defaultMaxRead)
	if cfg.Gap == 0 && cfg.Framing != TCP {
		cfg.Gap = shortestGap
		if cfg.Framing == RTU && cfg.Port.Mode.Baud > 0 && cfg.Port.Mode.Baud <= 19200 {
			cfg.Gap = cfg.Port.Mode.CharTime() * 7 / 2
		}
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context) (port.Port, error) { return port.Open(ctx, cfg.Port) }
	}
	s := &Source{cfg: cfg, desk: adapters.NewDesk()}
	s.wire = newWire(&s.cfg)
	taken := map[byte]string{}
	for _, d := range cfg.Devices {
		if cfg.Once {
			d.Align = nil // now
		}
		u, err := newUnit(&s.cfg, d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Name, err)
		}
		if other, ok := taken[d.Unit]; ok {
			return nil, fmt.Errorf("%s: unit %d on %s is %s already", d.Name, d.Unit, cfg.Link, other)
		}
		taken[d.Unit] = d.Name
		s.units = append(s.units, u)
	}
	if len(s.units) == 0 {
		return nil, fmt.Errorf("%s: no devices to poll", cfg.Link)
	}
	return s, nil
}

// Run implements adapters.Source. There is nothing to resume.
func (s *Source) Run(ctx context.Context, _ adapters.Checkpoint, put adapters.Sink) error {
	polling, stop := context.WithCancel(ctx)
	defer stop()
	ahead := adapters.NewAhead(ctx, func(ctx context.Context, b adapters.Batch) error {
		err := put(ctx, b)
		if err != nil {
			stop() // the next poll may be long hence
		}
		return err
	}, maxAhead)
	err := s.run(polling, ahead)
	if failed := ahead.Close(); failed != nil {
		return failed
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Source) run(ctx context.Context, ahead *adapters.Ahead) error {
	s.started, s.probeAfter, s.ctx, s.gone = time.Now(), time.Time{}, ctx, nil
	s.wire.distrust()
	defer s.wire.close()
	for _, u := range s.units {
		u.plan(s.started, s.started, s.started)
		u.done, u.polled, u.busy = false, false, 0
		u.client = s.wire.client(ctx, u.Unit)
	}
	err := s.wire.open(ctx)
	served := false // since the last poll
	for err == nil {
		s.report(time.Now().UTC())
		u, at := s.next(time.Now())
		// However many commands come, a poll that is due has its turn between two of them.
		if due := u != nil && time.Until(at) <= 0; !(served && due) && s.desk.ServeOne() {
			served, err = true, s.gone
			continue
		}
		if u == nil {
			s.at = time.Time{} // the last counters do not wait
			s.report(time.Now().UTC())
			return s.unanswered()
		}
		if wait := time.Until(at); wait > 0 {
			err = s.idle(ctx, min(wait, longestWait, s.untilReport()))
			continue
		}
		served, err = false, s.poll(ctx, u, ahead)
	}
	if l, ok := errors.AsType[lost](err); ok {
		err = l.error
	}
	if ctx.Err() == nil {
		s.linkLost(err)
	}
	return err
}

// idle waits until something is due, or a command comes, which it carries out.
func (s *Source) idle(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	case j := <-s.desk.Waiting():
		s.desk.Serve(j)
		return s.gone
	}
}

// poll polls u and hands its reading over. The error is the link's or the sink's.
func (s *Source) poll(ctx context.Context, u *unit, ahead *adapters.Ahead) error {
	silent := u.misses >= patience
	gone := u.poll(s.wire, s.cfg.Retries)
	if ctx.Err() != nil {
		return ctx.Err() // broken off
	}
	now := time.Now()
	s.pending = true
	if gone == nil && s.repeat(u, now) {
		return nil
	}
	u.done = s.cfg.Once
	if reading, ok := u.reading(); ok {
		if err := ahead.Add(ctx, reading); err != nil {
			return err
		}
	}
	if gone != nil {
		return gone
	}
	s.again(u, now)
	if silent && u.misses == 0 {
		s.hurry(now)
	}
	return nil
}

// unanswered names the devices that did not answer when each was polled once.
func (s *Source) unanswered() error {
	var names []string
	for _, u := range s.units {
		if u.misses > 0 {
			names = append(names, u.Name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("no answer on %s from %s", s.cfg.Link, strings.Join(names, ", "))
}

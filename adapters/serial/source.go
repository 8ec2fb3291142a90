package serial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"legacybridge/adapters"
	"legacybridge/hardware/port"
)

// maxAhead is how many readings may wait while the queue commits. Beyond it the line is not read: a disk that stands
// for long must not fill memory.
const maxAhead = 512

// errSilent opens a port anew to which no device has answered for long: some adapters show only so that they were
// unplugged, and an instrument that was switched on again may want its Open strings.
var errSilent = errors.New("no device has answered for long, opening the port anew")

// A Source listens on one line. Only one Run at a time.
type Source struct {
	cfg     Config
	decoder *Decoder
	askers  []*asker // one per device, nil for those that talk by themselves
	asks    int      // devices that are asked
	health  health
	desk    *adapters.Desk
	current *session  // of the Run under way; only the owner looks at it
	waiters []*waiter // for readings; only the owner looks at it
}

// New checks cfg. It opens nothing.
func New(cfg Config) (*Source, error) {
	if err := cfg.Frame.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Link, err)
	}
	if len(cfg.Devices) == 0 {
		return nil, fmt.Errorf("%s: no devices to listen to", cfg.Link)
	}
	if cfg.Wait <= 0 {
		cfg.Wait = defaultWait
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context) (port.Port, error) { return port.Open(ctx, cfg.Port) }
	}
	decoder, err := NewDecoder(cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Link, err)
	}
	s := &Source{cfg: cfg, decoder: decoder, desk: adapters.NewDesk(), health: health{link: cfg.Link, report: cfg.Report}}
	for _, d := range cfg.Devices {
		p := &pulse{asked: d.Ask != nil}
		p.state.Device = d.Name
		s.health.pulses = append(s.health.pulses, p)
		if d.Ask == nil {
			s.askers = append(s.askers, nil)
			continue
		}
		if cfg.Once {
			d.Align = nil // now
		}
		s.askers = append(s.askers, &asker{Ask: *d.Ask, name: d.Name, every: d.Every, align: d.Align, pulse: p})
		s.asks++
	}
	return s, nil
}

// Run implements adapters.Source. There is nothing to resume.
func (s *Source) Run(ctx context.Context, _ adapters.Checkpoint, put adapters.Sink) error {
	p, err := s.cfg.Dial(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		s.health.lost(time.Now(), err)
		return err
	}
	ahead := adapters.NewAhead(ctx, put, maxAhead)
	s.current = newSession(s, p, ahead)
	err = s.current.run(ctx)
	// At once: an adapter whose port is still open comes back under another name when it is plugged in again.
	p.Close()
	if _, ok := errors.AsType[*port.Error](err); ok && ctx.Err() == nil {
		s.health.lost(time.Now(), err)
	}
	if failed := ahead.Close(); failed != nil {
		return failed
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// talks tells whether a device of the line talks by itself.
func (s *Source) talks() bool { return s.asks < len(s.askers) }

package csvfile

import (
	"context"
	"fmt"
	"time"

	"legacybridge/adapters"
)

// A Source follows the files of one link. One Run at a time.
type Source struct {
	cfg     Config
	decoder *decoder
	status  status
	noHints bool // look at the pace of Poll alone
}

// New checks cfg. It touches no file.
func New(cfg Config) (*Source, error) {
	d, err := newDecoder(cfg)
	if err != nil {
		return nil, err
	}
	return &Source{cfg: d.cfg, decoder: d, status: status{report: cfg.Report, state: adapters.State{Health: adapters.Starting, Since: time.Now()}}}, nil
}

// Run reads from the place that from says. It returns nil when a source that is to read once has done so, and an error if
// there was nothing to read then.
func (s *Source) Run(ctx context.Context, from adapters.Checkpoint, put adapters.Sink) error {
	f := &follower{s: s, put: put, folder: newFolder(s.cfg.Files), locked: map[string]time.Time{}}
	f.builder = &builder{d: s.decoder}
	if err := f.restore(from); err != nil {
		return err
	}
	f.hints = &hints{}
	if !s.noHints && !s.once() {
		f.hints = newHints(f.folder.base)
	}
	defer f.hints.close()
	defer f.close()
	return f.run(ctx)
}

// once tells whether the source is to end when it has read what is there.
func (s *Source) once() bool { return s.cfg.Once || !s.cfg.Follow }

// run reads, leaves files for newer ones, and waits for more.
func (f *follower) run(ctx context.Context) error {
	for looked := false; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.cur == nil && len(f.waiting) > 0 {
			if err := f.openNext(); err != nil {
				return err
			}
		}
		if f.cur != nil {
			if err := f.read(ctx); err != nil {
				return err
			}
			if len(f.waiting) > 0 && (looked || f.cur.behind) && f.mayLeave() {
				f.leave()
				looked = false
				continue
			}
		}
		if !looked {
			if err := f.look(); err != nil {
				return err
			}
			looked = true
			continue
		}
		f.endOfLook()
		if err := f.store(ctx); err != nil {
			return err
		}
		if done, err := f.done(); done {
			return err
		}
		if err := f.wait(ctx); err != nil {
			return err
		}
		looked = false
	}
}

// store puts what was read, with the position behind it; without readings only if the position has moved, and
// not in the middle of what is passed over.
func (f *follower) store(ctx context.Context) error {
	b := f.builder
	f.place()
	if len(b.readings) == 0 && (!f.moved || f.cur != nil && f.cur.pos.offset < f.cur.pos.mute) {
		return nil
	}
	err := f.put(ctx, adapters.Batch{Readings: b.finish(), Checkpoint: f.marks.encode()})
	if err != nil {
		return err
	}
	f.moved = false
	if f.cur != nil {
		f.cur.lent = false
	}
	f.s.status.count(b.good, b.bad)
	b.good, b.bad = 0, 0
	b.reset()
	f.judge()
	return nil
}

// wait ends at the next look, or when something has happened in the folder.
func (f *follower) wait(ctx context.Context) error {
	f.hints.keep()
	poll := time.NewTimer(f.s.cfg.Poll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
			return nil
		case e := <-f.hints.events:
			name := ""
			if f.cur != nil {
				name = f.cur.name
			}
			if f.hints.concerns(e, f.folder, name) {
				f.hints.drain()
				return nil
			}
		case <-f.hints.errors:
			f.hints.drain()
			return nil
		}
	}
}

// judge says how the link is doing, by what was read.
func (f *follower) judge() {
	s := &f.s.status
	if f.cur != nil && f.cur.layout != nil {
		l := f.cur.layout
		bad := l.flaw
		for i := range l.devices {
			if bad.code == "" {
				bad = l.devices[i].flaw
			}
		}
		switch {
		case bad.code != "":
			s.is(adapters.Down, bad.code, fmt.Sprintf("%s: %s", f.cur.name, bad.why))
			return
		case f.cur.pos.other != nil:
			s.is(adapters.Down, "CSV004", fmt.Sprintf("%s: another header line came at the latest in line %d; the rows below it are dead letters until the first header or a new file comes", f.cur.name, f.cur.pos.line-1))
			return
		}
	}
	switch {
	case s.streak >= garbledAfter:
		s.is(adapters.Garbled, "CSV014", fmt.Sprintf("no row of the last %d could be decoded: look at the dead letters, and at separator, quote and encoding", garbledAfter))
	case s.state.Counts.Frames > 0:
		s.is(adapters.Up, "", "")
	}
}

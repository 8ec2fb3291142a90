package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/csvfile"
	"legacybridge/adapters/modbus"
	"legacybridge/adapters/serial"
	"legacybridge/config"
	"legacybridge/mapping"
	"legacybridge/publisher"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/queue"
	"legacybridge/publisher/wiotp"
)

// The stop: reading ends at once, what was read is committed, acknowledgements are awaited; 5 s in all.
const (
	commitGrace  = 2 * time.Second
	deliverGrace = 4500 * time.Millisecond
)

// A site is one configuration, running.
type site struct {
	cfg   *config.Config
	log   *slog.Logger
	board *board
	once  bool // read what is there now, publish it, end
	// ready is called once everything is open, before anything is read; done when all has stopped that fills or
	// drains the queue, before the platform goes. The demo and the last line of --once look in here; nil: nobody asks.
	ready func(*queue.Queue, *localplatform.Platform) error
	done  func(*queue.Queue) error
}

// run is the whole system: equipment → adapters → mapping → gate → queue on disk → publisher → platform. It returns
// when ctx is done and everything has stopped, when --once has read and delivered all, or when the disk has failed.
func (s *site) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	build := buildTime()
	known := lastKnown(s.cfg.Queue.Path, build)
	q, err := queue.Open(s.cfg.Queue)
	if err != nil {
		return openError(err)
	}
	defer func() { err = errors.Join(err, q.Close()) }()

	commit, cancelCommit := outlive(ctx, commitGrace)
	defer cancelCommit()
	deliver, cancelDeliver := outlive(ctx, deliverGrace)
	defer cancelDeliver()

	var plat *localplatform.Platform
	lost := make(chan error, 1) // the embedded platform, by its disk or its listener
	platform := s.cfg.Platform
	if s.cfg.Local {
		if plat, err = localplatform.Open(s.cfg.LocalCfg); err != nil {
			return openError(err)
		}
		serving, stop := context.WithCancel(context.WithoutCancel(ctx))
		var served sync.WaitGroup
		served.Go(func() {
			if err := plat.Run(serving); err != nil {
				s.logEnd("platform", err)
				lost <- err
			}
		})
		defer func() { stop(); served.Wait() }() // after the publisher has gone
		if err := useLocal(s.cfg, &platform, plat); err != nil {
			return err
		}
	}
	platform.Build, platform.TLS = version, withClock(platform.TLS, time.Now, build, known)
	platform.ReasonID = reasonID(s.cfg)
	var missing missingDevices
	platform.Unregistered = missing.has
	platform.Log, platform.Report = s.log.With("source", "platform"), s.board.setPlatform
	gate := publisher.NewGate(platform)
	pub, err := publisher.New(platform, q)
	if err != nil {
		return err
	}
	if s.ready != nil {
		if err := s.ready(q, plat); err != nil {
			return err
		}
	}
	if s.done != nil {
		defer func() { err = errors.Join(err, s.done(q)) }()
	}

	down, err := s.downlink(platform, q, gate)
	if err != nil {
		return err
	}
	lines, err := s.wire(q, gate, down, commit)
	if err != nil {
		return err
	}
	settleMemory()
	go s.board.listen(ctx, s.cfg.Links)
	go s.board.certificates(ctx, s.cfg.Certificates)
	if s.cfg.Registry.URL != "" && !s.once { // the embedded platform registers the configuration's devices itself
		if r, err := openRegistry(s.cfg, "", "", ""); err == nil {
			go preflight(ctx, s.log.With("source", "registry"), r, s.cfg.LocalCfg.Devices, &missing)
		}
	}
	delivered := make(chan error, 1)
	go func() { delivered <- pub.Run(deliver) }()
	var reading sync.WaitGroup
	if down != nil {
		reading.Go(func() { down.Run(ctx) })
	}
	unread := make(chan error, len(lines)) // what --once could not read
	for _, l := range lines {
		reading.Go(func() {
			if s.once {
				if err := l.Source.Run(ctx, l.From, l.Put); err != nil && ctx.Err() == nil {
					unread <- fmt.Errorf("%s: %w", l.name, err)
				}
				return
			}
			s.logEnd(l.name, l.Run(ctx))
		})
	}

	readAll := make(chan struct{})
	go func() { reading.Wait(); close(readAll) }()
	if !s.once {
		select {
		case <-ctx.Done():
		case <-q.Failed():
			return failed(q.Err())
		case err := <-lost:
			return failed(err)
		case err := <-delivered: // only the queue's failure ends it early
			return failed(err)
		}
	}
	select {
	case <-readAll:
	case <-q.Failed():
		return failed(q.Err())
	}
	pub.Finish()
	select {
	case err = <-delivered:
	case <-q.Failed():
	case <-deliver.Done(): // a full disk can hold it: what is left stays queued
		select {
		case err = <-delivered:
		case <-time.After(250 * time.Millisecond):
		}
	}
	if q.Err() != nil {
		return failed(q.Err())
	}
	if !s.once {
		return nil // what is left stays queued
	}
	close(unread)
	for e := range unread {
		err = errors.Join(err, e)
	}
	if err != nil {
		return exit(exitUnreach, err)
	}
	return nil
}

// A line is one link's way from the wire to the queue.
type line struct {
	name string
	adapters.Supervisor
}

// wire makes a line of every link. What it stores is committed until commit is done, a little longer than it is read.
func (s *site) wire(q *queue.Queue, gate *publisher.Gate, down *publisher.Downlink, commit context.Context) ([]*line, error) {
	var lines []*line
	for _, link := range s.cfg.Links {
		mapper, err := mapping.New(link.Mapping)
		if err != nil {
			return nil, fmt.Errorf("link %s: %w", link.Name, err)
		}
		src, err := s.source(link)
		if err != nil {
			return nil, fmt.Errorf("link %s: %w", link.Name, err)
		}
		put := func(_ context.Context, b adapters.Batch) error {
			s.board.heard(b.Readings)
			out := mapper.Map(time.Now(), b.Readings)
			down.Note(out.Conditions)
			return q.Append(commit, link.Name, b.Checkpoint, gate.Admit(out))
		}
		if w, ok := src.(adapters.Writer); ok {
			down.Attach(link.Name, w)
		}
		lines = append(lines, &line{link.Name, adapters.Supervisor{
			Source: src, Put: put, From: q.Checkpoint(link.Name), Reopen: link.Reopen, Log: s.log.With("source", link.Name),
			Told: func() bool { return s.board.told(link.Name) }}})
	}
	return lines, nil
}

// source makes the source of a link. A new adapter is one package, one field of config.Link and one case here.
func (s *site) source(link config.Link) (adapters.Source, error) {
	switch {
	case link.Serial != nil:
		cfg := *link.Serial
		cfg.Once, cfg.Report = s.once, s.board.link(link.Name)
		return serial.New(cfg)
	case link.Modbus != nil:
		cfg := *link.Modbus
		cfg.Once, cfg.Report = s.once, s.board.link(link.Name)
		return modbus.New(cfg)
	default:
		cfg := *link.CSV
		cfg.Once, cfg.Report = s.once, s.board.link(link.Name)
		return csvfile.New(cfg)
	}
}

// useLocal points the publisher at the embedded platform, with its key unless the configuration names one.
func useLocal(cfg *config.Config, p *publisher.Config, plat *localplatform.Platform) error {
	server, secure, err := cfg.ReachLocal(plat.Addr().String())
	p.Servers, p.TLS = []string{server}, secure
	if p.User == "" && cfg.Org != wiotp.Quickstart {
		p.User, p.Password = plat.Key()
	}
	return err
}

// logEnd says why a part of the system ended before it was told to.
func (s *site) logEnd(name string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.Error("ended", "source", name, "err", err)
	}
}

// outlive returns a context that is done d after ctx.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return later, func() { stop(); cancel() }
}

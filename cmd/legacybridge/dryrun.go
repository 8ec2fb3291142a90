package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"legacybridge/adapters"
	"legacybridge/mapping"
	"legacybridge/publisher"
	"legacybridge/publisher/queue"
)

// dryRun reads as run does and prints what would be published: no login, no queue, no position moves. It starts at the
// stored positions, so that with --once it shows what --once would publish.
func (s *site) dryRun(ctx context.Context, out io.Writer, asJSON bool) error {
	position := func(string) adapters.Checkpoint { return nil } // the first run
	if stored, err := queue.Look(s.cfg.Queue); err == nil {
		defer stored.Close()
		position = func(link string) adapters.Checkpoint { return stored.Checkpoint(link) }
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	gate := publisher.NewGate(s.cfg.Platform)
	p := &dryPrinter{out: out, json: asJSON, gate: gate}
	var reading sync.WaitGroup
	failed := make(chan error, len(s.cfg.Links))
	for _, link := range s.cfg.Links {
		mapper, err := mapping.New(link.Mapping)
		if err != nil {
			return fmt.Errorf("link %s: %w", link.Name, err)
		}
		src, err := s.source(link)
		if err != nil {
			return fmt.Errorf("link %s: %w", link.Name, err)
		}
		put := func(_ context.Context, b adapters.Batch) error {
			return p.print(gate.Admit(mapper.Map(time.Now(), b.Readings)))
		}
		from := position(link.Name)
		reading.Go(func() {
			if s.once {
				if err := src.Run(ctx, from, put); err != nil && ctx.Err() == nil {
					failed <- fmt.Errorf("%s: %w", link.Name, err)
				}
				return
			}
			sup := adapters.Supervisor{Source: src, Put: put, From: from, Reopen: link.Reopen, Log: s.log.With("source", link.Name),
				Told: func() bool { return s.board.told(link.Name) }}
			s.logEnd(link.Name, sup.Run(ctx))
		})
	}
	reading.Wait()
	close(failed)
	var err error
	for e := range failed {
		err = errors.Join(err, e)
	}
	if err != nil {
		return exit(exitUnreach, err)
	}
	return nil
}

// A dryPrinter writes one line per event; links share it.
type dryPrinter struct {
	mu   sync.Mutex
	out  io.Writer
	json bool
	gate *publisher.Gate
}

type dryLine struct {
	Topic   string          `json:"topic"`
	QoS     byte            `json:"qos"`
	Format  string          `json:"format"`
	Bytes   int             `json:"bytes"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Base64  []byte          `json:"payload_base64,omitempty"`
}

func (p *dryPrinter) print(out mapping.Output) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range out.Events {
		if err := p.event(e); err != nil {
			return err
		}
	}
	for _, d := range out.Dead {
		if err := p.dead(d); err != nil {
			return err
		}
	}
	return nil
}

func (p *dryPrinter) event(e mapping.Event) error {
	topic, payload := p.gate.Preview(e)
	if !p.json {
		_, err := fmt.Fprintf(p.out, "%s %s\n", topic, printable(payload))
		return err
	}
	line := dryLine{Topic: topic, QoS: e.QoS, Format: e.Format, Bytes: len(payload)}
	if json.Valid(payload) {
		line.Payload = payload
	} else {
		line.Base64 = payload
	}
	return json.NewEncoder(p.out).Encode(line)
}

func (p *dryPrinter) dead(d mapping.Dead) error {
	if !p.json {
		_, err := fmt.Fprintf(p.out, "dead: %s %s %s\n", d.Code, d.Origin, d.Why)
		return err
	}
	return json.NewEncoder(p.out).Encode(map[string]string{"dead": d.Code, "device": d.Device, "origin": d.Origin, "why": d.Why})
}

package main

import (
	"log/slog"
	"slices"
	"sync"

	"legacybridge/adapters"
	"legacybridge/publisher"
)

// A board gathers how links and platform are doing, and logs what changed: one line per change of state, never per
// reading. Status, metrics and the page will read it.
type board struct {
	log *slog.Logger

	mu       sync.Mutex
	links    map[string]adapters.State
	platform publisher.State
}

func newBoard(log *slog.Logger) *board {
	return &board{log: log, links: map[string]adapters.State{}}
}

// link returns the Report function of one link.
func (b *board) link(name string) func(adapters.State) {
	return func(s adapters.State) {
		b.mu.Lock()
		old := b.links[name]
		b.links[name] = s
		b.mu.Unlock()
		if len(s.Devices) != 1 { // a bus with one unit says it once
			b.say(name, "", old.Health, s.Health, s.Code, s.Why)
		}
		for _, d := range s.Devices {
			i := slices.IndexFunc(old.Devices, func(o adapters.DeviceState) bool { return o.Device == d.Device })
			before := adapters.Starting
			if i >= 0 {
				before = old.Devices[i].Health
			}
			b.say(name, d.Device, before, d.Health, d.Code, d.Why)
		}
	}
}

func (b *board) say(link, device string, before, now adapters.Health, code, why string) {
	if now == before || now == adapters.Starting || now == "" {
		return
	}
	attrs := []any{"source", link}
	if device != "" {
		attrs = append(attrs, "device", device)
	}
	switch {
	case now == adapters.Up && (before == "" || before == adapters.Starting):
		b.log.Info("reading", attrs...)
	case now == adapters.Up:
		b.log.Info("reading again", attrs...)
	case now == adapters.Quiet:
		b.log.Info("quiet", append(attrs, "err", why, "code", code)...)
	default:
		b.log.Warn(string(now), append(attrs, "err", why, "code", code)...)
	}
}

// setPlatform is the publisher's Report function; the publisher logs for itself.
func (b *board) setPlatform(s publisher.State) {
	b.mu.Lock()
	b.platform = s
	b.mu.Unlock()
}

// snapshot returns a copy of the links' states and the platform's.
func (b *board) snapshot() (map[string]adapters.State, publisher.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	links := make(map[string]adapters.State, len(b.links))
	for name, s := range b.links {
		links[name] = s
	}
	return links, b.platform
}

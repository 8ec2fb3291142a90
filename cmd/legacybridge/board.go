package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"legacybridge/adapters"
	"legacybridge/config"
	"legacybridge/publisher"
)

// A board gathers how links and platform are doing, and logs what changed: one line per change of state, never per
// reading. Status, metrics and the page will read it.
type board struct {
	log *slog.Logger

	mu       sync.Mutex
	links    map[string]adapters.State
	platform publisher.State
	last     map[string]time.Time // reading of each device
	quiet    map[string]bool      // devices that were said to be
}

func newBoard(log *slog.Logger) *board {
	return &board{log: log, links: map[string]adapters.State{}, last: map[string]time.Time{}, quiet: map[string]bool{}}
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
				if shared(old, old.Devices[i]) { // nothing was said of the device itself
					before = adapters.Starting
					if d.Health == adapters.Up {
						continue
					}
				}
			}
			if !shared(s, d) {
				b.say(name, d.Device, before, d.Health, d.Code, d.Why)
			}
		}
	}
}

// shared says that the trouble of a device is that of its link, which says it for all of them.
func shared(s adapters.State, d adapters.DeviceState) bool {
	return len(s.Devices) > 1 && d.Code != "" && d.Code == s.Code && d.Why == s.Why
}

// told says that a link's trouble stands in the log: there is one line for one trouble, whoever else notices it.
func (b *board) told(link string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return troubled(b.links[link].Health)
}

func troubled(h adapters.Health) bool { return h == adapters.Down || h == adapters.Garbled }

// troubledDevice says whether a device is silent for a reason that was said. Under mu.
func (b *board) troubledDevice(link, device string) bool {
	s := b.links[link]
	for _, d := range s.Devices {
		if d.Device == device {
			return troubled(d.Health)
		}
	}
	return troubled(s.Health)
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

// heard notes which devices a batch is from.
func (b *board) heard(readings []adapters.Reading) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range readings {
		if r := &readings[i]; r.Fault == nil && (i == 0 || r.Device != readings[i-1].Device) {
			b.last[r.Device] = now
		}
	}
}

// listen says which devices are quiet: silent for longer than their stale. It returns when ctx is done.
func (b *board) listen(ctx context.Context, links []config.Link) {
	started := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, link := range links {
			for _, d := range link.Mapping.Devices {
				b.look(link.Name, d.Name, link.Stale[d.Name], started)
			}
		}
	}
}

// leastSilence is below what nobody is called quiet: what is read comes here in batches, each of which waits for the disk.
const leastSilence = 3 * time.Second

func (b *board) look(link, device string, stale time.Duration, started time.Time) {
	if stale == 0 {
		return
	}
	stale = max(stale, leastSilence)
	b.mu.Lock()
	if b.troubledDevice(link, device) {
		b.last[device] = time.Now() // its silence counts from when it could speak again
	}
	last, ever := b.last[device]
	if !ever {
		last = started
	}
	silent := time.Since(last)
	was, is := b.quiet[device], silent > stale
	b.quiet[device] = is
	b.mu.Unlock()
	switch {
	case is && !was:
		b.log.Warn("quiet: no reading", "source", link, "device", device, "dur", silent.Round(time.Second))
	case was && !is:
		b.log.Info("reading again", "source", link, "device", device)
	}
}

// setPlatform is the publisher's Report function; the publisher logs for itself.
func (b *board) setPlatform(s publisher.State) {
	b.mu.Lock()
	old := b.platform.CertEnds
	b.platform = s
	b.mu.Unlock()
	if s.CertEnds != old {
		b.ending(s.CertEnds, "server", s.Server)
	}
}

package main

import (
	"fmt"

	"legacybridge/adapters"
	"legacybridge/config"
	"legacybridge/mapping"
	"legacybridge/publisher"
	"legacybridge/publisher/queue"
)

// A replayer runs the current configuration on the records of dead letters: the same decoding, mapping and gate that
// live readings pass.
type replayer struct {
	links map[string]config.Link
	gate  *publisher.Gate
}

func newReplayer(cfg *config.Config) *replayer {
	r := &replayer{links: map[string]config.Link{}, gate: publisher.NewGate(cfg.Platform)}
	for _, link := range cfg.Links {
		r.links[link.Name] = link
	}
	return r
}

// replay returns what the record of d becomes today. Only what was lost with it is made again: if d is of one device or
// one event, the others had it.
func (r *replayer) replay(l queue.Letter) (mapping.Output, error) {
	d := l.Dead
	if l.Cut { // half a record must never become a value
		return mapping.Output{}, fmt.Errorf("its record was too large to be kept whole: only the beginning is left")
	}
	if d.Form == mapping.RawEvent {
		if d.Of == nil {
			return mapping.Output{}, fmt.Errorf("the event was in parts of which some are gone: it cannot be sent again")
		}
		ev := *d.Of
		ev.Payload = d.Raw
		return r.gate.Admit(mapping.Output{Events: []mapping.Event{ev}, Counts: []mapping.Count{{Device: d.Device, Read: 1}}}), nil
	}
	link, ok := r.links[d.Link]
	if !ok {
		return mapping.Output{}, fmt.Errorf("link %q is not in the configuration any more", d.Link)
	}
	readings, err := r.decode(link, d)
	if err != nil {
		return mapping.Output{}, err
	}
	mapper, err := mapping.New(link.Mapping) // a fresh one: it remembers nothing that could hold the event back
	if err != nil {
		return mapping.Output{}, err
	}
	var all mapping.Output
	for _, reading := range readings {
		if d.Device != "" && reading.Device != d.Device {
			continue
		}
		reading.Origin = d.Origin
		out := mapper.Replay(d.Time, reading, d.Event)
		all.Events = append(all.Events, out.Events...)
		all.Dead = append(all.Dead, out.Dead...)
		all.Counts = append(all.Counts, out.Counts...)
	}
	if len(all.Events)+len(all.Dead) == 0 {
		return all, fmt.Errorf("the rules make no event of it: a condition is false, every point is absent, or device %q has gone", d.Device)
	}
	return r.gate.Admit(all), nil
}

func (r *replayer) decode(link config.Link, d mapping.Dead) ([]adapters.Reading, error) {
	switch {
	case d.Form == mapping.RawValues:
		names, values, err := mapping.ParseValues(d.Raw)
		if err != nil {
			return nil, err
		}
		return []adapters.Reading{{Device: d.Device, Time: d.Time, Origin: d.Origin, Names: names, Values: values}}, nil
	case link.Serial != nil:
		return link.Serial.Decode(d.Device, d.Raw, d.Time)
	case link.CSV != nil:
		return link.CSV.Decode(d.Head, d.Raw, d.Time), nil
	}
	return nil, fmt.Errorf("link %q was of another kind when the record was read", d.Link)
}

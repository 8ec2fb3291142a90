package publisher

import (
	"fmt"
	"unicode/utf8"

	"legacybridge/mapping"
	"legacybridge/publisher/wiotp"
)

// idMember is `,"id":""` without the id, which is counted as mapping.MaxNumberLen.
const idMember = len(`,"id":""`)

// A Gate stands before the queue: nothing that the platform would refuse passes it.
type Gate struct {
	maxPayload int
	topic      template
}

// NewGate takes the limits of cfg (MaxPayload, Topic). With a Topic that New refuses it lets nothing pass.
func NewGate(cfg Config) *Gate {
	g := &Gate{maxPayload: cfg.MaxPayload}
	if g.maxPayload == 0 {
		g.maxPayload = wiotp.MaxPayload
	}
	g.topic, _ = parseTemplate(cfg.Topic)
	return g
}

// Admit checks topic, encoding and size of each event and settles too_large: what it returns has its chunks as
// further events and its rejects as dead letters. It may be called concurrently.
func (g *Gate) Admit(out mapping.Output) mapping.Output {
	for i := range out.Events {
		if g.fits(&out.Events[i]) {
			continue
		}
		// One does not fit, which is rare: from here on the events are copied.
		in := out.Events
		out.Events = append(make([]mapping.Event, 0, len(in)), in[:i]...)
		for i := i; i < len(in); i++ {
			if g.fits(&in[i]) {
				out.Events = append(out.Events, in[i])
				continue
			}
			parts, code, why := g.settle(&in[i])
			if code != "" {
				out.Dead = append(out.Dead, dead(in[i], code, why))
			}
			out.Events = append(out.Events, parts...)
		}
		break
	}
	return out
}

// fits says whether ev can leave as it is. It is on the way of every event and allocates nothing.
func (g *Gate) fits(ev *mapping.Event) bool {
	return g.topic.check(ev, "") == "" && badPayload(ev) == "" && alone(ev) <= room(g.maxPayload, g.topic.size(ev))
}

// settle makes parts of an event that does not fit, or says why it becomes a dead letter.
func (g *Gate) settle(ev *mapping.Event) (parts []mapping.Event, code, why string) {
	if why := g.topic.check(ev, ""); why != "" {
		return nil, codeBadTopic, why
	}
	if why := badPayload(ev); why != "" {
		return nil, codeBadPayload, why
	}
	size, most := alone(ev), room(g.maxPayload, g.topic.size(ev))
	switch {
	case ev.TooLarge == mapping.Split:
		return nil, codeOneAlone, fmt.Sprintf("%d bytes > %d after split to 1 reading", size, most)
	case ev.TooLarge == mapping.Reject || ev.Part != 0:
		return nil, codeTooLarge, fmt.Sprintf("%d bytes > %d that the platform takes", size, most)
	}
	if why := g.topic.check(ev, ev.Suffix); why != "" {
		return nil, codeBadTopic, why
	}
	parts = cut(*ev, room(g.maxPayload, g.topic.size(ev)+len(ev.Suffix)))
	if parts == nil {
		return nil, codeTooLarge, fmt.Sprintf("%d bytes > %d, which leaves no room for parts: raise platform.max_payload", size, most)
	}
	return parts, "", ""
}

// alone is the size in bytes of ev's payload as it leaves alone, its id counted as mapping.MaxNumberLen.
func alone(ev *mapping.Event) int {
	n := len(ev.Payload)
	switch ev.Number {
	case mapping.AsMember:
		n += idMember + mapping.MaxNumberLen
	case mapping.AsChunkID:
		n += mapping.MaxNumberLen
	}
	if ev.Batch.Max > 0 {
		n += len("[]")
	}
	return n
}

// badPayload says why ev's payload is not what its format promises; "" if it is. It is a check of sanity: package
// mapping makes JSON that is valid, and the members that we add need an object to go into.
func badPayload(ev *mapping.Event) string {
	if ev.Format != "json" && ev.Number == mapping.NoNumber {
		return ""
	}
	p := ev.Payload
	switch {
	case !utf8.Valid(p):
		return "the payload is not UTF-8"
	case ev.Number == mapping.AsMember && !enclosed(p, '{', '}'):
		return "the payload is not a JSON object, so that its id has no place"
	case ev.Number == mapping.AsChunkID && (len(p) < len(chunkHead) || string(p[:len(chunkHead)]) != chunkHead):
		return "the payload is not a part of an event"
	case ev.Format == "json" && !enclosed(p, '{', '}') && !enclosed(p, '[', ']'):
		return "the payload is not a JSON object or array"
	}
	return ""
}

func enclosed(p []byte, open, end byte) bool {
	return len(p) >= 2 && p[0] == open && p[len(p)-1] == end
}

func dead(ev mapping.Event, code, why string) mapping.Dead {
	return mapping.Dead{Device: ev.Device, Event: ev.Name, Code: code, Why: why, Time: ev.Time,
		Raw: ev.Payload, Form: mapping.RawEvent, Of: &ev, Units: 1}
}

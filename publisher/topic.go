package publisher

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"legacybridge/mapping"
	"legacybridge/publisher/wiotp"
)

const ownedTopic = "topics that begin with $ belong to the server"

// A template makes topics of events: literal text and the places of the four names.
type template struct {
	platform bool // the platform's own form: each name keeps to its alphabet
	parts    []part
	literal  int // bytes of literal text
}

type part struct {
	text  string
	field field
}

type field byte

const (
	literal field = iota
	typeField
	idField
	eventField
	formatField
)

var fields = map[string]field{"{type}": typeField, "{id}": idField, "{event}": eventField, "{format}": formatField}

func parseTemplate(text string) (template, error) {
	if text == "" {
		text = DefaultTopic
	}
	t := template{platform: text == DefaultTopic}
	for rest := text; rest != ""; {
		at := strings.IndexByte(rest, '{')
		if at < 0 {
			at = len(rest)
		}
		if at > 0 {
			t.parts = append(t.parts, part{text: rest[:at]})
			t.literal += at
			if why := badText(rest[:at], "+#"); why != "" {
				return template{}, fmt.Errorf("topic %q: %s", text, why)
			}
			rest = rest[at:]
			continue
		}
		end := strings.IndexByte(rest, '}') + 1
		f := fields[rest[:end]]
		if f == literal {
			return template{}, fmt.Errorf("topic %q: after { comes one of type, id, event, format and a }", text)
		}
		t.parts = append(t.parts, part{field: f})
		rest = rest[end:]
	}
	if strings.HasPrefix(text, "$") {
		return template{}, fmt.Errorf("topic %q: %s", text, ownedTopic)
	}
	return t, nil
}

// check says why ev cannot have a topic, "" if it can. The event id is ev.Name and suffix.
func (t *template) check(ev *mapping.Event, suffix string) string {
	if len(t.parts) == 0 {
		return "the topic template is not usable"
	}
	if t.platform {
		if suffix == "" && wiotp.ValidSegment(ev.Type) && wiotp.ValidSegment(ev.ID) && wiotp.ValidSegment(ev.Name) && wiotp.ValidSegment(ev.Format) {
			return ""
		}
		topic := wiotp.Topic{Kind: wiotp.Event, Type: ev.Type, ID: ev.ID, Name: ev.Name + suffix, Format: ev.Format}
		if err := topic.Validate(); err != nil {
			return err.Error()
		}
		return ""
	}
	// The server of another family has its own rules; ours keep a value within its level.
	for _, s := range [...]struct{ what, text string }{{"type", ev.Type}, {"id", ev.ID}, {"event", ev.Name}, {"format", ev.Format}} {
		if s.text == "" {
			return "the " + s.what + " is empty"
		}
		if why := badText(s.text, "+#/"); why != "" {
			return fmt.Sprintf("%s %q: %s", s.what, clip(s.text), why)
		}
	}
	if why := badText(suffix, "+#/"); why != "" {
		return fmt.Sprintf("chunk_suffix %q: %s", clip(suffix), why)
	}
	if strings.HasPrefix(t.parts[0].of(ev), "$") {
		return ownedTopic
	}
	if n := t.size(ev) + len(suffix); n > wiotp.MaxTopic {
		return fmt.Sprintf("the topic has %d bytes, at most %d are possible", n, wiotp.MaxTopic)
	}
	return ""
}

// size is the length of ev's topic in bytes.
func (t *template) size(ev *mapping.Event) int {
	n := t.literal
	for i := range t.parts {
		n += len(t.parts[i].of(ev))
	}
	return n
}

// append adds ev's topic to b.
func (t *template) append(b []byte, ev *mapping.Event) []byte {
	for i := range t.parts {
		b = append(b, t.parts[i].text...)
		b = append(b, t.parts[i].of(ev)...)
	}
	return b
}

// of is what ev puts in the place of a field; "" for literal text.
func (p *part) of(ev *mapping.Event) string {
	switch p.field {
	case typeField:
		return ev.Type
	case idField:
		return ev.ID
	case eventField:
		return ev.Name
	case formatField:
		return ev.Format
	}
	return ""
}

// room is what a payload may have beside a topic of that length.
func room(maxPayload, topic int) int { return maxPayload - wiotp.PayloadSize(topic, 0) }

// badText says why s cannot be part of a topic of MQTT; reserved are the characters with a meaning of their own.
func badText(s, reserved string) string {
	if !utf8.ValidString(s) {
		return "it is not UTF-8"
	}
	for _, r := range s {
		switch {
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return "it holds a control character"
		case r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef:
			return "it holds a character that Unicode forbids in exchange"
		case strings.ContainsRune(reserved, r):
			return fmt.Sprintf("%q has a meaning of its own there", r)
		}
	}
	return ""
}

// clip cuts data of equipment that goes into a message.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

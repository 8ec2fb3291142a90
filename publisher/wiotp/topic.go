package wiotp

import "strings"

// A Kind is what a topic or filter is about.
type Kind byte

const (
	Event        Kind = iota // iot-2/type/T/id/I/evt/E/fmt/F
	Command                  // iot-2/type/T/id/I/cmd/C/fmt/F
	DeviceStatus             // iot-2/type/T/id/I/mon, subscribed only
	AppStatus                // iot-2/app/A/mon, subscribed only
)

func (k Kind) String() string {
	switch k {
	case Event:
		return "event"
	case Command:
		return "command"
	case DeviceStatus:
		return "device status"
	case AppStatus:
		return "application status"
	}
	return "unknown"
}

// A Topic is what an application publishes on: an event as if from a device, or a command to it.
type Topic struct {
	Kind     Kind   // Event or Command
	Type, ID string // the device
	Name     string // event or command id
	Format   string
}

// ParseTopic takes a topic apart as the platform does: anything that is not exactly an event or command topic is
// refused. It allocates nothing when the topic is good.
func ParseTopic(s string) (Topic, error) {
	t, tail, ok := cutTopic(s)
	if !ok || tail != "" {
		return Topic{}, badTopic("topic", "%q: an application publishes on iot-2/type/T/id/I/evt/E/fmt/F or …/cmd/C/fmt/F only", clip(s))
	}
	if len(s) > MaxTopic {
		return Topic{}, badTopic("topic", "topic has %d bytes, MQTT ends at %d", len(s), MaxTopic)
	}
	if err := t.check(); err != nil {
		return Topic{}, err
	}
	return t, nil
}

// Validate says whether legacybridge publishes on t: stricter than the platform, which takes more in event ids and
// formats than every consumer behind it can read.
func (t Topic) Validate() error {
	if t.Kind != Event && t.Kind != Command {
		return badTopic("topic", "nobody publishes on %s topics", t.Kind)
	}
	for _, part := range [...]struct{ what, s string }{
		{"device type", t.Type}, {"device id", t.ID}, {t.Kind.String() + " id", t.Name}, {"format", t.Format},
	} {
		if err := CheckSegment(part.what, part.s); err != nil {
			return badTopic("topic", "%v", err)
		}
	}
	return nil
}

// Append builds the topic. The result is only as good as the parts: see Validate.
func (t Topic) Append(b []byte) []byte {
	b = append(b, prefixType...)
	b = append(b, t.Type...)
	b = append(b, "/id/"...)
	b = append(b, t.ID...)
	if t.Kind == Command {
		b = append(b, "/cmd/"...)
	} else {
		b = append(b, "/evt/"...)
	}
	b = append(b, t.Name...)
	b = append(b, "/fmt/"...)
	return append(b, t.Format...)
}

func (t Topic) String() string { return string(t.Append(nil)) }

// check holds the platform's own rules for the four parts.
func (t *Topic) check() error {
	if !ValidSegment(t.Type) {
		return badTopic("topic", "%v", CheckSegment("device type", t.Type))
	}
	if !ValidSegment(t.ID) {
		return badTopic("topic", "%v", CheckSegment("device id", t.ID))
	}
	return checkLevels("topic", t.Kind, t.Name, t.Format)
}

func checkLevels(rule string, k Kind, name, format string) error {
	if !validLevel(name) {
		return badTopic(rule, "%s id %q is empty or has characters that are not allowed", k, clip(name))
	}
	if !validLevel(format) {
		return badTopic(rule, "format %q is empty or has characters that are not allowed", clip(format))
	}
	return nil
}

const prefixType = "iot-2/type/"

// cutTopic splits iot-2/type/T/id/I and what follows: evt/E/fmt/F and cmd/C/fmt/F go into t, anything else is tail.
// The parts are not checked.
func cutTopic(s string) (t Topic, tail string, ok bool) {
	rest, ok := strings.CutPrefix(s, prefixType)
	if !ok {
		return t, s, false
	}
	if t.Type, rest, ok = strings.Cut(rest, "/"); !ok {
		return t, s, false
	}
	if rest, ok = strings.CutPrefix(rest, "id/"); !ok {
		return t, s, false
	}
	if t.ID, rest, ok = strings.Cut(rest, "/"); !ok {
		return t, s, false
	}
	switch {
	case strings.HasPrefix(rest, "evt/"):
		t.Kind = Event
	case strings.HasPrefix(rest, "cmd/"):
		t.Kind = Command
	default:
		return t, rest, true
	}
	name, format, found := strings.Cut(rest[len("evt/"):], "/")
	format, isFmt := strings.CutPrefix(format, "fmt/")
	if !found || !isFmt {
		return t, rest, true
	}
	t.Name, t.Format = name, format
	return t, "", true
}

// clip keeps what a stranger sent readable in an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

package wiotp

import "strings"

// A Filter is what an application subscribes to. A part that is "+" stands for every value of its level.
type Filter struct {
	Kind     Kind
	Type, ID string // Event, Command, DeviceStatus
	Name     string // event or command id
	Format   string
	App      string // AppStatus
}

// ParseFilter takes a filter apart as the platform does: one of the four kinds, + only as a whole level in the places
// of the table, # never.
func ParseFilter(s string) (Filter, error) {
	if strings.IndexByte(s, '#') >= 0 {
		return Filter{}, badTopic("filter", "%q: # is never allowed for applications, use + for each level", clip(s))
	}
	if len(s) > MaxTopic {
		return Filter{}, badTopic("filter", "filter has %d bytes, MQTT ends at %d", len(s), MaxTopic)
	}
	f, ok := cutFilter(s)
	if !ok {
		return Filter{}, badTopic("filter", "%q: an application subscribes to iot-2/type/T/id/I/evt/E/fmt/F, …/cmd/C/fmt/F, …/mon or iot-2/app/A/mon only", clip(s))
	}
	if err := f.Validate(); err != nil {
		return Filter{}, err
	}
	return f, nil
}

// Validate holds the rules for the parts of f.
func (f Filter) Validate() error {
	if f.Kind == AppStatus {
		return checkFilterSegment("application", f.App)
	}
	if err := checkFilterSegment("device type", f.Type); err != nil {
		return err
	}
	if err := checkFilterSegment("device id", f.ID); err != nil {
		return err
	}
	if f.Kind == DeviceStatus {
		return nil
	}
	name, format := f.Name, f.Format
	if name == anyLevel {
		name = "any"
	}
	if format == anyLevel {
		format = "any"
	}
	return checkLevels("filter", f.Kind, name, format)
}

// Matches says whether what is published on t reaches a subscriber of f.
func (f Filter) Matches(t Topic) bool {
	return f.Kind == t.Kind && level(f.Type, t.Type) && level(f.ID, t.ID) && level(f.Name, t.Name) && level(f.Format, t.Format)
}

// Append builds the filter. The result is only as good as the parts: see Validate.
func (f Filter) Append(b []byte) []byte {
	switch f.Kind {
	case AppStatus:
		b = append(b, prefixApp...)
		b = append(b, f.App...)
		return append(b, "/mon"...)
	case DeviceStatus:
		b = append(b, prefixType...)
		b = append(b, f.Type...)
		b = append(b, "/id/"...)
		b = append(b, f.ID...)
		return append(b, "/mon"...)
	}
	return Topic{Kind: f.Kind, Type: f.Type, ID: f.ID, Name: f.Name, Format: f.Format}.Append(b)
}

func (f Filter) String() string { return string(f.Append(nil)) }

const prefixApp = "iot-2/app/"

func cutFilter(s string) (Filter, bool) {
	if rest, ok := strings.CutPrefix(s, prefixApp); ok {
		app, ok := strings.CutSuffix(rest, "/mon")
		return Filter{Kind: AppStatus, App: app}, ok
	}
	t, tail, ok := cutTopic(s)
	switch {
	case !ok:
		return Filter{}, false
	case tail == "":
		return Filter{Kind: t.Kind, Type: t.Type, ID: t.ID, Name: t.Name, Format: t.Format}, true
	case tail == "mon":
		return Filter{Kind: DeviceStatus, Type: t.Type, ID: t.ID}, true
	}
	return Filter{}, false
}

func level(pattern, s string) bool { return pattern == anyLevel || pattern == s }

func checkFilterSegment(what, s string) error {
	if s == anyLevel || ValidSegment(s) {
		return nil
	}
	if strings.IndexByte(s, '+') >= 0 {
		return badTopic("filter", "+ must fill a whole level, %s is %q", what, clip(s))
	}
	return badTopic("filter", "%v", CheckSegment(what, s))
}

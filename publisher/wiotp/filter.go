package wiotp

import "strings"

// A Filter is what a client subscribes to. A part that is "+" stands for every value of its level.
type Filter struct {
	Kind            Kind
	Type, ID        string // the device
	Name            string // event or command id; with DeviceManaged the filter as it came
	Format          string
	App             string // AppStatus
	Interface, Rule string // the later kinds
}

// ParseFilter takes apart what an application subscribes to, as the platform does: one of the kinds of the table, + only
// as a whole level in its places, # never.
func ParseFilter(s string) (Filter, error) {
	return ClientID{Class: Application}.ParseFilter(s, DocumentWildcards)
}

// ParseFilter takes apart what id subscribes to. A device's short filter comes back with the device's type and id. w
// matters on Quickstart only.
func (id ClientID) ParseFilter(s string, w Wildcards) (Filter, error) {
	_, f, err := id.filter(s, w)
	return f, err
}

func (id ClientID) filter(s string, w Wildcards) (need Permission, f Filter, err error) {
	if managed(id, s) {
		return Management, Filter{Kind: DeviceManaged, Type: id.Type, ID: id.ID, Name: s}, nil
	}
	var v values
	r, err := id.find(subscribe, s, w, &v)
	if err != nil {
		return 0, Filter{}, err
	}
	f = Filter{Kind: r.kind, Type: v[vT], ID: v[vI], Name: v[vE], Format: v[vF], App: v[vA], Interface: v[vL], Rule: v[vR]}
	if id.Class == Device {
		f.Type, f.ID = id.Type, id.ID
	}
	return r.need, f, nil
}

// managed says whether s is a filter of device management: anything under iotdm-1/, # at its end included.
func managed(id ClientID, s string) bool {
	rest, ok := strings.CutPrefix(s, "iotdm-1/")
	if !ok || id.Class.IsApplication() || id.Org == Quickstart || len(s) > MaxTopic {
		return false
	}
	rest = strings.TrimSuffix(rest, "#")
	for part := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		if part != anyLevel && !validLevel(part) && rest != "" {
			return false
		}
	}
	return rest == "" || strings.HasSuffix(rest, "/") || !strings.HasSuffix(s, "#")
}

// Validate holds the platform's rules for the parts of an application's filter.
func (f Filter) Validate() error {
	for i := range rules {
		if r := &rules[i]; r.kind == f.Kind && r.holds(Application, subscribe) {
			return ClientID{Class: Application}.check(r, f.values(), DocumentWildcards)
		}
	}
	return badTopic("filter", "applications do not subscribe to %s topics", f.Kind)
}

// Matches says whether what is published on t reaches a subscriber of f.
func (f Filter) Matches(t Topic) bool {
	return f.Kind == t.Kind && fits(f.Type, t.Type) && fits(f.ID, t.ID) && fits(f.Name, t.Name) && fits(f.Format, t.Format) && fits(f.App, t.App)
}

func fits(pattern, s string) bool { return pattern == anyLevel || pattern == s }

// Append builds the long form of the filter. The result is only as good as the parts: see Validate.
func (f Filter) Append(b []byte) []byte {
	if f.Kind == DeviceManaged || int(f.Kind) >= len(kinds) {
		return append(b, f.Name...)
	}
	return kinds[f.Kind].long.append(b, f.values())
}

func (f Filter) String() string { return string(f.Append(nil)) }

func (f Filter) values() *values {
	return &values{vT: f.Type, vI: f.ID, vE: f.Name, vF: f.Format, vA: f.App, vL: f.Interface, vR: f.Rule}
}

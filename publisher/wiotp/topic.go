package wiotp

import "strings"

// A Topic is what a message is about. Applications and gateways see it in its long form, a device its own in the short
// one: the same event is iot-2/type/kiln/id/K-1/evt/t/fmt/json here and iot-2/evt/t/fmt/json there.
type Topic struct {
	Kind     Kind
	Type, ID string // the device
	Name     string // event or command id; with DeviceManaged the topic as it came
	Format   string
	App      string // AppStatus
}

// ParseTopic takes apart what an application publishes on, as the platform does: anything that is not exactly an event
// or command topic is refused. It allocates nothing when the topic is good.
func ParseTopic(s string) (Topic, error) { return ClientID{Class: Application}.ParseTopic(s) }

// ParseTopic takes apart what id publishes on. A device's short topic comes back with the device's type and id.
func (id ClientID) ParseTopic(s string) (Topic, error) {
	var v values
	r, err := id.find(publish, s, DocumentWildcards, &v) // no wildcard is ever published on
	if err != nil {
		return Topic{}, err
	}
	if n := len(s) + len("type//id//") + len(id.Type) + len(id.ID); id.Class == Device && r.kind != DeviceManaged && n > MaxTopic {
		return Topic{}, badTopic("topic", "its long form, which applications get, has %d bytes, MQTT ends at %d", n, MaxTopic)
	}
	return id.topic(r, s, &v), nil
}

func (id ClientID) topic(r *rule, s string, v *values) Topic {
	t := Topic{Kind: r.kind, Type: v[vT], ID: v[vI], Name: v[vE], Format: v[vF]}
	if id.Class == Device {
		t.Type, t.ID = id.Type, id.ID
	}
	if r.kind == DeviceManaged {
		t.Name = s
	}
	return t
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

// Append builds the long form. The result is only as good as the parts: see Validate.
func (t Topic) Append(b []byte) []byte {
	if t.Kind == DeviceManaged || int(t.Kind) >= len(kinds) {
		return append(b, t.Name...)
	}
	v := values{vT: t.Type, vI: t.ID, vE: t.Name, vF: t.Format, vA: t.App}
	return kinds[t.Kind].long.append(b, &v)
}

func (t Topic) String() string { return string(t.Append(make([]byte, 0, 128))) } // one allocation for nearly all: each message takes it

// Name is t as id receives it: the short form for a device, the long one for all others.
func (id ClientID) Name(t Topic) string {
	if id.Class != Device || int(t.Kind) >= len(kinds) || kinds[t.Kind].short.levels == nil {
		return t.String()
	}
	return string(kinds[t.Kind].short.append(nil, &values{vE: t.Name, vF: t.Format}))
}

// find returns the rule that allows s, its variables checked and put into v.
func (id ClientID) find(w way, s string, wild Wildcards, v *values) (*rule, error) {
	if len(s) > MaxTopic {
		return nil, badTopic(w.rule(), "it has %d bytes, MQTT ends at %d", len(s), MaxTopic)
	}
	table := id.table(wild)
	for i := range table {
		r := &table[i]
		if r.holds(id.Class, w) && r.form.cut(s, v) {
			return r, id.check(r, v, wild)
		}
	}
	return nil, id.nowhere(w, s, table)
}

// check holds the rules for the variables of a topic or filter.
func (id ClientID) check(r *rule, v *values, wild Wildcards) error {
	name := r.way.rule()
	for _, l := range r.form.levels {
		if l.v < 0 {
			continue
		}
		s, letter := v[l.v], variables[l.v:l.v+1]
		if s == anyLevel && r.way == subscribe {
			if strings.Contains(r.plus, letter) {
				continue
			}
			if id.Org == Quickstart && l.v == vA {
				return badTopic("quickstart_wildcards", "%s does not allow + as application: name one", Quickstart)
			}
			if id.Org == Quickstart {
				return badTopic("quickstart_wildcards", "%s does not allow + as %s: name one (rules.quickstart_wildcards = %q; the platform's document forbids + as device type, "+
					"the real server as device id)", Quickstart, varName(r, l.v), wild.String())
			}
			return badTopic(name, "+ is not allowed as %s", varName(r, l.v))
		}
		if strings.IndexByte(s, '+') >= 0 && r.way == subscribe {
			return badTopic(name, "+ must fill a whole level, %s is %q", varName(r, l.v), clip(s))
		}
		switch l.v {
		case vT, vI, vA:
			if !ValidSegment(s) {
				return badTopic(name, "%v", CheckSegment(varName(r, l.v), s))
			}
		default:
			if !validLevel(s) {
				return badTopic(name, "%s %q is empty or has characters that are not allowed", varName(r, l.v), clip(s))
			}
		}
	}
	if r.format != "" && v[vF] != r.format {
		return badTopic("quickstart", "%s takes events of devices in format %s only, this is %q", Quickstart, r.format, clip(v[vF]))
	}
	if id.Class == Gateway && r.kind == Notice && (v[vT] != id.Type || v[vI] != id.ID) {
		return badTopic(name, "a gateway receives its own notices only: iot-2/type/%s/id/%s/notify", id.Type, id.ID)
	}
	return nil
}

// nowhere says what id may do instead.
func (id ClientID) nowhere(w way, s string, table []rule) error {
	name := w.rule()
	if w == subscribe && strings.IndexByte(s, '#') >= 0 {
		return badTopic(name, "%q: # is never allowed, use + for each level", clip(s))
	}
	if id.Org == Quickstart {
		var v values
		for i := range rules {
			if r := &rules[i]; r.holds(id.Class, w) && r.form.cut(s, &v) {
				return badTopic("quickstart", "%s does not let a %s %s %s topics", Quickstart, id.Class, w, r.kind)
			}
		}
	}
	var forms []string
	for i := range table {
		if r := &table[i]; r.holds(id.Class, w) && r.kind <= Notice {
			forms = append(forms, r.form.text)
		}
	}
	only := "nothing"
	if n := len(forms); n > 1 {
		only = strings.Join(forms[:n-1], ", ") + " or " + forms[n-1] + " only"
	} else if n == 1 {
		only = forms[0] + " only"
	}
	hint := ""
	var v values
	for i := range rules {
		if r := &rules[i]; r.way == w && !r.holds(id.Class, w) && r.form.cut(s, &v) {
			hint = "; this topic is for client ids that start with " + r.classes[:1] + ":"
			break
		}
	}
	return badTopic(name, "%q: a client id %c:… can %s %s%s", clip(s), id.Class, w, only, hint)
}

// rule is the name of the rule that a wrong topic or filter breaks.
func (w way) rule() string {
	if w == subscribe {
		return "filter"
	}
	return "topic"
}

// varName is what a variable of r is called.
func varName(r *rule, v int8) string {
	switch v {
	case vT:
		return "device type"
	case vI:
		return "device id"
	case vE:
		return r.kind.String() + " id"
	case vF:
		return "format"
	case vA:
		return "application"
	case vL:
		return "interface"
	case vR:
		return "rule"
	}
	return "device management part"
}

// clip keeps what a stranger sent readable in an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

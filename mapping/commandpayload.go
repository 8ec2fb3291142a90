package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// A given is a command's payload, taken apart.
type given struct {
	args  map[string]any // json.Number, string, bool; anything else is of no use to an argument
	id    string
	ts    time.Time
	hasTS bool
}

// parseGiven reads {"d":{…},"id":…,"ts":…} or {…,"id":…,"ts":…}. What could be read in two ways is refused: a member
// that comes twice, arguments beside d, anything behind the end.
func parseGiven(payload []byte) (given, error) {
	var g given
	switch {
	case len(payload) > MaxCommand:
		return g, fmt.Errorf("the payload has %d bytes, a command at most %d", len(payload), MaxCommand)
	case !utf8.Valid(payload):
		return g, errors.New("the payload is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	members, err := readObject(dec, true)
	if err != nil {
		return g, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return g, errors.New("something follows the JSON object")
	}
	if id, ok := members["id"]; ok {
		if g.id, ok = id.(string); !ok || g.id == "" || len(g.id) > maxCommandID {
			g.id = ""
			return g, fmt.Errorf("id is a text of 1 to %d bytes", maxCommandID)
		}
	}
	if ts, ok := members["ts"]; ok {
		text, isText := ts.(string)
		if g.ts, err = time.Parse(time.RFC3339Nano, text); !isText || err != nil {
			return g, errors.New(`ts is a time like "2026-05-11T08:04:31Z"`)
		}
		g.hasTS = true
	}
	delete(members, "id")
	delete(members, "ts")
	g.args = members
	if d, ok := members["d"].(map[string]any); ok {
		delete(members, "d")
		for name := range members {
			return g, fmt.Errorf("%s stands beside d: arguments stand inside it", quote(name))
		}
		g.args = d
	}
	return g, nil
}

// readObject reads one JSON object. With inner, the member d may be an object too; all other values are scalars.
func readObject(dec *json.Decoder, inner bool) (map[string]any, error) {
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New(`the payload is not JSON like {"d":{…}}`)
	}
	return readMembers(dec, inner)
}

func readMembers(dec *json.Decoder, inner bool) (map[string]any, error) {
	broken := errors.New(`the payload is not JSON like {"d":{…}}`)
	members := map[string]any{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, broken
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("%s stands there twice", quote(name))
		}
		v, err := dec.Token()
		switch {
		case err != nil:
			return nil, broken
		case v == json.Delim('{') && inner && name == "d":
			if v, err = readMembers(dec, false); err != nil {
				return nil, err
			}
		case v == json.Delim('{'), v == json.Delim('['):
			return nil, fmt.Errorf("%s is no single value", quote(name))
		}
		members[name] = v
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return nil, broken
	}
	return members, nil
}

// values gives the arguments of a command in their order.
func (c *command) values(g given) ([]value, error) {
	values := make([]value, len(c.args))
	for i := range c.args {
		a := &c.args[i]
		raw, ok := g.args[a.Name]
		if !ok {
			return nil, fmt.Errorf("the argument %s is missing; %s", a.Name, c.usage())
		}
		if err := a.read(&values[i], raw); err != nil {
			return nil, err
		}
	}
	if len(g.args) > len(c.args) {
		for name := range g.args {
			if c.arg(name) < 0 {
				return nil, fmt.Errorf("there is no argument %s; %s", quote(name), c.usage())
			}
		}
	}
	return values, nil
}

// usage says which arguments there are.
func (c *command) usage() string {
	if len(c.args) == 0 {
		return c.Name + " takes none"
	}
	var names []string
	for _, a := range c.args {
		names = append(names, a.Name)
	}
	return c.Name + " takes " + strings.Join(names, ", ")
}

// read holds one argument against its rule.
func (a *arg) read(v *value, raw any) error {
	wrong := fmt.Errorf("the argument %s is not %v", a.Name, a.Kind)
	switch raw := raw.(type) {
	case json.Number:
		if a.Kind != NumberArg && a.Kind != IntArg {
			return wrong
		}
		d, ok := plain(raw.String())
		if !ok {
			return fmt.Errorf("the argument %s has too many digits, or is too large or small", a.Name)
		}
		if a.Kind == IntArg {
			if !d.whole() {
				return wrong
			}
			d = d.round(0)
		}
		if a.min != nil && d.cmp(*a.min) < 0 || a.max != nil && d.cmp(*a.max) > 0 {
			return fmt.Errorf("the argument %s is %s, %s", a.Name, d.append(nil), a.bounds())
		}
		v.kind, v.num, v.full = number, d, d
	case bool:
		if a.Kind != BoolArg {
			return wrong
		}
		v.kind, v.truth = truth, raw
	case string:
		if a.Kind != TextArg {
			return wrong
		}
		if len(raw) > maxArgText {
			return fmt.Errorf("the argument %s has %d bytes, a text at most %d", a.Name, len(raw), maxArgText)
		}
		v.kind, v.text = text, raw
	default:
		return wrong
	}
	if len(a.enum) == 0 {
		return nil
	}
	for i := range a.enum {
		if v.same(&a.enum[i]) {
			return nil
		}
	}
	return fmt.Errorf("the argument %s is %s, it can be %s", a.Name, v.append(nil, nil), strings.Join(a.Enum, ", "))
}

func (a *arg) bounds() string {
	switch {
	case a.min != nil && a.max != nil:
		return "it can be " + a.Min + " to " + a.Max
	case a.min != nil:
		return "the least is " + a.Min
	}
	return "the most is " + a.Max
}

// canonical writes the arguments as JSON in the order of the configuration.
func (c *command) canonical(values []value) string {
	b := []byte{'{'}
	for i := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, c.args[i].Name), ':')
		b = values[i].append(b, nil)
	}
	return string(append(b, '}'))
}

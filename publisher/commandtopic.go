package publisher

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// DefaultCommands is the platform's form of a command topic.
const DefaultCommands = "iot-2/type/{type}/id/{id}/cmd/{command}/fmt/{format}"

// maxFilters is how many subscriptions one session takes: the platform ends a session with more than 500.
const maxFilters = 400

// An Address is a registered device whose commands are for us.
type Address struct {
	Device   string // as configured
	Type, ID string
}

// CommandTopics knows the topics of commands: what to subscribe to, and whom a message is for.
type CommandTopics struct {
	template string
	form     *regexp.Regexp
	devices  map[[2]string]string // by type and id
	filters  []string
}

var commandPart = regexp.MustCompile(`\{(type|id|command|format)\}`)

// CheckCommands says what is wrong with a template of command topics.
func CheckCommands(template string) error {
	_, err := commandForm(template)
	return err
}

// commandForm is what a topic of the template looks like. Command and format are subscribed as +, so each must be a level
// of its own; without type and id it would not be known whom a command is for.
func commandForm(template string) (*regexp.Regexp, error) {
	var form strings.Builder
	form.WriteString("^")
	rest := template
	seen := map[string]bool{}
	for {
		at := commandPart.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		name := rest[at[2]:at[3]]
		if seen[name] {
			return nil, fmt.Errorf("{%s} stands twice in the topic of commands", name)
		}
		seen[name] = true
		form.WriteString(regexp.QuoteMeta(rest[:at[0]]) + "(?P<" + name + ">[^/]+)")
		rest = rest[at[1]:]
	}
	form.WriteString(regexp.QuoteMeta(rest) + "$")
	for _, name := range []string{"type", "id", "command"} {
		if !seen[name] {
			return nil, fmt.Errorf("the topic of commands has no {%s}, so that it is not known what a command is for", name)
		}
	}
	for _, level := range strings.Split(template, "/") {
		if strings.ContainsAny(level, "{}") && (strings.Contains(level, "{command}") && level != "{command}" || strings.Contains(level, "{format}") && level != "{format}") {
			return nil, fmt.Errorf("%q cannot be subscribed to: {command} and {format} fill a level each", level)
		}
	}
	if why := badText(commandPart.ReplaceAllString(template, "x"), "+#{}"); why != "" || strings.HasPrefix(template, "$") {
		return nil, errors.New("nothing can be subscribed to there: no + # { } and no $ at the start")
	}
	return regexp.Compile(form.String())
}

// NewCommandTopics is for the commands of these devices and no others. "" is DefaultCommands. Above 400 devices whole types are
// subscribed to, and what is for others is passed over.
func NewCommandTopics(template string, devices []Address) (*CommandTopics, error) {
	if template == "" {
		template = DefaultCommands
	}
	form, err := commandForm(template)
	if err != nil {
		return nil, err
	}
	t := &CommandTopics{template: template, form: form, devices: map[[2]string]string{}}
	var exact, types []string
	for _, d := range devices {
		t.devices[[2]string{d.Type, d.ID}] = d.Device
		exact = append(exact, t.filter(d.Type, d.ID))
		if f := t.filter(d.Type, "+"); !slices.Contains(types, f) {
			types = append(types, f)
		}
	}
	switch {
	case len(exact) <= maxFilters:
		t.filters = exact
	case len(types) <= maxFilters:
		t.filters = types
	default:
		t.filters = []string{t.filter("+", "+")}
	}
	for _, f := range t.filters {
		for _, level := range strings.Split(f, "/") {
			if strings.Contains(level, "+") && level != "+" {
				return nil, fmt.Errorf("with so many devices their commands are subscribed to with +, and %q does not fill a level: change platform.commands", level)
			}
		}
	}
	return t, nil
}

func (t *CommandTopics) filter(typ, id string) string {
	return strings.NewReplacer("{type}", typ, "{id}", id, "{command}", "+", "{format}", "+").Replace(t.template)
}

// Topic is where a command of a device is published.
func (t *CommandTopics) Topic(typ, id, command, format string) string {
	return strings.NewReplacer("{type}", typ, "{id}", id, "{command}", command, "{format}", format).Replace(t.template)
}

// Filters is what to subscribe to.
func (t *CommandTopics) Filters() []string { return t.filters }

// Find says which of our devices a topic is for, and the command; false if it is for none of them.
func (t *CommandTopics) Find(topic string) (device, command string, ok bool) {
	m := t.form.FindStringSubmatch(topic)
	if m == nil {
		return "", "", false
	}
	at := func(name string) string { return m[t.form.SubexpIndex(name)] }
	device, ok = t.devices[[2]string{at("type"), at("id")}]
	return device, at("command"), ok
}

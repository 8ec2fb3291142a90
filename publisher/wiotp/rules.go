package wiotp

import "strings"

// A Kind is what a topic or filter is about.
type Kind byte

const (
	Event         Kind = iota // iot-2/type/T/id/I/evt/E/fmt/F
	Command                   // iot-2/type/T/id/I/cmd/E/fmt/F
	DeviceStatus              // iot-2/type/T/id/I/mon, published by the platform
	AppStatus                 // iot-2/app/A/mon, published by the platform
	Notice                    // iot-2/type/T/id/I/notify, published by the platform for gateways
	DeviceManaged             // iotdevice-1/… from devices, iotdm-1/… to them
	StateOfDevice             // iot-2/type/T/id/I/intf/L/evt/state
	ErrorOfDevice             // iot-2/type/T/id/I/err/data
	StateOfThing              // iot-2/thing/type/T/id/I/intf/L/evt/state
	ErrorOfThing              // iot-2/thing/type/T/id/I/err/data
	RuleTrigger               // iot-2/intf/L/rule/R/evt/trigger
	RuleError                 // iot-2/intf/L/rule/R/err/data
)

// kinds is how each kind is called, and its topic as applications and gateways see it (long) and as a device sees its
// own (short).
var kinds = [...]struct {
	name        string
	long, short form
}{
	Event:         {"event", newForm("iot-2/type/T/id/I/evt/E/fmt/F"), newForm("iot-2/evt/E/fmt/F")},
	Command:       {"command", newForm("iot-2/type/T/id/I/cmd/E/fmt/F"), newForm("iot-2/cmd/E/fmt/F")},
	DeviceStatus:  {"device status", newForm("iot-2/type/T/id/I/mon"), newForm("iot-2/mon")},
	AppStatus:     {"application status", newForm("iot-2/app/A/mon"), form{}},
	Notice:        {"notice", newForm("iot-2/type/T/id/I/notify"), newForm("iot-2/notify")},
	DeviceManaged: {"device management", form{text: "iotdevice-1/…"}, form{text: "iotdm-1/…"}},
	StateOfDevice: {"device state", newForm("iot-2/type/T/id/I/intf/L/evt/state"), form{}},
	ErrorOfDevice: {"device state error", newForm("iot-2/type/T/id/I/err/data"), form{}},
	StateOfThing:  {"thing state", newForm("iot-2/thing/type/T/id/I/intf/L/evt/state"), form{}},
	ErrorOfThing:  {"thing state error", newForm("iot-2/thing/type/T/id/I/err/data"), form{}},
	RuleTrigger:   {"rule trigger", newForm("iot-2/intf/L/rule/R/evt/trigger"), form{}},
	RuleError:     {"rule error", newForm("iot-2/intf/L/rule/R/err/data"), form{}},
}

func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return "unknown"
}

// A way is the direction of a message, as the client sees it.
type way byte

const (
	publish way = iota
	subscribe
)

func (w way) String() string {
	if w == subscribe {
		return "subscribe to"
	}
	return "publish on"
}

// A rule is one line of the platform's tables: everything that no rule allows ends the connection.
type rule struct {
	classes string // letters of the classes
	way     way
	kind    Kind
	form    form
	need    Permission
	plus    string // variables that may be +
	format  string // the one format allowed, "" for any
}

const applications = "aA"

// rules are those of an organisation.
var rules = append([]rule{
	{applications, publish, Event, kinds[Event].long, EventSend, "", ""},
	{applications, publish, Command, kinds[Command].long, CmdSend, "", ""},
	{applications, subscribe, Event, kinds[Event].long, EventRecv, "TIEF", ""},
	{applications, subscribe, Command, kinds[Command].long, CmdRecv, "TIEF", ""},
	{applications, subscribe, DeviceStatus, kinds[DeviceStatus].long, StatusRecv, "TI", ""},
	{applications, subscribe, AppStatus, kinds[AppStatus].long, StatusRecv, "A", ""},
	// Later than the seed document, and subscribed only. Their permission is not documented: they are made from events.
	{applications, subscribe, StateOfDevice, kinds[StateOfDevice].long, EventRecv, "TIL", ""},
	{applications, subscribe, ErrorOfDevice, kinds[ErrorOfDevice].long, EventRecv, "TI", ""},
	{applications, subscribe, StateOfThing, kinds[StateOfThing].long, EventRecv, "TIL", ""},
	{applications, subscribe, ErrorOfThing, kinds[ErrorOfThing].long, EventRecv, "TI", ""},
	{applications, subscribe, RuleTrigger, kinds[RuleTrigger].long, EventRecv, "LR", ""},
	{applications, subscribe, RuleError, kinds[RuleError].long, EventRecv, "LR", ""},

	{"d", publish, Event, kinds[Event].short, EventSend, "", ""},
	{"d", subscribe, Command, kinds[Command].short, CmdRecv, "EF", ""},
	{"d", subscribe, DeviceStatus, kinds[DeviceStatus].short, StatusRecv, "", ""},
	{"d", subscribe, Notice, kinds[Notice].short, 0, "", ""},

	{"g", publish, Event, kinds[Event].long, EventSend, "", ""},
	{"g", subscribe, Command, kinds[Command].long, CmdRecv, "TIEF", ""},
	{"g", subscribe, DeviceStatus, kinds[DeviceStatus].long, StatusRecv, "TI", ""},
	{"g", subscribe, Notice, kinds[Notice].long, 0, "", ""}, // its own only
}, managementRules()...)

// managementRules are the topics on which devices and gateways answer device management.
func managementRules() (all []rule) {
	for _, tail := range []string{"response", "notify", "device/update/X", "add/X/Y", "clear/X/Y", "mgmt/X"} {
		all = append(all,
			rule{"d", publish, DeviceManaged, newForm("iotdevice-1/" + tail), Management, "", ""},
			rule{"g", publish, DeviceManaged, newForm("iotdevice-1/type/T/id/I/" + tail), Management, "", ""})
	}
	return all
}

// Wildcards is which reading of Quickstart's rule for + holds. The seed document forbids it as device type, the later
// documents and the real server as device id. As application both forbid it.
type Wildcards byte

const (
	DocumentWildcards Wildcards = iota // "document": + not as device type
	ServerWildcards                    // "server": + not as device id
)

func (w Wildcards) String() string {
	if w == ServerWildcards {
		return "server"
	}
	return "document"
}

// quickstart are the rules of the organisation without keys, at both readings.
var quickstart = [...][]rule{
	DocumentWildcards: quickstartRules("I"),
	ServerWildcards:   quickstartRules("T"),
}

func quickstartRules(device string) []rule {
	return []rule{
		{"a", publish, Event, kinds[Event].long, 0, "", ""},
		{"a", subscribe, Event, kinds[Event].long, 0, device + "EF", ""},
		{"a", subscribe, DeviceStatus, kinds[DeviceStatus].long, 0, device, ""},
		{"a", subscribe, AppStatus, kinds[AppStatus].long, 0, "", ""},
		{"d", publish, Event, kinds[Event].short, 0, "", "json"},
	}
}

// holds says whether the rule is for class c.
func (r *rule) holds(c Class, w way) bool {
	return r.way == w && strings.IndexByte(r.classes, byte(c)) >= 0
}

// table are the rules that hold for id.
func (id ClientID) table(w Wildcards) []rule {
	if id.Org != Quickstart {
		return rules
	}
	return quickstart[min(int(w), len(quickstart)-1)]
}

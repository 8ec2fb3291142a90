package wiotp

import (
	"fmt"
	"slices"
	"strings"
)

// A Permission is a set of operations. The first six are the platform's own bits of the topic rules; the others are
// those of the registry's REST interface.
type Permission uint16

const (
	EventSend     Permission = 1
	EventRecv     Permission = 2
	CmdSend       Permission = 4
	CmdRecv       Permission = 8
	Management    Permission = 32  // device management protocol, devices and gateways only
	StatusRecv    Permission = 128 // status topics
	ViewDevices   Permission = 1 << 8
	ManageDevices Permission = 1 << 9 // create, update, delete
	ViewTypes     Permission = 1 << 10
	ManageTypes   Permission = 1 << 11
	ViewLogs      Permission = 1 << 12 // connection logs
	EventCache    Permission = 1 << 13 // last event cache
)

var operations = map[Permission]string{
	EventSend: "publish events", EventRecv: "subscribe to events", CmdSend: "publish commands", CmdRecv: "subscribe to commands",
	Management: "use device management", StatusRecv: "subscribe to status", ViewDevices: "view devices", ManageDevices: "create, update or delete devices",
	ViewTypes: "view device types", ManageTypes: "create, update or delete device types", ViewLogs: "view connection logs",
	EventCache: "view the last event cache",
}

// String says what p allows: "publish events".
func (p Permission) String() string {
	var words []string
	for bit := EventSend; bit <= EventCache; bit <<= 1 {
		if p&bit != 0 && operations[bit] != "" {
			words = append(words, operations[bit])
		}
	}
	return strings.Join(words, ", ")
}

// A Role is what an API key may do. The zero value is the platform's default.
type Role byte

const (
	Standard      Role = iota // default
	Operations                // administration; publishes no events
	Backend                   // Backend Trusted: unattended back ends
	Processor                 // Data Processor
	Visualization             // reads
	DeviceRole                // Device application: stands in for devices
)

// roles is the platform's matrix. It has no row for status topics: every role may subscribe to them.
var roles = [...]struct {
	name, title string
	may         Permission
}{
	Standard: {"standard", "Standard application",
		EventSend | EventRecv | CmdSend | CmdRecv | StatusRecv | ViewDevices | ManageDevices | ViewTypes | ManageTypes | ViewLogs | EventCache},
	Operations: {"operations", "Operations application",
		EventRecv | CmdSend | StatusRecv | ViewDevices | ManageDevices | ViewTypes | ManageTypes | ViewLogs | EventCache},
	Backend: {"backend", "Backend Trusted application",
		EventSend | EventRecv | CmdSend | CmdRecv | StatusRecv | ViewDevices | ManageDevices | ViewTypes | ManageTypes | ViewLogs | EventCache},
	Processor:     {"processor", "Data Processor application", EventRecv | CmdSend | StatusRecv | ViewDevices | ViewTypes | EventCache},
	Visualization: {"visualization", "Visualization application", EventRecv | StatusRecv | ViewDevices | EventCache},
	DeviceRole:    {"device", "Device application", EventSend | EventRecv | CmdRecv | StatusRecv | EventCache},
}

// May says whether r includes all of p.
func (r Role) May(p Permission) bool { return int(r) < len(roles) && roles[r].may&p == p }

// String is the name in a configuration: "standard".
func (r Role) String() string {
	if int(r) < len(roles) {
		return roles[r].name
	}
	return "unknown"
}

// ParseRole reads the name in a configuration.
func ParseRole(s string) (Role, error) {
	for r := range roles {
		if roles[r].name == s {
			return Role(r), nil
		}
	}
	return 0, fmt.Errorf("%q is no role: one of %s", clip(s), strings.Join(RoleNames(), ", "))
}

// RoleNames are the names of all roles, the default first.
func RoleNames() []string {
	names := make([]string, len(roles))
	for i := range roles {
		names[i] = roles[i].name
	}
	return names
}

// RolesThat are the platform's titles of the roles that include p, for error texts.
func RolesThat(p Permission) []string {
	var titles []string
	for r := range roles {
		if Role(r).May(p) {
			titles = append(titles, roles[r].title)
		}
	}
	return slices.Clip(titles)
}

package wiotp

import (
	"fmt"
	"strings"
)

// A Class is the first letter of a client id. Case matters: A shares what it subscribes to, a never does.
type Class byte

const (
	Application         Class = 'a'
	ScalableApplication Class = 'A'
	Device              Class = 'd'
	Gateway             Class = 'g'
)

// IsApplication says whether c logs in with an API key and sees the whole organisation.
func (c Class) IsApplication() bool { return c == Application || c == ScalableApplication }

func (c Class) String() string {
	switch c {
	case Application:
		return "application"
	case ScalableApplication:
		return "scalable application"
	case Device:
		return "device"
	case Gateway:
		return "gateway"
	}
	return "unknown class"
}

// MaxSubscriptions is how many subscriptions one connection may have; one more ends it with 154. The platform's
// documents name devices and applications; a gateway subscribes for many devices.
func (c Class) MaxSubscriptions() int {
	if c == Device {
		return MaxDeviceSubscriptions
	}
	return MaxSubscriptions
}

// MaxUnacked is how many messages the platform sends to a connection ahead of the acknowledgements.
func (c Class) MaxUnacked() int {
	switch c {
	case Device:
		return 10
	case Gateway:
		return 1000
	}
	return MaxInflight
}

// A ClientID names one connection: a:ORG:APP, A:ORG:APP, A:ORG:APP:INSTANCE, d:ORG:TYPE:ID or g:ORG:TYPE:ID.
type ClientID struct {
	Class         Class
	Org           string
	App, Instance string // applications; the instance only with ScalableApplication, may be empty there
	Type, ID      string // devices and gateways
}

// ParseClientID takes a client id apart. A *Refusal carries the answer to the login: 2 for characters that no client
// id may have, 5 for a form that is none of the five.
func ParseClientID(s string) (ClientID, error) {
	if !validText(s) || strings.ContainsAny(s, "/+#") {
		return ClientID{}, badClientID(ConnackClientID, "the client id has characters that are not allowed")
	}
	if len(s) > MaxClientID {
		return ClientID{}, badClientID(ConnackUnauthorized, "the client id has %d bytes, at most %d are allowed", len(s), MaxClientID)
	}
	class, rest, ok := strings.Cut(s, ":")
	if !ok {
		return ClientID{}, badClientID(ConnackUnauthorized, "the client id must have the form a:ORG:APP, A:ORG:APP, d:ORG:TYPE:ID or g:ORG:TYPE:ID")
	}
	var id ClientID
	id.Org, rest, _ = strings.Cut(rest, ":")
	switch class {
	case "a":
		id.Class, id.App = Application, rest
	case "A":
		id.Class = ScalableApplication
		var four bool
		if id.App, id.Instance, four = strings.Cut(rest, ":"); four && id.Instance == "" {
			return ClientID{}, badClientID(ConnackUnauthorized, "the instance is empty; A:ORG:APP has no third colon")
		}
	case "d", "g":
		id.Class = Class(class[0])
		id.Type, id.ID, _ = strings.Cut(rest, ":")
	default:
		return ClientID{}, badClientID(ConnackUnauthorized, "%q is no class of clients; applications start with a: or A:, devices with d:, gateways with g:", clip(class))
	}
	if err := id.Validate(); err != nil {
		return ClientID{}, err
	}
	return id, nil
}

// Validate says whether the platform takes id.
func (id ClientID) Validate() error {
	if err := checkOrg(id.Org); err != nil {
		return badClientID(ConnackUnauthorized, "%v", err)
	}
	type part struct{ what, s string }
	var must, mustNot []part
	switch id.Class {
	case Application, ScalableApplication:
		must, mustNot = []part{{"the application in the client id", id.App}}, []part{{"device type", id.Type}, {"device id", id.ID}}
		if id.Instance != "" && id.Class == Application {
			return badClientID(ConnackUnauthorized, "only A:ORG:APP:INSTANCE has an instance")
		}
		if id.Instance != "" {
			must = append(must, part{"the instance in the client id", id.Instance})
		}
	case Device, Gateway:
		must = []part{{"the device type in the client id", id.Type}, {"the device id in the client id", id.ID}}
		mustNot = []part{{"application", id.App}, {"instance", id.Instance}}
	default:
		return badClientID(ConnackUnauthorized, "%q is no class of clients", rune(id.Class))
	}
	for _, p := range must {
		if err := CheckSegment(p.what, p.s); err != nil {
			return badClientID(ConnackUnauthorized, "%v", err)
		}
	}
	for _, p := range mustNot {
		if p.s != "" {
			return badClientID(ConnackUnauthorized, "the client id of a %s has no %s", id.Class, p.what)
		}
	}
	if id.Org == Quickstart && (id.Class == ScalableApplication || id.Class == Gateway) {
		return &Refusal{Rule: "quickstart", Code: BadClientID, Connack: ConnackUnauthorized,
			Why: fmt.Sprintf("a %s cannot connect to %s, only a: and d: can", id.Class, Quickstart)}
	}
	return nil
}

func (id ClientID) String() string {
	s := string(rune(id.Class)) + ":" + id.Org + ":"
	if !id.Class.IsApplication() {
		return s + id.Type + ":" + id.ID
	}
	if s += id.App; id.Instance != "" {
		s += ":" + id.Instance
	}
	return s
}

// maxOrg leaves room for the rest of the longest client id. The hosted service has 6 characters; elsewhere the
// organisation is the name of a workspace, of any length.
const maxOrg = MaxClientID - len("A:::") - 2*MaxSegment

// checkOrg takes the alphabet of every other part.
func checkOrg(s string) error {
	if s == "" {
		return fmt.Errorf("the organisation is empty")
	}
	if len(s) > maxOrg {
		return fmt.Errorf("the organisation has %d characters, at most %d are allowed", len(s), maxOrg)
	}
	for i := range len(s) {
		if !segmentByte[s[i]] {
			return fmt.Errorf("the organisation %q contains %q, not one of A-Z a-z 0-9 . _ -", s, s[i:i+1])
		}
	}
	return nil
}

func badClientID(connack byte, format string, args ...any) error {
	return &Refusal{Rule: "client_id", Code: BadClientID, Connack: connack, Why: fmt.Sprintf(format, args...)}
}

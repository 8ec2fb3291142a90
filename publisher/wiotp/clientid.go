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
)

// A ClientID names one connection of an application: a:org:app, A:org:app or A:org:app:instance.
type ClientID struct {
	Class    Class
	Org, App string
	Instance string // only with ScalableApplication, may be empty there
}

// ParseClientID takes the client id of an application apart. A *Refusal carries the answer to the login: 2 for
// characters that no client id may have, 5 for a form that is none of the three.
func ParseClientID(s string) (ClientID, error) {
	if !validText(s) || strings.ContainsAny(s, "/+#") {
		return ClientID{}, badClientID(ConnackClientID, "the client id has characters that are not allowed")
	}
	if len(s) > MaxClientID {
		return ClientID{}, badClientID(ConnackUnauthorized, "the client id has %d bytes, at most %d are allowed", len(s), MaxClientID)
	}
	class, rest, ok := strings.Cut(s, ":")
	if !ok {
		return ClientID{}, badClientID(ConnackUnauthorized, "the client id must have the form a:ORG:APP")
	}
	var id ClientID
	switch class {
	case "a", "A":
		id.Class = Class(class[0])
	case "d", "g":
		return ClientID{}, badClientID(ConnackUnauthorized, "logins of devices and gateways are not supported yet")
	default:
		return ClientID{}, badClientID(ConnackUnauthorized, "%q is no class of clients; applications start with a: or A:", clip(class))
	}
	id.Org, id.App, _ = strings.Cut(rest, ":")
	if id.Class == ScalableApplication {
		var four bool
		if id.App, id.Instance, four = strings.Cut(id.App, ":"); four && id.Instance == "" {
			return ClientID{}, badClientID(ConnackUnauthorized, "the instance is empty; A:ORG:APP has no third colon")
		}
	}
	if err := id.Validate(); err != nil {
		return ClientID{}, err
	}
	return id, nil
}

// Validate says whether the platform takes id.
func (id ClientID) Validate() error {
	if id.Class != Application && id.Class != ScalableApplication {
		return badClientID(ConnackUnauthorized, "%q is no class of applications", rune(id.Class))
	}
	if err := checkOrg(id.Org); err != nil {
		return badClientID(ConnackUnauthorized, "%v", err)
	}
	if err := CheckSegment("the application in the client id", id.App); err != nil {
		return badClientID(ConnackUnauthorized, "%v", err)
	}
	if id.Instance == "" {
		return nil
	}
	if id.Class == Application {
		return badClientID(ConnackUnauthorized, "only A:ORG:APP:INSTANCE has an instance")
	}
	if err := CheckSegment("the instance in the client id", id.Instance); err != nil {
		return badClientID(ConnackUnauthorized, "%v", err)
	}
	return nil
}

func (id ClientID) String() string {
	s := string(rune(id.Class)) + ":" + id.Org + ":" + id.App
	if id.Instance != "" {
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

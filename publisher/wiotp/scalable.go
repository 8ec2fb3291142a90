package wiotp

import (
	"fmt"
	"time"
)

// CleanSession is which clean session value A:ORG:APP needs: the seed document says false, the real server true. With
// an instance both are free.
type CleanSession byte

const (
	CleanDocument CleanSession = iota // "document": must be false
	CleanServer                       // "server": must be true
	CleanAny                          // "any"
)

func (c CleanSession) String() string {
	switch c {
	case CleanServer:
		return "server"
	case CleanAny:
		return "any"
	}
	return "document"
}

// Check says whether id may log in with this clean session value.
func (c CleanSession) Check(id ClientID, clean bool) error {
	if id.Class != ScalableApplication || id.Instance != "" || c == CleanAny || clean == (c == CleanServer) {
		return nil
	}
	return &Refusal{Rule: "scalable_clean_session", Code: BadClientID, Connack: ConnackUnauthorized,
		Why: fmt.Sprintf("A:ORG:APP needs clean session %v here, %v was sent (rules.scalable_clean_session = %q)", !clean, clean, c.String())}
}

// A Share names the clients that share what they subscribe to. Members with and without an instance are two shares.
type Share struct {
	Org, App string
	Durable  bool // A:ORG:APP:INSTANCE
}

// Share returns the share that id belongs to; ok is false for a client that shares nothing.
func (id ClientID) Share() (s Share, ok bool) {
	if id.Class != ScalableApplication {
		return Share{}, false
	}
	return Share{id.Org, id.App, id.Instance != ""}, true
}

// KeepsState says whether a session of id outlasts its connection. One that shares without an instance never does.
func (id ClientID) KeepsState(clean bool) bool {
	return !clean && id.Org != Quickstart && (id.Class != ScalableApplication || id.Instance != "")
}

// maxSharedKeepalive is how long a scalable application may be silent.
const maxSharedKeepalive = time.Hour

// Keepalive is the keepalive that holds for a client that asked for one; 0 is none.
func (id ClientID) Keepalive(asked time.Duration) time.Duration {
	if id.Class == ScalableApplication && (asked <= 0 || asked > maxSharedKeepalive) {
		return maxSharedKeepalive
	}
	return asked
}

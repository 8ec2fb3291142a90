package localplatform

import (
	"log/slog"

	"legacybridge/publisher/wiotp"
)

// Config is the embedded platform.
type Config struct {
	Listen       string // host:port
	Org          string
	Store        string          // folder; "memory" keeps nothing
	MaxPayload   int             // bytes; 0 = wiotp.MaxPayload
	Users        map[string]User // by API key; nil: the key of the store, made at first start
	Unregistered Unregistered
	Devices      []Device // registered at start
	Log          *slog.Logger
}

// A User is an API key's token.
type User struct {
	Token wiotp.Token
}

// A Device is a registered device.
type Device struct {
	Type, ID string
}

// Unregistered says what becomes of events for devices that are not registered.
type Unregistered byte

const (
	RejectUnregistered Unregistered = iota // not delivered, connection closed
	AcceptUnregistered                     // delivered, counted, logged once per device
)

package localplatform

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"legacybridge/publisher/wiotp"
)

// Config is the embedded platform.
type Config struct {
	Listen               string      // host:port
	TLS                  *tls.Config // nil: without encryption
	Org                  string
	Store                string          // folder; "memory" keeps nothing
	MaxPayload           int             // bytes; 0 = wiotp.MaxPayload
	Users                map[string]User // by API key; nil: the key of the store, made at first start
	Unregistered         Unregistered
	Buffer               int  // messages kept for one subscription; 0 = wiotp.MaxBuffer
	Throttle             int  // units of wiotp.ThrottleUnit per second and connection; 0 = no limit
	Quickstart           bool // serve the organisation without keys, a world of its own
	QuickstartWildcards  wiotp.Wildcards
	ScalableCleanSession wiotp.CleanSession
	Devices              []Device // registered at start
	Log                  *slog.Logger
	LoginWait            time.Duration // for a login, or the header of an HTTP request; 0 = 10 s
}

// A User is what belongs to an API key.
type User struct {
	Token wiotp.Token
	Role  wiotp.Role
	Group wiotp.Group // the devices that it may act for; nil: all
}

// A Device is a registered device.
type Device struct {
	Type, ID string
}

func (d Device) String() string { return d.Type + "/" + d.ID }

// Unregistered says what becomes of events for devices that are not registered.
type Unregistered byte

const (
	RejectUnregistered Unregistered = iota // not delivered, connection closed
	AcceptUnregistered                     // delivered, counted, logged once per device
)

// check finds what would make every login or every event fail.
func (cfg *Config) check() error {
	if cfg.Org == wiotp.Quickstart {
		return errors.New("the organisation quickstart is served beside another one: set that, and rules.quickstart")
	}
	if err := (wiotp.ClientID{Class: wiotp.Application, Org: cfg.Org, App: "x"}).Validate(); err != nil {
		return fmt.Errorf("org: %w", err)
	}
	if cfg.Listen == "" {
		return errors.New("no address to listen on: give host:port")
	}
	if cfg.Store == "" {
		return errors.New(`no store: give a folder, or "memory" to keep nothing`)
	}
	if cfg.MaxPayload < 0 || cfg.MaxPayload > maxMaxPayload {
		return fmt.Errorf("max_payload is %d bytes, 1 to %d are possible", cfg.MaxPayload, maxMaxPayload)
	}
	if cfg.Buffer < 0 || cfg.Throttle < 0 {
		return errors.New("rules.buffer and rules.throttle cannot be below 0")
	}
	for key, u := range cfg.Users {
		if err := wiotp.CheckAPIKey(key, cfg.Org); err != nil {
			return fmt.Errorf("user %q: %w", key, err)
		}
		if err := wiotp.CheckToken(u.Token); err != nil {
			return fmt.Errorf("user %q: %w", key, err)
		}
	}
	for _, d := range cfg.Devices {
		if err := (wiotp.Topic{Type: d.Type, ID: d.ID, Name: "x", Format: "x"}).Validate(); err != nil {
			return fmt.Errorf("device %s: %w", d, err)
		}
	}
	return nil
}

// maxMaxPayload is what MQTT's length field leaves beside the longest topic.
const maxMaxPayload = 256<<20 - 1<<17

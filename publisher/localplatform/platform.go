// Package localplatform is the embedded platform: a broker of MQTT 3.1 and 3.1.1 that keeps the platform's rules, and its
// device registry.
//
//	listener.go  accepts, waits for the login with a deadline, bounds the number of connections
//	handshake.go TLS, and clients that speak it where it is not spoken
//	slowdown.go  makes guessing slow
//	login.go     who may in: protocol, client id, credentials, will; answers refused logins itself
//	conn.go      a socket whose writer is a goroutine of its own
//	packet.go    reads packets, with bounds on size and time
//	client.go    what a logged-in client sends; a violation closes the connection without an answer
//	rules.go     what a client may publish
//	gateway.go   gateways are told instead
//	throttle.go  back-pressure by units per second
//	hub.go       passes messages on, in order
//	index.go     which subscriptions a topic reaches
//	session.go   one per client id: the newcomer wins (288); durable ones outlast connection and process
//	share.go     scalable applications: each message to one member
//	memory.go    bounds in bytes, and who gives way
//	message.go   messages, and what is on its way
//	status.go    the platform's own messages about who is connected
//	acker.go     acknowledges what is durable
//	stats.go     who shares what, in numbers
//	keep.go      what sessions write to the journal; replay.go reads it
//	http.go      HTTP clients on the same listener: the registry's REST interface, and messages one by one (rest*.go)
//	users.go     the API keys, their roles and devices
//	registry.go  the registered devices
//	store.go     the folder: one process at a time, the key that the first start makes, and what is kept
//	journal.go   the log on disk behind it
//	refusals.go  one log line per refusal, repeats summed up
//
// It is its own server because the platform's promises are those of sessions. The library, of which this package is the
// only importer, acknowledges before it passes on, drops QoS 1 for slow subscribers, gives shared messages to members
// that are away, and cannot refuse as the platform does. Topics have few and fixed forms, so little is saved by its
// routing; it takes packets apart.
//
// What holds: a message reaches every subscriber whose filter matches, in the order of its publisher, never with RETAIN.
// A PUBACK or PUBREC means that it is on disk for every durable subscription that gets it with QoS 1 or 2. For a
// subscriber that is away or slow, so many messages wait (rules.buffer, and bounds in bytes); the oldest give way, each
// loss counted and logged. Publishers wait for a subscriber of QoS 1 or 2 that reads and falls behind, but for one that is
// stuck only a moment (throttle.go). A client that takes neither messages nor answers holds up itself, then is hung up on
// (178).
//
// Where the platform's documents are silent: an API key with devices of its own receives only what is about those. Two
// overlapping filters of one client deliver once, with the higher QoS, but shared ones are separate. What a member of a
// group has not acknowledged when it leaves goes to the others at once, those of QoS 2 too as long as PUBREC has not
// come; with none connected it waits for the next, if the group has a durable member. Members are told the known status
// when their group begins. A retained status is cleared without a message. The status of an application that is
// connected several times lasts as long as one of them. Quickstart closes with 291 what is published with QoS 1 or 2.
// Device management (iotdevice-1/…) is accepted and goes nowhere.
//
// Strangers: a connection has ten seconds to log in, and 256 may wait for that; beyond, one of the address with most of
// them makes room, so that a crowd pushes out itself. They have no line each, only counts per address. After ten wrong
// logins within a minute an address is served slowly, good logins too; others are not. Quickstart is for clients on the
// same machine, a hundred at a time, with memory of its own. What all messages together may take is taken from whoever
// has most. A kept session gives up what the API key of its client's new login may not receive.
package localplatform

import (
	"cmp"
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
	org          string
	cleanSession wiotp.CleanSession
	wildcards    wiotp.Wildcards
	maxPayload   int
	reject       bool
	quickstart   bool
	throttle     int
	loginWait    time.Duration
	apiKey       string
	token        wiotp.Token
	users        users
	store        io.Closer
	listener     net.Listener
	journal      *journal
	hub          *hub
	acker        *acker
	registry     *registry
	connections  connectionLog
	web          *web
	refusals     *refusals
	slow         *slowdown
	log          *slog.Logger

	events, commands, logins, refused, dropped, silent atomic.Uint64

	mu        sync.Mutex
	open      map[*conn]struct{} // every connection
	waiting   []*conn            // those that have not logged in, oldest first
	stopping  bool
	lingering int           // see finish
	left      chan struct{} // has room for one; told of each connection that ends
	large     chan struct{} // has a place for each large login that is read
	serving   sync.WaitGroup
}

// Open takes the store, makes a key at first start, and listens. Run serves, and must be called: it gives back what
// Open took, at once if its context is done already.
func Open(cfg Config) (*Platform, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Platform{
		org:          cfg.Org,
		maxPayload:   cfg.MaxPayload,
		reject:       cfg.Unregistered == RejectUnregistered,
		quickstart:   cfg.Quickstart,
		throttle:     cfg.Throttle,
		cleanSession: cfg.ScalableCleanSession,
		wildcards:    cfg.QuickstartWildcards,
		acker:        newAcker(),
		loginWait:    cmp.Or(cfg.LoginWait, loginWait),
		log:          cfg.Log,
		open:         map[*conn]struct{}{},
		left:         make(chan struct{}, 1),
		large:        make(chan struct{}, maxLarge),
		slow:         newSlowdown(),
	}
	if p.maxPayload == 0 {
		p.maxPayload = wiotp.MaxPayload
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.refusals = newRefusals(p.log)
	buffer := cfg.Buffer
	if buffer == 0 {
		buffer = wiotp.MaxBuffer
	}
	p.hub = newHub(p.log, buffer, p.lost)

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
	p.web = newWeb(p)
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
	ctx, end := context.WithCancel(ctx)
	defer end()
	p.serving.Go(func() { p.tend(ctx, end) })
	p.serving.Go(p.web.run)
	stop := context.AfterFunc(ctx, func() { p.listener.Close() })
	defer stop()
	var reports sync.WaitGroup
	quiet, hush := context.WithCancel(context.WithoutCancel(ctx)) // the last refusals come while connections end
	reports.Go(func() { p.refusals.run(quiet) })
	reports.Go(func() { p.acker.run(quiet) })

	p.log.Info("platform listens", "addr", p.Addr().String(), "org", p.org)
	err := p.accept(ctx)
	if ctx.Err() == nil {
		err = errors.Join(err, p.listener.Close())
	}
	end()

	p.web.stop()
	p.closeAll()
	p.serving.Wait()
	hush()
	reports.Wait()
	return errors.Join(err, p.closeStore())
}

// Stats is what the platform has seen since Open.
type Stats struct {
	Connections  int               // logged in now
	Logins       uint64            // accepted
	Kept         int               // sessions that wait for their client
	Waiting      int               // messages that wait for a subscriber, or for its acknowledgement
	Events       uint64            // received and passed on; a repeated QoS 1 event counts again
	Commands     uint64            // likewise
	Sent         uint64            // messages to subscribers; one that is sent again counts again
	Members      []Member          // of scalable applications, in the order of their names
	MoreMembers  int               // those beyond the first thousand
	Refused      uint64            // logins and connections turned down
	Silent       uint64            // connections that ended before they logged in
	Dropped      uint64            // messages that a subscriber lost because it was too slow or away too long
	Unregistered map[Device]uint64 // events for devices that are not registered, refused ones too
	Others       uint64            // the same for devices beyond the first thousand
}

// Stats may be called at any time.
func (p *Platform) Stats() Stats {
	s := Stats{
		Commands: p.commands.Load(),
		Logins:   p.logins.Load(),
		Events:   p.events.Load(),
		Refused:  p.refused.Load(),
		Silent:   p.silent.Load(),
		Dropped:  p.dropped.Load(),
	}
	p.hub.measure(&s)
	s.Unregistered, s.Others = p.registry.strange.counts()
	return s
}

// lost counts messages that a subscriber does not get.
func (p *Platform) lost(w who, n int) {
	p.dropped.Add(uint64(n))
	p.refusals.lost(w, n)
}

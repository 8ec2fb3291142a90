// Package publisher delivers: the gate before the queue (topic, size, too_large) and the draining of it, one MQTT
// session at a time. session.go is the only importer of paho.
//
// An event leaves the queue only by its acknowledgement, or as a dead letter with the reason. What a connection did not
// get acknowledged is read from the queue again and sent again, in order, with the same id: at least once, and the
// first deliveries of a device in their order. Events with a batch are in order among themselves; others overtake them.
// An event with QoS 0 counts as delivered when the connection has taken it. One that is to be a dead letter, for which the
// disk has no room, stays in the queue and holds up no other.
//
// Commands for our devices come in a session of their own (Downlink), and go the reverse way: at most once.
//
// Run is one goroutine; paho and the wire have theirs for each connection, which have ended when Run returns.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"legacybridge/publisher/queue"
)

// A Publisher drains a queue.
type Publisher struct {
	cfg     Config
	queue   *queue.Queue
	stream  string
	servers []server
	topic   template
	dial    dialer
	t       timing

	finish   chan struct{}
	finished sync.Once

	// The rest is Run's.
	reporter
	retry   retry
	breaker breaker
	rivals  rivals
	inquiry inquiry
	putOff  putOff
	next    int // server to begin with
	vain    int // connections after Finish that came to nothing
	topics  map[topicKey]string
}

// New checks cfg.
func New(cfg Config, q *queue.Queue) (*Publisher, error) {
	cfg, err := cfg.defaults()
	if err != nil {
		return nil, err
	}
	servers, err := parseServers(cfg.Servers)
	if err != nil {
		return nil, err
	}
	topic, err := parseTemplate(cfg.Topic)
	if err != nil {
		return nil, err
	}
	p := &Publisher{cfg: cfg, queue: q, servers: servers, topic: topic, dial: dialTCP,
		finish: make(chan struct{}), topics: map[topicKey]string{}}
	p.breaker.unregistered = cfg.Unregistered
	p.setTiming(realTiming)
	return p, nil
}

func (p *Publisher) setTiming(t timing) {
	p.t, p.breaker.t, p.rivals.t = t, t, t
	p.retry = retry{Backoff: p.cfg.Backoff}
	p.reporter = reporter{log: p.cfg.Log, report: p.cfg.Report, t: t}
}

// Run delivers until ctx is done, or until the queue is empty after Finish. It returns nil in both cases, the
// queue's error when that failed, and after Finish an ErrUnreachable when the platform cannot be reached or refuses
// what is left.
func (p *Publisher) Run(ctx context.Context) error {
	p.stream = p.queue.Stream()
	p.inquiry = inquiry{cfg: p.cfg, dial: p.dial}
	defer p.inquiry.close()
	for ctx.Err() == nil {
		select {
		case <-p.queue.Failed():
			return p.queue.Err()
		default:
		}
		finishing := p.finishing()
		if finishing {
			if empty, err := p.empty(); err != nil || empty {
				return err
			}
		}
		s, i, failure := p.login(ctx)
		var wait time.Duration
		switch {
		case ctx.Err() != nil && s == nil:
		case s == nil && finishing:
			return fmt.Errorf("%w: %w", ErrUnreachable, failure)
		case s == nil:
			wait = p.retry.next()
			p.disconnected(failure.Code, failure.Error())
		default:
			end, suspect, err := p.deliver(ctx, s)
			if n := len(p.putOff.letters); n > 0 && err == nil && end == nil && ctx.Err() == nil {
				err = fmt.Errorf("%w: it refuses %d events, and the disk has no room for dead letters", ErrUnreachable, n)
			}
			if err != nil || end == nil {
				p.disconnected("", "")
				return err
			}
			if wait, err = p.judge(ctx, end, suspect, i); err != nil {
				return err
			}
		}
		p.pause(ctx, wait)
	}
	return nil
}

// Finish makes Run send at once what waits for a batch, and return when everything in the queue is acknowledged.
func (p *Publisher) Finish() { p.finished.Do(func() { close(p.finish) }) }

func (p *Publisher) finishing() bool {
	select {
	case <-p.finish:
		return true
	default:
		return false
	}
}

// empty says whether everything in the queue is acknowledged.
func (p *Publisher) empty() (bool, error) {
	r := p.queue.NewReader()
	defer func() { _ = r.Close() }() // it only reads
	_, ok, err := r.Next()
	return !ok, err
}

// login tries each server once and returns the session with the number of its server, or why the last one failed.
func (p *Publisher) login(ctx context.Context) (*session, int, *Failure) {
	var failure *Failure
	for n := range p.servers {
		i := (p.next + n) % len(p.servers)
		s, err := open(ctx, p.cfg, p.servers[i], p.dial, 0, nil)
		if err == nil {
			p.inquiry.begins(ctx, time.Now())
			p.connected(s)
			p.say(slog.LevelInfo, "", p.servers[i].addr, "connected to the platform", "server", p.servers[i].addr, "client", p.cfg.ClientID, "build", p.cfg.Build)
			return s, i, nil
		}
		if ctx.Err() != nil {
			break
		}
		failure = asFailure(err, p.servers[i])
		p.say(slog.LevelWarn, failure.Code, failure.Server+failure.Why, "not connected to the platform, will retry", "err", failure.Error())
	}
	return nil, 0, failure
}

func asFailure(err error, srv server) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return &Failure{Code: codeUnreachable, Server: srv.addr, Why: "no connection", Err: err}
}

// judge decides what a drop means and returns how long to wait before the next attempt.
func (p *Publisher) judge(ctx context.Context, end *drop, suspect *queue.Entry, srv int) (time.Duration, error) {
	now, addr := time.Now(), p.servers[srv].addr
	p.next = (srv + 1) % len(p.servers)
	if end.acked {
		p.next, p.vain = 0, 0
	}
	if end.stood > p.cfg.Backoff.Max { // with QoS 0 nothing else can reset it
		p.retry.reset()
	}
	p.state.Reconnects++
	reused := p.inquire(ctx, end, addr)
	blamed, guilty := p.breaker.dropped(now, *end)
	if guilty {
		because := "topic, size, or the right to publish it"
		if end.code != 0 {
			because = "it says " + end.code.String()
		}
		if err := p.setAside(ctx, *suspect, codeRefused, "the server hangs up right after this event, also when it is sent alone: "+because); err != nil {
			return 0, err
		}
	}

	wait := p.retry.next()
	code, why := endOf(end, addr)
	rival := p.rivals.dropped(now, *end, blamed)
	if reused {
		rival = p.rivals.hold.next(p.t)
	}
	held := true
	switch {
	case p.breaker.allRefused():
		wait, code, why = p.breaker.hold.next(p.t), codeAllRefused, addr+": everything we send is refused: role, topic or organisation"
	case rival > 0:
		wait, code, why = rival, codeRival, addr+": another client uses this id ("+p.cfg.ClientID+"): each login ends the other's session"
	default:
		held = false
		if blamed {
			wait = min(wait, p.t.breakerWait)
		}
		if !end.acked && (!end.byPeer || !end.inFlight) {
			p.vain++
		}
	}
	p.disconnected(code, why)
	if p.finishing() && (held || p.vain >= len(p.servers)) {
		return 0, fmt.Errorf("%w: %s", ErrUnreachable, why)
	}
	const away = "staying away from the platform"
	if held { // for hours, perhaps: said once, with a reminder now and then
		p.remind(p.t.remind, slog.LevelError, code, addr, away, "err", why, "dur", wait)
		return wait, nil
	}
	p.forget(codeRival, addr, away)
	p.forget(codeAllRefused, addr, away)
	p.say(slog.LevelWarn, code, why, "connection to the platform ended, will retry", "err", why, "dur", wait)
	return wait, nil
}

// pause waits before the next attempt; Finish cuts it short.
func (p *Publisher) pause(ctx context.Context, d time.Duration) {
	finish := p.finish
	if p.finishing() {
		finish = nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-finish:
	case <-p.queue.Failed():
	case <-ctx.Done():
	}
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"legacybridge/publisher/wiotp"
)

// watchBuffer is how many messages wait for a handler that is slow, such as a terminal.
const watchBuffer = 256

// Watch subscribes to filters and hands every message to handle, in the order in which they came, one call at a time.
// cfg.ClientID must be its own. It reconnects with back-off and subscribes anew; what is published meanwhile it does not
// see. It returns nil when ctx is done, an ErrUnreachable when no server lets it in at the first round, and a *Failure
// when the server refuses a filter. While handle blocks, nothing more is read from the server. In a kept session, which is
// subscribed with QoS 1 at most, a message is acknowledged once handle has returned: what was not handled comes again.
func Watch(ctx context.Context, cfg Config, filters []string, handle func(Message)) error {
	if cfg.KeepSession {
		cfg.ackLate = true
		each := handle
		handle = func(m Message) {
			if ctx.Err() == nil {
				each(m)
				m.ack()
			}
		}
	}
	w, err := newWatcher(cfg, filters, handle)
	if err != nil {
		return err
	}
	if w.reasons = newReasons(w.cfg); w.reasons != nil {
		ctx, stop := context.WithCancel(ctx)
		var listening sync.WaitGroup
		listening.Go(func() { w.reasons.listen(ctx) })
		defer func() { stop(); listening.Wait() }()
	}
	return w.run(ctx)
}

// watcher is a session that subscribes, again and again.
type watcher struct {
	reporter
	cfg     Config
	servers []server
	dial    dialer
	filters []string
	handle  func(Message)
	reasons *reasons
	doing   string // for the log
}

func newWatcher(cfg Config, filters []string, handle func(Message)) (*watcher, error) {
	cfg, err := cfg.defaults()
	if err != nil {
		return nil, err
	}
	servers, err := parseServers(cfg.Servers)
	if err != nil {
		return nil, err
	}
	if len(filters) == 0 {
		return nil, errors.New("no filter to subscribe to")
	}
	return &watcher{reporter: reporter{log: cfg.Log, report: cfg.Report, t: realTiming}, cfg: cfg, servers: servers,
		dial: dialTCP, filters: filters, handle: handle, doing: "watching the platform"}, nil
}

func (w *watcher) run(ctx context.Context) error {
	wait := retry{Backoff: w.cfg.Backoff}
	for first := true; ctx.Err() == nil; first = false {
		var failure *Failure
		for _, srv := range w.servers {
			began := time.Now()
			subscribed, err := w.session(ctx, srv)
			if ctx.Err() != nil {
				return nil
			}
			failure = asFailure(err, srv)
			w.disconnected(failure.Code, failure.Error())
			if failure.Code == codeFilter {
				return failure
			}
			if !subscribed {
				continue
			}
			first = false
			if time.Since(began) > w.cfg.Backoff.Max { // nothing is acknowledged here that could reset it
				wait.reset()
			}
			break // begin with the first server again
		}
		if first {
			return fmt.Errorf("%w: %w", ErrUnreachable, failure)
		}
		pause := wait.next()
		w.say(slog.LevelWarn, failure.Code, failure.Server+failure.Why, "not connected to the platform, will retry", "err", failure.Error(), "dur", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// session watches over one connection until it ends, and returns whether it came to that and why it ended.
func (w *watcher) session(ctx context.Context, srv server) (subscribed bool, err error) {
	messages, end := make(chan Message, watchBuffer), make(chan struct{})
	stop := sync.OnceFunc(func() { close(end) })
	defer stop()
	w.reasons.await(ctx)
	w.reasons.forget()
	s, err := open(ctx, w.cfg, srv, w.dial, len(w.filters), func(m Message) {
		select {
		case messages <- m:
		case <-end:
		}
	})
	if err != nil {
		return false, err
	}
	answered := make(chan error, 1)
	go func() { answered <- s.subscribe(ctx, w.filters) }()
	err, waiting := error(nil), true
	for waiting { // what was kept for us comes before the answer, and paho waits for us to take it
		select {
		case m := <-messages:
			w.handle(m)
		case err = <-answered:
			waiting = false
		}
	}
	if err != nil && ctx.Err() != nil {
		stop()
		s.close() // what was acknowledged is still sent
		return false, ctx.Err()
	}
	if err != nil {
		stop()
		err = s.lost(err)
		if closedByPeer(err) {
			err = w.closed(ctx, srv, wiotp.Subscribed, "at the subscription: filter, or the right to it")
		}
		return false, err
	}
	w.connected(s)
	w.say(slog.LevelInfo, "", srv.addr, w.doing, "server", srv.addr, "client", w.cfg.ClientID)
	for {
		select {
		case m := <-messages:
			w.handle(m)
		case <-s.gone():
			return true, w.ended(ctx, s, srv, messages)
		case <-ctx.Done():
			stop()
			s.close()
			return true, ctx.Err()
		}
	}
}

// ended hands out what came before the connection ended, and says why it did.
func (w *watcher) ended(ctx context.Context, s *session, srv server, messages <-chan Message) error {
	lost := make(chan error, 1)
	go func() { lost <- s.lost(errEnded) }() // it waits for paho, which waits for us to take the messages
	var err error
	for waiting := true; waiting; {
		select {
		case m := <-messages:
			w.handle(m)
		case err = <-lost:
			waiting = false
		}
	}
	for len(messages) > 0 {
		w.handle(<-messages)
	}
	if closedByPeer(err) {
		return w.closed(ctx, srv, wiotp.Idle, "it stopped, or another client uses this id")
	}
	return err
}

func (w *watcher) closed(ctx context.Context, srv server, deed wiotp.Deed, otherwise string) *Failure {
	return w.cfg.closedBecause(ctx, srv, w.reasons, wiotp.Turndown{Deed: deed, Topics: w.filters}, otherwise)
}

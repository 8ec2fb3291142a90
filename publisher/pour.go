package publisher

import (
	"context"
	"fmt"
	"sync"
	"time"

	"legacybridge/publisher/wiotp"
)

// An Outgoing is a message that no queue keeps.
type Outgoing struct {
	Topic   string
	QoS     byte
	Payload []byte
}

// Pour publishes what next returns over one session of its own, with up to cfg.Window messages in flight, until next
// says that there is no more; the context that next gets ends with the session. It is for what somebody waits for, such as a command, or for a load: it keeps nothing, and does not
// connect again. acked is told of each acknowledged message, in order, from another goroutine than next. The error is
// ErrUnreachable with why no server let it in, a *Failure when the session ended early, or ctx's.
func Pour(ctx context.Context, cfg Config, next func(context.Context) (Outgoing, bool), acked func()) error {
	cfg, err := cfg.defaults()
	if err != nil {
		return err
	}
	servers, err := parseServers(cfg.Servers)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	why := newReasons(cfg)
	if why != nil {
		var listening sync.WaitGroup
		listening.Go(func() { why.listen(ctx) })
		defer func() { stop(); listening.Wait() }()
	}
	why.await(ctx)
	why.forget()
	var failure error
	for _, srv := range servers {
		s, err := open(ctx, cfg, srv, dialTCP, 0, nil)
		if err == nil {
			return (&pouring{cfg: cfg, session: s, reasons: why, next: next, acked: acked}).run(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failure = err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, failure)
}

type pouring struct {
	cfg     Config
	session *session
	reasons *reasons
	next    func(context.Context) (Outgoing, bool)
	acked   func()
	lost    bool
}

type pending struct {
	token token
	Outgoing
}

func (p *pouring) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	inFlight := make(chan pending, p.cfg.Window)
	result := make(chan error, 1)
	go func() { // takes acknowledgements until the first that does not come
		err := p.take(ctx, inFlight)
		stop()
		result <- err
	}()
	err := p.give(ctx, inFlight)
	close(inFlight)
	if first := <-result; first != nil {
		err = first
	}
	switch {
	case err == nil:
		p.session.close()
	case !p.lost:
		_ = p.session.lost(errEnded)
	}
	return err
}

// give publishes as long as there is room.
func (p *pouring) give(ctx context.Context, inFlight chan<- pending) error {
	for {
		out, more := p.next(ctx)
		if !more {
			return nil
		}
		for p.session.wire.full() {
			select {
			case <-p.session.wire.room:
			case <-p.session.gone():
				return nil // whoever waits for acknowledgements knows why
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case inFlight <- pending{p.session.publish(out.Topic, out.QoS, out.Payload), out}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pouring) take(ctx context.Context, inFlight <-chan pending) error {
	patience := time.NewTimer(realTiming.due)
	defer patience.Stop()
	for m := range inFlight {
		patience.Reset(realTiming.due)
		select {
		case <-m.token.Done():
			if m.token.Error() != nil {
				return p.closed(ctx, m)
			}
			p.acked()
		case <-p.session.gone():
			return p.closed(ctx, m)
		case <-patience.C:
			return &Failure{Code: codeSilent, Server: p.session.server.addr, Why: fmt.Sprintf("no acknowledgement within %v", realTiming.due)}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// closed says why the session ended with m as the oldest message that was not acknowledged.
func (p *pouring) closed(ctx context.Context, m pending) error {
	err := p.session.lost(errEnded)
	p.lost = true
	if !closedByPeer(err) {
		return asFailure(err, p.session.server)
	}
	t := wiotp.Turndown{Deed: wiotp.Published, Topics: []string{m.Topic}, Payload: len(m.Payload)}
	return p.cfg.closedBecause(ctx, p.session.server, p.reasons, t, "topic, size, or the right to publish")
}

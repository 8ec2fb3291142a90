package localplatform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"legacybridge/publisher/wiotp"
)

// loginWait is how long a connection may take to log in.
const loginWait = 10 * time.Second

// Bounds on connections. One that waits costs a few KiB, one that has logged in about 100.
const (
	maxSessions = 1000 // logged in; the next login is answered with 3
	maxWaiting  = 256  // not logged in; the one that has waited longest makes room
	maxOpen     = maxSessions + 2*maxWaiting
	maxKept     = 2 * maxSessions // sessions that outlast their connection, and live ones
)

// accept takes connections until the listener is closed. It is an error if ctx was not done then.
func (p *Platform) accept(ctx context.Context) error {
	for {
		nc, err := p.listener.Accept()
		switch {
		case err == nil:
			p.begin(ctx, newConn(nc))
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("platform listener: %w", err)
		default: // mostly no file descriptors left: those that are open will end
			p.refusals.add(who{}, &wiotp.Refusal{Rule: "accept", Code: wiotp.ServerProblem, Why: err.Error()})
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		}
	}
}

const acceptPause = 100 * time.Millisecond

// begin serves c in a goroutine of its own, if there is room.
func (p *Platform) begin(ctx context.Context, c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping || len(p.open) >= maxOpen {
		p.silent.Add(1)
		_ = c.Conn.Close()
		return
	}
	if len(p.waiting) >= maxWaiting {
		p.waiting[0].end(nil)
		p.waiting = slices.Delete(p.waiting, 0, 1)
	}
	p.open[c] = struct{}{}
	p.waiting = append(p.waiting, c)
	_ = c.Conn.SetReadDeadline(time.Now().Add(p.loginWait)) // an error shows at the first read
	p.serving.Go(func() { p.serve(ctx, c) })
}

// serve is the life of one connection.
func (p *Platform) serve(ctx context.Context, c *conn) {
	defer func() {
		p.mu.Lock()
		delete(p.open, c)
		p.mu.Unlock()
	}()
	first, _ := c.r.Peek(1) // an error shows at the next read
	web := len(first) == 1 && isHTTP(first[0])
	var raw []byte
	var err *wiotp.Refusal
	if !web {
		raw, err = readLogin(c.r, p.maxPayload)
	}
	p.mu.Lock()
	if i := slices.Index(p.waiting, c); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if web {
		p.web.serve(c)
	} else if err != nil {
		p.silent.Add(1)
		p.refusals.silent(c.host, err)
	} else if l, err := p.admit(c, raw); err != nil {
		p.refuse(c, err)
	} else {
		p.session(ctx, c, l)
	}
	c.finish(!p.isStopping())
}

// session runs an accepted login until the connection ends.
func (p *Platform) session(ctx context.Context, c *conn, l *login) {
	c.drained = func() { p.hub.refill(c) }
	if err := p.hub.attach(c, l); err != nil {
		p.refuse(c, err)
		return
	}
	c.writing = true
	p.serving.Go(c.write)
	p.logins.Add(1)
	p.logConnection(c, "connected")
	p.log.Debug("client connected", "id", c.id, "addr", c.host)
	cause := p.converse(ctx, c)
	c.repay(repayWait)
	c.end(cause)
	p.closed(c, cause)
}

// repayWait is how long a client that is hung up on waits for the disk to acknowledge what it sent before.
const repayWait = 2 * time.Second

// closed settles why a session ended: by us, with a reason of our own, or as its reader saw it.
func (p *Platform) closed(c *conn, cause *wiotp.Refusal) {
	c.mu.Lock()
	if c.cause != nil {
		cause = c.cause
	}
	c.mu.Unlock()
	if cause.Code == wiotp.ConnectionLost && p.isStopping() {
		cause = &wiotp.Refusal{Code: wiotp.ServerShutdown}
	}
	p.hub.detach(c, cause)
	p.logConnection(c, "disconnected: "+cause.Code.String())
	switch cause.Code {
	case wiotp.ClosedByClient, wiotp.ConnectionLost, wiotp.ServerShutdown:
		p.log.Debug("client disconnected", "id", c.id, "addr", c.host, "code", int(cause.Code))
		return
	case wiotp.KeepaliveTimeout, wiotp.ClientIDReused: // nothing was turned down
	default:
		p.refused.Add(1)
	}
	p.refusals.add(c.who(), cause)
}

func (p *Platform) isStopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopping
}

// closeAll ends every connection; their goroutines are waited for elsewhere.
func (p *Platform) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopping = true
	for c := range p.open {
		c.end(nil)
	}
}

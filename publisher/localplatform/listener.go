package localplatform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"legacybridge/publisher/wiotp"
)

// loginWait is how long a connection may take to log in.
const loginWait = 10 * time.Second

// Bounds on connections. One that waits costs a few KiB, one that has logged in about 100.
const (
	maxSessions = 1000 // logged in; the next login is answered with 3
	maxQuick    = 100  // of maxSessions those of Quickstart, which has no keys
	maxWaiting  = 256  // not logged in; one of the address with most of them makes room
	maxOpen     = maxSessions + 2*maxWaiting
	// maxLingering is how many of those that end may wait for their peer; they must not keep newcomers out.
	maxLingering = 64
	maxKept      = 2 * maxSessions // sessions that outlast their connection, and live ones
)

// accept takes connections until the listener is closed. It is an error if ctx was not done then.
func (p *Platform) accept(ctx context.Context) error {
	for {
		nc, err := p.listener.Accept()
		switch {
		case err == nil:
			p.begin(ctx, newConn(nc))
			p.awaitRoom(ctx)
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

// awaitRoom returns when another connection may be taken. It waits for those that are ending, and for no others: the
// rest are bounded otherwise. Meanwhile newcomers wait in the kernel, instead of being turned down.
func (p *Platform) awaitRoom(ctx context.Context) {
	for {
		p.mu.Lock()
		n := len(p.open)
		p.mu.Unlock()
		if n < maxOpen {
			return
		}
		select {
		case <-p.left:
		case <-ctx.Done():
			return
		}
	}
}

// begin serves c in a goroutine of its own. Of those that have not logged in, one makes room if need be.
func (p *Platform) begin(ctx context.Context, c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		_ = c.Conn.Close()
		return
	}
	if len(p.waiting) >= maxWaiting {
		i := crowded(len(p.waiting), func(i int) netip.Addr { return p.waiting[i].addr })
		p.waiting[i].end(nil)
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.open[c] = struct{}{}
	p.waiting = append(p.waiting, c)
	c.loginBy = time.Now().Add(p.loginWait)
	_ = c.Conn.SetReadDeadline(c.loginBy) // an error shows at the first read
	p.serving.Go(func() { p.serve(ctx, c) })
}

// crowded returns which of n connections makes room: the first of the address that has most, so that a crowd does not
// push out the others.
func crowded(n int, addr func(i int) netip.Addr) (index int) {
	count := make(map[netip.Addr]int, n)
	most := 0
	for i := n - 1; i >= 0; i-- { // the last to reach the highest count is the oldest of its address
		a := addr(i)
		if count[a]++; count[a] >= most {
			most, index = count[a], i
		}
	}
	return index
}

// serve is the life of one connection.
func (p *Platform) serve(ctx context.Context, c *conn) {
	defer p.leave(c)
	l, silent, err := p.receive(ctx, c)
	switch {
	case l == nil && silent == nil && err == nil:
		p.web.serve(c)
	case silent != nil:
		p.silent.Add(1)
		p.refusals.silent(c.host, silent)
		c.finish(false) // it was not told anything
		return
	case err != nil:
		p.refuse(c, err)
	default:
		p.session(ctx, c, l)
	}
	p.finish(c)
}

// receive waits for the login and decides about it. What is silent did not send one; nothing at all is an HTTP client.
func (p *Platform) receive(ctx context.Context, c *conn) (l *login, silent *wiotp.Refusal, err error) {
	defer p.arrived(c)
	if silent = c.handshake(); silent != nil {
		return nil, silent, nil
	}
	if first, _ := c.r.Peek(1); len(first) == 1 && isHTTP(first[0]) { // an error shows at the next read
		return nil, nil, nil
	}
	large := false
	raw, silent := readLogin(c.r, p.maxPayload, func() bool { large = p.takeLarge(c); return large })
	if large {
		defer func() { <-p.large }()
	}
	if silent != nil {
		return nil, silent, nil
	}
	if !p.slow.wait(ctx, c.addr, c.gone) {
		return nil, nil, errHurried
	}
	l, err = p.admit(c, raw)
	return l, nil, err
}

var errHurried = &wiotp.Refusal{Rule: "slowdown", Code: wiotp.AuthDelayed, Connack: wiotp.ConnackUnavailable,
	Why: "too many logins at once from an address with many wrong ones"}

// arrived takes c out of those that wait for their login.
func (p *Platform) arrived(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, c); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
}

func (p *Platform) leave(c *conn) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	select {
	case p.left <- struct{}{}:
	default:
	}
}

// finish closes the socket of c, and takes its time only if few others do.
func (p *Platform) finish(c *conn) {
	p.mu.Lock()
	linger := !p.stopping && p.lingering < maxLingering
	if linger {
		p.lingering++
	}
	p.mu.Unlock()
	c.finish(linger)
	if linger {
		p.mu.Lock()
		p.lingering--
		p.mu.Unlock()
	}
}

// session runs an accepted login until the connection ends.
func (p *Platform) session(ctx context.Context, c *conn, l *login) {
	c.drained = func() { p.hub.refill(c) }
	if err := p.roomForLogin(ctx, c); err != nil {
		p.refuse(c, err)
		return
	}
	if err := p.hub.attach(c, l); err != nil {
		p.refuse(c, err)
		return
	}
	if c.withheld > 0 {
		p.dropped.Add(uint64(c.withheld))
		p.log.Warn("kept messages that the API key of the new login may not receive, dropped", "rule", "role", "id", c.id, "n", c.withheld)
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

package localplatform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
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
			p.begin(newConn(nc))
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
func (p *Platform) begin(c *conn) {
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
	p.serving.Go(func() { p.serve(c) })
}

// serve is the life of one connection.
func (p *Platform) serve(c *conn) {
	defer func() {
		p.mu.Lock()
		delete(p.open, c)
		p.mu.Unlock()
	}()
	raw, err := readLogin(c.Conn, p.maxPayload)
	p.mu.Lock()
	if i := slices.Index(p.waiting, c); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if err != nil {
		p.silent.Add(1)
		p.refusals.silent(c.host, err)
	} else if l, err := p.admit(c, raw); err != nil {
		p.refuse(c, err)
	} else {
		p.session(c, l)
	}
	p.mu.Lock()
	linger := !p.stopping
	p.mu.Unlock()
	c.finish(linger)
}

// establish hands c to the broker until the connection ends. A panic there is a fault of the library that a client's
// bytes provoked: it must cost that client its connection and nobody else anything.
func (p *Platform) establish(c *conn) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p.log.Error("the broker library panicked, connection closed", "id", c.id, "err", r, "stack", string(debug.Stack()))
			err = &wiotp.Refusal{Rule: "broker", Code: wiotp.ServerProblem, Why: fmt.Sprint(r)}
		}
	}()
	return p.broker.EstablishConnection(listenerID, c)
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

package localplatform

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"legacybridge/publisher/wiotp"
)

// session runs an accepted login. A connection with the same client id is ended first and waited for, so that the
// broker never sees two: its own take-over would let the older one remove what the newer one has set up.
func (p *Platform) session(c *conn, l *login) {
	c.login, c.keepalive, c.done = l.raw, l.keepalive, make(chan struct{})
	older, err := p.enter(c)
	if err != nil {
		p.refuse(c, err)
		return
	}
	defer p.leave(c)
	if older != nil {
		older.end(&wiotp.Refusal{Rule: "client_id", Code: wiotp.ClientIDReused,
			Why: "the same client id connected again from " + c.host + "; the newer connection stays"})
		<-older.done
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		p.closed(c, err) // an even newer one came meanwhile, or the platform stops
		return
	}
	c.writing = true
	p.serving.Go(c.write)
	p.logins.Add(1)
	p.log.Debug("client connected", "id", c.id, "addr", c.host)
	p.closed(c, p.establish(c))
}

// enter makes c the connection of its client id, and returns the one that was.
func (p *Platform) enter(c *conn) (older *conn, err error) {
	_, kept := p.broker.Clients.Get(c.id)
	p.mu.Lock()
	defer p.mu.Unlock()
	older = p.sessions[c.id]
	if older == nil && (len(p.sessions) >= maxSessions || !kept && p.broker.Clients.Len() >= maxKept) {
		return nil, &wiotp.Refusal{Rule: "connections", Code: wiotp.TooManyConns, Connack: wiotp.ConnackUnavailable,
			Why: "too many connections or kept sessions"}
	}
	p.sessions[c.id] = c
	return older, nil
}

// leave is the reverse of enter, after the broker has let go of c.
func (p *Platform) leave(c *conn) {
	// The broker does not forget a client that was gone before its login was answered, or over which it panicked.
	if cl, ok := p.broker.Clients.Get(c.id); ok && cl.Net.Conn == net.Conn(c) && cl.Properties.Clean {
		cl.ClearInflights()
		p.broker.UnsubscribeClient(cl)
		p.broker.Clients.Delete(c.id)
	}
	p.mu.Lock()
	if p.sessions[c.id] == c {
		delete(p.sessions, c.id)
	}
	p.mu.Unlock()
	close(c.done)
}

// closed settles why a session ended: by us, with a reason of our own, or as the broker tells.
func (p *Platform) closed(c *conn, err error) {
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	if cause == nil {
		cause = diagnose(err)
	}
	switch cause.Code {
	case wiotp.ClosedByClient, wiotp.ConnectionLost:
		p.log.Debug("client disconnected", "id", c.id, "addr", c.host, "code", int(cause.Code))
		return
	case wiotp.KeepaliveTimeout, wiotp.ClientIDReused: // nothing was turned down
	default:
		p.refused.Add(1)
	}
	p.refusals.add(c.who(), cause)
}

// diagnose puts the broker's reasons into the platform's words.
func diagnose(err error) *wiotp.Refusal {
	if r, ok := errors.AsType[*wiotp.Refusal](err); ok {
		return r
	}
	switch {
	case err == nil:
		return &wiotp.Refusal{Code: wiotp.ClosedByClient}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET):
		return &wiotp.Refusal{Code: wiotp.ConnectionLost}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &wiotp.Refusal{Rule: "keepalive", Code: wiotp.KeepaliveTimeout, Why: "nothing came for one and a half times the keepalive"}
	case errors.Is(err, packets.ErrPacketTooLarge):
		return &wiotp.Refusal{Rule: "max_payload", Code: wiotp.TooLarge, Why: "a packet longer than max_payload allows; its content was not read"}
	case errors.Is(err, packets.ErrMalformedTopic):
		return &wiotp.Refusal{Rule: "topic", Code: wiotp.BadTopic, Why: "a topic or filter that is not UTF-8"}
	}
	return &wiotp.Refusal{Rule: "protocol", Code: wiotp.BadData, Why: "not valid MQTT: " + err.Error()}
}

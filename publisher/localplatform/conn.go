package localplatform

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"legacybridge/publisher/wiotp"
)

// A conn is one client's socket as the broker sees it. Its Write only appends: the broker holds locks while it writes
// to a subscriber, and publishers wait for those locks. A goroutine of its own empties the buffer, many packets at a
// time.
type conn struct {
	net.Conn
	host string
	id   string // client id, set at login

	login []byte        // what the broker still has to read of the login
	done  chan struct{} // closed when the broker has let go; made at login

	keepalive time.Duration // 0: the client may be silent for ever
	deadline  time.Time     // the read deadline set last
	ackID     uint16        // packet id that the broker uses for a SUBSCRIBE or UNSUBSCRIBE in place of ownID, see freeID
	ownID     uint16        // the client's id for it

	unacked   atomic.Int64 // payload bytes sent with QoS 1 or 2 and not acknowledged, see tooFarBehind
	recounted atomic.Int64 // unix second
	subscribe atomic.Bool  // a SUBSCRIBE is being answered

	mu      sync.Mutex
	wake    sync.Cond
	out     []byte
	behind  int // bytes not yet written, including those that write holds
	ended   bool
	cause   *wiotp.Refusal // why we ended it; nil if the peer did, or the platform stops
	writing bool           // write runs
	written chan struct{}  // closed when write has ended
}

// maxUnwritten is how much a peer that does not read may leave with us, mostly answers: it is hung up on then.
// Events stop at half of it, see maxBehind.
const maxUnwritten = 16 << 20

// closeGrace is how long a peer has to take what was written before the end, and to close its own side.
const closeGrace = 250 * time.Millisecond

func newConn(nc net.Conn) *conn {
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		host = nc.RemoteAddr().String()
	}
	c := &conn{Conn: nc, host: host, written: make(chan struct{})}
	c.wake.L = &c.mu
	return c
}

func (c *conn) who() who { return who{id: c.id, addr: c.host} }

// Read gives the broker the login first.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.login) > 0 {
		n := copy(p, c.login)
		if c.login = c.login[n:]; len(c.login) == 0 {
			c.login = nil // it may be long, and holds the token
		}
		return n, nil
	}
	n, err := c.Conn.Read(p)
	if err != nil && c.hasEnded() {
		err = net.ErrClosed
	}
	return n, err
}

// SetDeadline comes from the broker with every packet. Its own time is not used: it cuts one and a half times the
// keepalive to whole seconds of 16 bits. Moves of less than a tenth of a second are saved.
func (c *conn) SetDeadline(time.Time) error {
	var t time.Time
	if c.keepalive > 0 {
		t = time.Now().Add(c.keepalive + c.keepalive/2)
		if t.Sub(c.deadline) < 100*time.Millisecond {
			return nil
		}
	}
	c.deadline = t
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return net.ErrClosed
	}
	return c.Conn.SetReadDeadline(t)
}

// Write takes p as a whole and never waits for the peer.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0, net.ErrClosed
	}
	if c.behind+len(p) > maxUnwritten {
		c.endLocked(&wiotp.Refusal{Rule: "slow", Code: wiotp.SlowConsumer, Why: "the client does not read what it is sent"})
		return 0, net.ErrClosed
	}
	c.out = append(c.out, p...)
	c.behind += len(p)
	c.wake.Signal()
	return len(p), nil
}

// write empties the buffer until the end of the connection, and what is left then.
func (c *conn) write() {
	defer close(c.written)
	defer c.forget()
	var buf []byte
	for {
		c.mu.Lock()
		c.behind -= len(buf)
		for len(c.out) == 0 && !c.ended {
			c.wake.Wait()
		}
		if len(c.out) == 0 {
			c.mu.Unlock()
			return
		}
		if cap(buf) > keepBuffer {
			buf = nil
		}
		buf, c.out = c.out, buf[:0]
		c.mu.Unlock()
		if _, err := c.Conn.Write(buf); err != nil {
			c.end(nil)
			return
		}
	}
}

// forget lets the buffer go: a kept session holds on to its last connection.
func (c *conn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out, c.behind = nil, 0
}

// keepBuffer is the size up to which a write buffer is used again.
const keepBuffer = 256 << 10

// unwritten is how many bytes wait for the peer.
func (c *conn) unwritten() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.behind
}

// Close is the broker's end of the connection.
func (c *conn) Close() error {
	c.end(nil)
	return nil
}

// end stops reading at once and lets write finish what it has. The first cause stays.
func (c *conn) end(cause *wiotp.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(cause)
}

func (c *conn) endLocked(cause *wiotp.Refusal) {
	if c.ended {
		return
	}
	c.ended, c.cause = true, cause
	c.wake.Signal()
	// Errors mean that the socket is gone, which is where this leads to.
	_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
	_ = c.Conn.SetWriteDeadline(time.Now().Add(closeGrace))
}

func (c *conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// finish closes the socket after the broker has let go. It first reads on for a moment: a socket closed with unread
// bytes is reset, and the acknowledgements just written would be lost with it.
func (c *conn) finish(linger bool) {
	c.end(nil)
	if c.writing {
		<-c.written
	}
	if t, ok := c.Conn.(*net.TCPConn); ok && linger && t.CloseWrite() == nil {
		_ = t.SetReadDeadline(time.Now().Add(closeGrace))
		_, _ = io.CopyN(io.Discard, t, maxUnwritten)
	}
	_ = c.Conn.Close()
}

package localplatform

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"legacybridge/publisher/wiotp"
)

// A conn is one client's socket. What is sent is only appended to a buffer, under the hub's lock; a goroutine of its own
// empties it, many packets at a time, with a deadline on every write.
type conn struct {
	net.Conn
	r    *bufio.Reader
	host string
	addr netip.Addr // for what is counted by address, see addressOf
	port int

	secure  bool      // TLS
	loginBy time.Time // the login must have come by then

	// Set at login, before anything else uses them.
	id        string // client id
	user      string // API key
	protocol  string
	keepalive time.Duration // 0: the client may be silent for ever
	rights    wiotp.Rights
	known     bool // the client id is one of an organisation served here

	// Guarded by hub.mu.
	session *session
	since   time.Time
	will    *message // to be published if the connection is lost

	withheld int // kept messages that the login may not receive

	deadline time.Time // the read deadline set last
	spent    budget    // of rules.throttle
	held     holdUps   // see yield

	readBytes, readMsgs, wroteBytes, wroteMsgs atomic.Uint64

	drained func() // there is room again, called by write

	mu      sync.Mutex
	wake    sync.Cond
	out     []byte
	behind  int  // bytes not yet written, including those that write holds
	hungry  bool // somebody was told that there is no room
	owed    int  // answers that wait for the disk
	ended   bool
	gone    chan struct{}  // closed with ended
	cause   *wiotp.Refusal // why we ended it; nil if the peer did, or the platform stops
	writing bool           // write runs
	written chan struct{}  // closed when write has ended
}

const (
	// fullSocket is how many bytes may wait for a peer before messages are held back.
	fullSocket = 64 << 10
	// manyAnswers is how many bytes may wait for a peer before nothing more is read from it: who does not take answers
	// asks no further questions.
	manyAnswers = 256 << 10
	// maxUnwritten is reached by nobody who is held back by the two above.
	maxUnwritten = 4 << 20
	// writeWait is how long a peer may take for one piece of what it is sent.
	writeWait = time.Minute
	// closeGrace is how long a peer has to take what was written before the end, and to close its own side.
	closeGrace = 250 * time.Millisecond
	// keepBuffer is the size up to which a write buffer is used again.
	keepBuffer = fullSocket
	// readAhead is small: there are many connections.
	readAhead = 4 << 10
)

func newConn(nc net.Conn) *conn {
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		host = nc.RemoteAddr().String()
	}
	c := &conn{Conn: nc, r: bufio.NewReaderSize(nc, readAhead), host: host, addr: addressOf(host), written: make(chan struct{}), gone: make(chan struct{})}
	_, c.secure = nc.(*tls.Conn)
	if a, ok := nc.LocalAddr().(*net.TCPAddr); ok {
		c.port = a.Port
	}
	c.wake.L = &c.mu
	return c
}

func (c *conn) who() who { return who{id: c.id, addr: c.host} }

// arm moves the deadline for the next packet: one and a half times the keepalive. Moves of less than a tenth of a
// second are saved.
func (c *conn) arm() error {
	var t time.Time
	if c.keepalive > 0 {
		t = time.Now().Add(c.keepalive + c.keepalive/2)
		if t.Sub(c.deadline) < 100*time.Millisecond {
			return nil
		}
	} else if c.deadline.Equal(forever) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return net.ErrClosed
	}
	if c.deadline = t; t.IsZero() {
		c.deadline = forever
	}
	return c.Conn.SetReadDeadline(t)
}

// armFor sets the deadline of a client without keepalive until arm is called again.
func (c *conn) armFor(d time.Duration) error {
	if c.keepalive > 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return net.ErrClosed
	}
	c.deadline = time.Now().Add(d)
	return c.Conn.SetReadDeadline(c.deadline)
}

// forever marks a read deadline that was taken away.
var forever = time.Unix(1<<40, 0)

// send takes b as a whole and never waits for the peer. After the end of the connection it does nothing.
func (c *conn) send(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sendLocked(b)
}

func (c *conn) sendLocked(b []byte) {
	if c.ended {
		return
	}
	if c.behind+len(b) > maxUnwritten {
		c.endLocked(&wiotp.Refusal{Rule: "slow", Code: wiotp.SlowConsumer, Why: "the client does not read what it is sent"})
		return
	}
	c.out = append(c.out, b...)
	c.behind += len(b)
	c.wake.Broadcast()
}

// room says whether a message may be sent. If not, drained is called when it may.
func (c *conn) room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.behind < fullSocket && !c.ended {
		return true
	}
	c.hungry = true
	return false
}

// deliver sends d.
func (c *conn) deliver(id wiotp.ClientID, d *delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	n := len(c.out)
	c.out = appendPublish(c.out, id, d)
	c.behind += len(c.out) - n
	c.wroteMsgs.Add(1)
	c.wake.Broadcast()
}

// greet answers the login.
func (c *conn) greet(present bool) {
	b := []byte{connackPacket, 2, 0, 0}
	if present {
		b[2] = 1
	}
	c.send(b)
}

// owe counts an answer that waits for the disk, see acker.
func (c *conn) owe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owed++
}

// owes says whether answers wait for the disk.
func (c *conn) owes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owed > 0
}

// pay sends an answer that has waited.
func (c *conn) pay(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owed--
	c.sendLocked(b)
	c.wake.Broadcast()
}

// settled waits until the client may send more: until it takes its answers, and until fewer than limit of them wait
// for the disk. It returns false at the end of the connection.
func (c *conn) settled(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.ended && (c.behind > manyAnswers || c.owed >= limit) {
		c.wake.Wait()
	}
	return !c.ended
}

// count puts the counters into a status message.
func (c *conn) count(st *wiotp.Status) {
	load := func(a *atomic.Uint64) *uint64 { n := a.Load(); return &n }
	st.ReadBytes, st.ReadMsg, st.WriteBytes, st.WriteMsg = load(&c.readBytes), load(&c.readMsgs), load(&c.wroteBytes), load(&c.wroteMsgs)
}

// write empties the buffer until the end of the connection, and what is left then.
func (c *conn) write() {
	defer close(c.written)
	defer c.forget()
	var buf []byte
	for {
		c.mu.Lock()
		c.behind -= len(buf)
		fed := c.hungry && c.behind < fullSocket
		if fed {
			c.hungry = false
		}
		if len(buf) > 0 {
			c.wake.Broadcast()
		}
		for len(c.out) == 0 && !c.ended && !fed {
			c.wake.Wait()
		}
		if cap(buf) > keepBuffer {
			buf = nil
		}
		buf, c.out = c.out, buf[:0]
		ended := c.ended
		c.mu.Unlock()
		if fed && c.drained != nil {
			c.drained()
		}
		if len(buf) == 0 && ended {
			return
		}
		if err := c.writeAll(buf); err != nil {
			c.end(slow(err))
			return
		}
	}
}

// writeAll gives each piece its own time.
func (c *conn) writeAll(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), fullSocket)
		c.mu.Lock()
		if !c.ended {
			_ = c.Conn.SetWriteDeadline(time.Now().Add(writeWait)) // an error shows at the write
		}
		c.mu.Unlock()
		n, err := c.Conn.Write(b[:n])
		c.wroteBytes.Add(uint64(n))
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// slow is the cause of a write that took too long; others are the network's.
func slow(err error) *wiotp.Refusal {
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		return &wiotp.Refusal{Rule: "slow", Code: wiotp.SlowConsumer, Why: "the client does not read what it is sent"}
	}
	return nil
}

// forget lets the buffer go: a kept session must not hold on to it.
func (c *conn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out, c.behind = nil, 0
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
	close(c.gone)
	c.wake.Broadcast()
	// Errors mean that the socket is gone, which is where this leads to.
	_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
	_ = c.Conn.SetWriteDeadline(time.Now().Add(closeGrace))
}

func (c *conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// repay waits a while for the answers that wait for the disk: a publisher must know what it need not send again.
func (c *conn) repay(limit time.Duration) {
	late := time.AfterFunc(limit, func() { c.end(nil) })
	defer late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.ended && c.owed > 0 {
		c.wake.Wait()
	}
}

// finish closes the socket. It first reads on for a moment: a socket closed with unread bytes is reset, and the
// acknowledgements just written would be lost with it.
func (c *conn) finish(linger bool) {
	c.end(nil)
	if c.writing {
		<-c.written
	}
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok && linger && t.CloseWrite() == nil {
		_ = c.Conn.SetReadDeadline(time.Now().Add(closeGrace))
		_, _ = io.CopyN(io.Discard, c.Conn, maxLinger)
	}
	_ = c.Conn.Close()
}

// maxLinger is how much is read to let a refused client notice.
const maxLinger = 16 << 20

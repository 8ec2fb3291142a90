package publisher

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	writePatience = 20 * time.Second  // a peer that takes no byte for so long is gone; a throttled one takes some within 10 s
	writeStep     = writePatience / 4 // how exactly that is known: a write that took some and then none ends at its deadline
	slowWrite     = time.Second       // a write that lasts longer waits for the peer
	closePatience = time.Second       // for what is still to be sent at the end
	readBuffer    = 32 << 10          // paho reads single bytes
	corkMark      = 16 << 10
	unsentMark    = 128 << 10 // above it nothing more is published until the peer has taken some
)

// errEnded is the end of a connection that we wanted. Its text must not be net.ErrClosed's: paho takes no notice of that.
var errEnded = errors.New("connection ended by us")

// stream is a TCP connection on which every write has a deadline. A peer that is slow but takes some keeps it open.
// It lies below TLS, which cannot go on after a write that timed out. Its times are spans since it began, which no jump
// of the clock changes.
type stream struct {
	net.Conn
	began time.Time
	last  atomic.Int64 // after it nothing is written; 0: no such time
	heard atomic.Int64 // when the peer was heard last
}

func newStream(c net.Conn) *stream { return &stream{Conn: c, began: time.Now()} }

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if n > 0 {
		s.heard.Store(int64(time.Since(s.began)))
	}
	return n, err
}

// lastHeard is when the peer sent something, or else when the connection began.
func (s *stream) lastHeard() time.Time { return s.began.Add(time.Duration(s.heard.Load())) }

func (s *stream) Write(p []byte) (int, error) {
	moved := time.Now()
	for sent := 0; ; {
		by := time.Now().Add(writeStep)
		last := s.last.Load()
		if end := s.began.Add(time.Duration(last)); last != 0 && end.Before(by) {
			by = end
		}
		if err := s.Conn.SetWriteDeadline(by); err != nil {
			return sent, err
		}
		n, err := s.Conn.Write(p[sent:])
		sent += n
		if n > 0 {
			moved = time.Now()
		}
		if err == nil || last != 0 || time.Since(moved) >= writePatience || !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, err
		}
	}
}

// SetWriteDeadline does nothing: Write has its own.
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

func (s *stream) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// wire is the connection that paho gets. Reads are buffered and pass the guard. Write only takes the bytes, and one
// goroutine sends what has gathered: so paho never blocks, a ping does not wait behind a stalled publish, and many small
// packets leave in one system call. Whoever publishes looks at full first, which bounds what gathers. All of it may
// be called concurrently. The first error ends the connection and is kept; paho is told no other.
type wire struct {
	net.Conn // TLS, or the stream itself
	stream   *stream
	in       *bufio.Reader
	guard    guard
	most     int  // bytes that may gather
	keep     bool // the session is to outlive the connection: said in the CONNECT, which is still to come

	mu      sync.Mutex
	unsent  []byte
	writing int // bytes in the hands of the sender…
	since   time.Time
	spare   []byte // buffer to gather in next
	closing bool
	corked  bool
	err     error

	work chan struct{} // there is something to send, or the end; capacity 1
	room chan struct{} // the peer has taken some; capacity 1
	gone chan struct{} // closed with err
	sent chan struct{} // closed when the sender has ended
}

// newWire starts the sender, which has ended when Close returns. conn is s or TLS over it.
func newWire(conn net.Conn, s *stream, g guard, most int) *wire {
	w := &wire{Conn: conn, stream: s, in: bufio.NewReaderSize(conn, readBuffer), guard: g, most: most,
		work: make(chan struct{}, 1), room: make(chan struct{}, 1), gone: make(chan struct{}), sent: make(chan struct{})}
	go w.send()
	return w
}

// cause is why the connection ended, nil while it stands.
func (w *wire) cause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.in.Read(p)
	if err == nil {
		err = w.guard.pass(p[:n])
	}
	if err != nil {
		return 0, w.fail(err)
	}
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	if w.err != nil || w.closing {
		w.mu.Unlock()
		return 0, errEnded
	}
	if len(w.unsent)+w.writing > w.most {
		w.mu.Unlock()
		return 0, w.fail(fmt.Errorf("more than %d bytes wait for a server that takes none", w.most))
	}
	w.unsent = append(w.unsent, p...)
	if w.keep {
		w.keep = false
		keepSession(w.unsent)
	}
	wait := w.corked && len(w.unsent) < corkMark
	w.mu.Unlock()
	if !wait {
		poke(w.work)
	}
	return len(p), nil
}

// keepSession clears the clean-session flag in a CONNECT, which is the first that paho writes, in one piece. paho itself
// must not know: with it cleared it leaves tokens open for ever when the connection ends.
func keepSession(connect []byte) {
	const beforeFlags = 2 + len("MQTT") + 1 // length and name of the protocol, its level
	_, digits := binary.Uvarint(connect[1:])
	connect[1+digits+beforeFlags] &^= 1 << 1
}

// cork lets what is written gather until uncork, or until it is worth a system call.
func (w *wire) cork() {
	w.mu.Lock()
	w.corked = true
	w.mu.Unlock()
}

func (w *wire) uncork() {
	w.mu.Lock()
	w.corked = false
	w.mu.Unlock()
	poke(w.work)
}

// full says that the peer is behind: wait for room before publishing more.
func (w *wire) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.unsent)+w.writing >= unsentMark
}

// slow says that the peer has been behind for a while: it has not got all that was published.
func (w *wire) slow(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writing > 0 && now.Sub(w.since) > slowWrite
}

func (w *wire) send() {
	defer close(w.sent)
	for range w.work {
		for {
			w.mu.Lock()
			out := w.unsent
			done := w.err != nil || w.closing && len(out) == 0
			if len(out) > 0 {
				w.unsent, w.spare, w.writing, w.since = w.spare[:0], nil, len(out), time.Now()
			}
			w.mu.Unlock()
			if done {
				return
			}
			if len(out) == 0 {
				break
			}
			_, err := w.Conn.Write(out)
			w.mu.Lock()
			w.writing = 0
			if cap(out) <= 2*unsentMark {
				w.spare = out[:0]
			}
			w.mu.Unlock()
			if err != nil {
				w.fail(err)
				return
			}
			poke(w.room)
		}
	}
}

// Close sends what has gathered, for a short time, and closes the connection. It may be called again.
func (w *wire) Close() error {
	w.mu.Lock()
	if w.err == nil && !w.closing {
		w.closing = true
		w.hurry()
		poke(w.work)
	}
	w.mu.Unlock()
	<-w.sent
	w.fail(errEnded)
	return nil
}

// fail ends the connection at once and returns the first error it ended with.
func (w *wire) fail(err error) error {
	w.mu.Lock()
	first := w.err == nil
	if first {
		w.err = err
		close(w.gone)
	}
	err = w.err
	w.mu.Unlock()
	if first {
		w.hurry()
		_ = w.Conn.Close() // nothing is left that its error could tell
		poke(w.work)
	}
	return err
}

// hurry bounds the writes that are under way or still to come, such as the last one of TLS.
func (w *wire) hurry() {
	last := time.Since(w.stream.began) + closePatience
	w.stream.last.Store(int64(last))
	_ = w.stream.Conn.SetWriteDeadline(w.stream.began.Add(last))
}

// SetDeadline is for reads alone: the stream has its own for writes.
func (w *wire) SetDeadline(t time.Time) error { return w.Conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing: the stream has its own.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// poke leaves a token in a channel of capacity 1.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

package main_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// A witness is a broker that writes down what reached it, in order, and when it answered. It answers at once, late, or
// not at all, and it goes away when it is told to.
type witness struct {
	l net.Listener

	mu    sync.Mutex
	came  []*arrival
	due   []due // acknowledgements that are held back
	batch int   // so many are held back before they go out
	away  bool
	conns map[net.Conn]bool
}

// An arrival is a message as it came, and when it was acknowledged.
type arrival struct {
	message
	acked time.Time // zero: not yet
}

type due struct {
	c  net.Conn
	id [2]byte
	a  *arrival
}

const never = 1 << 30 // acknowledgements to hold back: all

func newWitness(t testing.TB) *witness {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{l: l, conns: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.leave()
		serving.Wait()
	})
	return w
}

func (w *witness) addr() string { return w.l.Addr().String() }

// hold keeps back the acknowledgements until n are due; 0 sends each at once, and what is due already.
func (w *witness) hold(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batch, w.away = n, false
	if len(w.due) >= n {
		w.answer()
	}
}

// leave closes all connections, and every new one, until hold is called.
func (w *witness) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away, w.due = true, nil
	for c := range w.conns {
		c.Close()
	}
}

// answer sends what is due. It counts as acknowledged before it is sent: the program may be quicker than we are. Under mu.
func (w *witness) answer() {
	now := time.Now()
	for _, d := range w.due {
		if d.a.acked.IsZero() {
			d.a.acked = now
		}
		d.c.Write([]byte{0x40, 2, d.id[0], d.id[1]})
	}
	w.due = w.due[:0]
}

func (w *witness) take(c net.Conn, topic, payload string, id [2]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := &arrival{message: message{topic, payload}}
	w.came = append(w.came, a)
	if w.away {
		return
	}
	w.due = append(w.due, due{c, id, a})
	if len(w.due) >= w.batch {
		w.answer()
	}
}

// count is how many messages came.
func (w *witness) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.came)
}

// told is a copy of what came and what of it was acknowledged by now.
func (w *witness) told() []arrival {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]arrival, len(w.came))
	for i, a := range w.came {
		all[i] = *a
	}
	return all
}

// forget drops those of the first n that gone says.
func (w *witness) forget(n int, gone func(*arrival) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.came = append(slices.DeleteFunc(w.came[:n:n], gone), w.came[n:]...)
}

// messages are what came.
func (w *witness) messages() []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]message, len(w.came))
	for i, a := range w.came {
		all[i] = a.message
	}
	return all
}

func (w *witness) serve(c net.Conn) {
	defer c.Close()
	w.mu.Lock()
	if w.away {
		w.mu.Unlock()
		return
	}
	w.conns[c] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.conns, c)
		w.mu.Unlock()
	}()
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		head, err := r.ReadByte()
		if err != nil {
			return
		}
		n, err := binary.ReadUvarint(r) // MQTT's remaining length has the same form
		if err != nil || n > 1<<20 {
			return
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		switch head >> 4 {
		case 1:
			c.Write([]byte{0x20, 2, 0, 0})
		case 3:
			topic := 2 + int(binary.BigEndian.Uint16(body))
			if head&0x06 != 2 {
				return // everything here is sent with QoS 1
			}
			w.take(c, string(body[2:topic]), string(body[topic+2:]), [2]byte(body[topic:topic+2]))
		case 12:
			c.Write([]byte{0xd0, 0})
		case 14:
			return
		}
	}
}

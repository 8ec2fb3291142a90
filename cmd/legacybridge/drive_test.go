package main_test

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A drive is a Modbus TCP device that takes writes and keeps a list of them. Holding register 0 shows 4711; the others, and
// the coils, what was written.
type drive struct {
	answerIn time.Duration // set it before the first request

	l      net.Listener
	mu     sync.Mutex
	regs   map[uint16]uint16
	coils  map[uint16]bool
	writes []write
	stuck  bool // takes writes and shows nothing of them
	open   map[net.Conn]bool
	done   sync.WaitGroup
}

type write struct {
	at      time.Time
	address uint16
	value   uint16
}

func newDrive(t testing.TB) *drive {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &drive{l: l, regs: map[uint16]uint16{0: 4711}, coils: map[uint16]bool{}, open: map[net.Conn]bool{}}
	d.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.open[c] = true
			d.mu.Unlock()
			d.done.Go(func() { d.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		d.mu.Lock()
		for c := range d.open {
			c.Close()
		}
		d.mu.Unlock()
		d.done.Wait()
	})
	return d
}

func (d *drive) addr() string { return d.l.Addr().String() }

func (d *drive) serve(c net.Conn) {
	defer c.Close()
	head := make([]byte, 7)
	for {
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		pdu := make([]byte, int(binary.BigEndian.Uint16(head[4:]))-1)
		if _, err := io.ReadFull(c, pdu); err != nil {
			return
		}
		out := d.answer(pdu)
		if d.answerIn > 0 {
			<-time.After(d.answerIn)
		}
		binary.BigEndian.PutUint16(head[4:], uint16(len(out)+1))
		if _, err := c.Write(append(append([]byte{}, head...), out...)); err != nil {
			return
		}
	}
}

func (d *drive) answer(pdu []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, n := binary.BigEndian.Uint16(pdu[1:]), binary.BigEndian.Uint16(pdu[3:])
	switch pdu[0] {
	case 1, 2:
		out := append([]byte{pdu[0], byte((n + 7) / 8)}, make([]byte, (n+7)/8)...)
		for i := range n {
			if d.coils[at+i] {
				out[2+i/8] |= 1 << (i % 8)
			}
		}
		return out
	case 3, 4:
		out := []byte{pdu[0], byte(2 * n)}
		for i := range n {
			out = binary.BigEndian.AppendUint16(out, d.regs[at+i])
		}
		return out
	case 5, 6:
		d.writes = append(d.writes, write{time.Now(), at, n})
		if !d.stuck {
			if pdu[0] == 5 {
				d.coils[at] = n != 0
			} else {
				d.regs[at] = n
			}
		}
		return pdu
	case 16:
		d.writes = append(d.writes, write{time.Now(), at, binary.BigEndian.Uint16(pdu[6:])})
		return pdu[:5]
	}
	return []byte{pdu[0] | 0x80, 1}
}

// written is what was written, in order.
func (d *drive) written() []write {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes[:len(d.writes):len(d.writes)]
}

func (d *drive) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

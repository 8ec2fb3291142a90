package main_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Equipment that counts, so that every value says which it is.

// A rowFile is a CSV file that counts its rows.
type rowFile struct {
	t    *testing.T
	path string
	form func(n int) string // one row, without its line break
	rows int
}

func newRowFile(t *testing.T, header string, form func(n int) string) *rowFile {
	t.Helper()
	r := &rowFile{t: t, path: filepath.Join(t.TempDir(), "rows.csv"), form: form}
	if err := os.WriteFile(r.path, []byte(header+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return r
}

// append writes n complete rows.
func (r *rowFile) append(n int) {
	r.t.Helper()
	f, err := os.OpenFile(r.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	var b []byte
	for range n {
		r.rows++
		b = append(append(b, r.form(r.rows)...), '\n')
	}
	if _, err := f.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// A station is a Modbus TCP station. It counts the reads: holding registers 0 and 1 are how many there were.
type station struct {
	l    net.Listener
	mu   sync.Mutex
	n    uint32
	took int // connections
	open map[net.Conn]bool
	done sync.WaitGroup
}

func newStation(t *testing.T) *station {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &station{l: l, open: map[net.Conn]bool{}}
	s.done.Go(s.accept)
	t.Cleanup(func() { l.Close(); s.cut(); s.done.Wait() })
	return s
}

func (s *station) addr() string { return s.l.Addr().String() }

func (s *station) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[c] = true
		s.took++
		s.mu.Unlock()
		s.done.Go(func() {
			s.serve(c)
			c.Close()
			s.mu.Lock()
			delete(s.open, c)
			s.mu.Unlock()
		})
	}
}

// cut ends all connections, and says how many there were.
func (s *station) cut() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.Close()
		n++
	}
	return n
}

// reads is how many requests were answered.
func (s *station) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.n)
}

// connections is how many there were.
func (s *station) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.took
}

func (s *station) serve(c net.Conn) {
	for request := make([]byte, 12); ; {
		if _, err := io.ReadFull(c, request); err != nil {
			return
		}
		s.mu.Lock()
		s.n++
		n := s.n
		s.mu.Unlock()
		registers := []uint16{uint16(n >> 16), uint16(n)}
		from, count := int(binary.BigEndian.Uint16(request[8:])), int(binary.BigEndian.Uint16(request[10:]))
		reply := append(append([]byte{}, request[:4]...), 0, byte(3+2*count), request[6], request[7], byte(2*count))
		for i := range count {
			reply = binary.BigEndian.AppendUint16(reply, registers[(from+i)%len(registers)])
		}
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

// A scale prints its weighings on a pseudo terminal, whoever listens: "W 17.25 kg", and every 40th time "W fault 40".
type scale struct {
	master, slave *os.File
	stop          func()
	mu            sync.Mutex
	n             int
}

const scaleFaults = 40

func newScale(t *testing.T, every time.Duration) *scale {
	t.Helper()
	s := &scale{}
	var err error
	if s.master, s.slave, err = pty.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.unplug)
	tty := int(s.slave.Fd())
	mode, err := unix.IoctlGetTermios(tty, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	mode.Iflag, mode.Oflag, mode.Lflag = 0, 0, 0
	if err := unix.IoctlSetTermios(tty, unix.TCSETS, mode); err != nil {
		t.Fatal(err)
	}
	fd := int(s.master.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var printing sync.WaitGroup
	printing.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			_, _ = unix.Write(fd, []byte(s.line())) // a scale never waits for its listener: what does not fit is lost
		}
	})
	s.stop = func() { cancel(); printing.Wait() }
	return s
}

// unplug takes the scale off the line: its port vanishes.
func (s *scale) unplug() {
	if s.stop != nil {
		s.stop()
	}
	s.master.Close()
	s.slave.Close()
}

func (s *scale) line() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.n%scaleFaults == 0 {
		return fmt.Sprintf("W fault %d\r\n", s.n)
	}
	return fmt.Sprintf("W %d.25 kg\r\n", s.n)
}

// printed is how many weighings were printed.
func (s *scale) printed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// Package port opens wires: ttys and TCP streams, with deadlines and for our exclusive use. It is the only importer of
// tarm/serial.
package port

import (
	"context"
	"errors"
	"io"
	"time"
)

// A Port is an open wire. One goroutine owns it: reads, writes and Close are never concurrent. A net.Conn is a Port.
type Port interface {
	// Read returns at least one byte, or os.ErrDeadlineExceeded at the deadline. Any other error, io.EOF among them,
	// means that the wire is gone: close it and open anew.
	io.Reader
	io.Writer
	io.Closer
	// SetDeadline is for all later reads and writes; the zero time waits for ever. A tty keeps read deadlines
	// to within 100 ms.
	SetDeadline(t time.Time) error
}

// Config names one wire: exactly one of TTY and TCP.
type Config struct {
	TTY  string // path as configured; symbolic names are resolved anew at each Open
	Mode Mode   // of the tty
	TCP  string // host:port
}

// A Mode is how a tty speaks: "9600 8N1", "4800 7E1 xonxoff".
type Mode struct {
	Baud   int
	Bits   int    // 7 or 8
	Parity byte   // 'N', 'E', 'O'
	Stop   int    // 1 or 2
	Flow   string // "", "xonxoff", "rtscts"
}

// ParseMode reads "BAUD BITS PARITY STOP [xonxoff|rtscts]" as config.md writes it: "9600 8N1".
func ParseMode(s string) (Mode, error) { return Mode{}, errors.New("not built") }

// CharTime is how long one character takes on the wire, with start, parity and stop bits.
func (m Mode) CharTime() time.Duration { return 0 }

// Open opens the wire. The error names what a technician can check: missing, busy (and by whom), not allowed, not a tty.
func Open(ctx context.Context, cfg Config) (Port, error) { return nil, errors.New("not built") }

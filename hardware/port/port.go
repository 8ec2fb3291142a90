// Package port opens wires: ttys and TCP streams, with deadlines and for our exclusive use. It is the only importer of
// tarm/serial. Linux only.
//
// A tty has two descriptors. tarm/serial opens it and reads from it; a side descriptor on the same device does what
// tarm cannot: the lock, odd baud rates, flow control, parity checks, waiting to the millisecond, writes that can be
// given up, and telling a wire that is gone from one that is silent (tarm says io.EOF to both).
//
// A byte that came with a parity or framing error arrives as NUL: not dropped, since "12.48" less one character is
// another weight, and not as received, since that may be another digit.
//
// The lock is flock on the device itself, not a file under /run/lock: it needs no writable folder, ends with the
// process, means the same under every name of the device, and other programs heed it (pyserial, minicom, picocom).
package port

import (
	"context"
	"errors"
	"fmt"
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

// Open opens the wire. The error names what a technician can check: missing, busy (and by whom), not allowed, not a tty.
func Open(ctx context.Context, cfg Config) (Port, error) {
	if (cfg.TTY == "") == (cfg.TCP == "") {
		return nil, errors.New("a wire needs a tty or a TCP address, and not both")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if cfg.TCP != "" {
		return openTCP(ctx, cfg.TCP)
	}
	return openTTY(cfg.TTY, cfg.Mode)
}

// The codes of wires, as `legacybridge explain` knows them.
const (
	CodeGone       = "SER004" // port missing or vanished
	CodeBusy       = "SER005" // another program, or another link, has it
	CodeNotAllowed = "SER006"
	CodeNotTTY     = "SER007"
	CodeRefused    = "SER008" // the port does not take the mode, or the system refuses it otherwise
	CodeNoHost     = "COM001" // TCP: not reached
	CodeHungUp     = "COM002" // TCP: the connection ended
)

// An Error is a wire that cannot be opened, or is gone.
type Error struct {
	Code string
	Why  string // what and where, and what to check
	Err  error  // the system's own words, if there are any
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Why
	}
	return fmt.Sprintf("%s: %v", e.Why, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of an error of Open, Read or Write, and CodeGone for a wire that was not ours.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeGone
}

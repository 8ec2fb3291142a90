package port

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

const (
	// tarm's reads end after this long without a byte. Less is impossible (VTIME counts tenths of a second).
	ttyRead = 100 * time.Millisecond
	// How often a wait looks whether the configured name still leads to the open device. Hang-ups wake the wait at
	// once; this is for drivers that report none, and for a by-id name that moved to another port.
	lookEvery = 500 * time.Millisecond
)

// A tty is a port of the machine.
type tty struct {
	path     string // as configured
	rdev     uint64 // the device it led to
	port     *serial.Port
	side     int // second descriptor on the device: never read from
	deadline time.Time

	looked  time.Time // when the name was last looked up
	strayed bool      // it led elsewhere then
	empty   int       // reads in a row that returned nothing at once
	gone    error
}

// openTTY takes the lock before anything is set: a port that somebody else uses keeps its baud rate.
func openTTY(path string, m Mode) (_ Port, err error) {
	side, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	defer func() {
		if err != nil {
			release(side)
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(side, &st); err != nil {
		return nil, openError(path, err)
	}
	if _, err := unix.IoctlGetTermios(side, unix.TCGETS2); err != nil {
		return nil, openError(path, unix.ENOTTY)
	}
	if err := unix.Flock(side, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, openError(path, unix.EBUSY)
	}
	// The path under /proc/self/fd is this very device, whatever has become of the name meanwhile.
	port, err := serial.OpenPort(&serial.Config{
		Name: fmt.Sprintf("/proc/self/fd/%d", side), Baud: tarmBaud, ReadTimeout: ttyRead,
		Size: byte(m.Bits), Parity: serial.Parity(m.Parity), StopBits: serial.StopBits(m.Stop),
	})
	if err != nil {
		if p, ok := errors.AsType[*os.PathError](err); ok {
			err = p.Err
		}
		return nil, openError(path, err)
	}
	if err := configure(side, uint64(st.Rdev), m); err != nil {
		port.Close()
		return nil, &Error{CodeRefused, fmt.Sprintf("%s does not take the mode %q", path, m), err}
	}
	return &tty{path: path, rdev: uint64(st.Rdev), port: port, side: side, looked: time.Now()}, nil
}

// Read implements Port.
func (t *tty) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		events, err := t.wait(unix.POLLIN)
		if err != nil {
			return 0, err
		}
		if events&unix.POLLIN == 0 {
			return 0, t.vanished(nil)
		}
		start := time.Now()
		n, err := t.port.Read(b)
		if n > 0 {
			t.empty = 0
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, t.vanished(err)
		}
		// Nothing, although poll promised something: a wire that is gone says so at once and for ever. One read
		// may lose a race with a flush.
		if time.Since(start) < ttyRead/5 {
			t.empty++
		}
		if t.empty > 1 || events&(unix.POLLHUP|unix.POLLERR) != 0 {
			return 0, t.vanished(nil)
		}
	}
}

// Write implements Port. It goes through the side descriptor, which does not block: tarm's Write could not be given
// up while the other side holds back the flow, and would keep the process from stopping.
func (t *tty) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		events, err := t.wait(unix.POLLOUT)
		if err != nil {
			return done, err
		}
		if events&(unix.POLLHUP|unix.POLLERR) != 0 {
			return done, t.vanished(nil)
		}
		n, err := unix.Write(t.side, b[done:])
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, t.vanished(err)
		}
		done += n
	}
	return done, nil
}

// SetDeadline implements Port.
func (t *tty) SetDeadline(at time.Time) error {
	t.deadline = at
	return nil
}

// Close gives the port free. What was written and has not left yet is thrown away: with the flow held back, closing
// would wait half a minute for it.
func (t *tty) Close() error {
	if t.side < 0 {
		return os.ErrClosed
	}
	unix.IoctlSetInt(t.side, unix.TCFLSH, unix.TCOFLUSH) // fails only on a wire that is gone
	unix.IoctlSetInt(t.side, unix.TIOCNXCL, 0)
	err := errors.Join(t.port.Close(), release(t.side))
	t.side, t.gone = -1, os.ErrClosed // the number may be somebody else's by now
	return err
}

// release gives the lock back before closing: a process that is just being started holds a copy of every descriptor.
func release(side int) error {
	unix.Flock(side, unix.LOCK_UN)
	return unix.Close(side)
}

// wait waits until the wire is ready for what is asked, or gone, and returns poll's answer.
func (t *tty) wait(what int16) (int16, error) {
	for {
		if t.gone != nil {
			return 0, t.gone
		}
		now := time.Now()
		if now.Sub(t.looked) >= lookEvery {
			if err := t.look(now); err != nil {
				return 0, err
			}
		}
		slice := lookEvery
		if !t.deadline.IsZero() {
			if slice = min(slice, t.deadline.Sub(now)); slice <= 0 {
				return 0, os.ErrDeadlineExceeded
			}
		}
		fds := []unix.PollFd{{Fd: int32(t.side), Events: what}}
		timeout := unix.NsecToTimespec(int64(slice))
		n, err := unix.Ppoll(fds, &timeout, nil)
		if err != nil && err != unix.EINTR { // the runtime's own signals interrupt it
			return 0, t.vanished(err)
		}
		if n > 0 && err == nil {
			return fds[0].Revents, nil
		}
	}
}

// look checks that the configured name leads to the open device. Once elsewhere may be udev renewing its names.
func (t *tty) look(now time.Time) error {
	t.looked = now
	var st unix.Stat_t
	err := unix.Stat(t.path, &st)
	if err == nil && uint64(st.Rdev) == t.rdev {
		t.strayed = false
		return nil
	}
	if !t.strayed {
		t.strayed = true
		return nil
	}
	return t.vanished(err)
}

// vanished keeps the verdict: a wire that is gone stays gone.
func (t *tty) vanished(err error) error {
	t.gone = &Error{CodeGone, fmt.Sprintf("port vanished (USB unplugged?), waiting for %s", t.path), err}
	return t.gone
}

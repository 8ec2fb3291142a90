package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// A Scale is a bench scale that prints its weight all the time, as Ohaus scales do in continuous mode:
// "      12.48 kg\r\n", with " ?" behind it while the weight is not stable.
type Scale struct {
	master, slave *os.File
	path          string
	rand          *rand.Rand
	load, shown   float64 // kg: what lies on it, what the display has crept up to
	stays         int     // prints until the load changes
}

// NewScale opens a pseudo terminal for the scale. It prints nothing until Run.
func NewScale() (*Scale, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("scale: %w", err)
	}
	s := &Scale{master: master, slave: slave, path: slave.Name(), rand: rand.New(rand.NewPCG(1, 2))}
	if err := errors.Join(raw(slave), s.unblock()); err != nil {
		s.Close()
		return nil, fmt.Errorf("scale: %w", err)
	}
	return s, nil
}

// unblock makes the deadlines of the master work: creack/pty leaves it blocking.
func (s *Scale) unblock() error {
	fd, err := unix.FcntlInt(s.master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	blocking := s.master
	s.master = os.NewFile(uintptr(fd), blocking.Name())
	return blocking.Close()
}

// raw keeps the terminal from changing line ends and from echoing, also before somebody opens it.
func raw(tty *os.File) error {
	t, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	return unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, t)
}

// Path is the serial port to open.
func (s *Scale) Path() string { return s.path }

// Run prints a line every period until ctx is done, and returns nil then. Nobody listening is no error: the lines are lost.
func (s *Scale) Run(ctx context.Context, every time.Duration) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		// A terminal whose buffer is full must not hold the scale.
		if err := s.master.SetWriteDeadline(time.Now().Add(min(every, 100*time.Millisecond))); err != nil {
			return fmt.Errorf("scale: %w", err)
		}
		if _, err := s.master.WriteString(s.line()); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("scale: %w", err)
		}
	}
}

// Close takes the scale off the line: its port vanishes.
func (s *Scale) Close() error {
	return errors.Join(s.master.Close(), s.slave.Close())
}

// line is what the scale prints next. Something is put on it or taken off now and then, and the display follows.
func (s *Scale) line() string {
	if s.stays--; s.stays < 0 {
		s.stays = 8 + s.rand.IntN(20)
		s.load = max(0, s.load+s.rand.NormFloat64()*4)
		if s.load > 30 || s.rand.IntN(5) == 0 {
			s.load = 0
		}
	}
	s.shown += (s.load - s.shown) * 0.6
	off := s.load - s.shown
	unstable := ""
	if off > 0.02 || off < -0.02 {
		unstable = " ?"
	} else {
		s.shown = s.load
	}
	return fmt.Sprintf("%11.2f kg%s\r\n", s.shown, unstable)
}

package port

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// tarmBaud is what tarm opens every tty with, for it knows only a table of rates; configure sets the real one at once.
const tarmBaud = 9600

const xon, xoff = 0x11, 0x13

// Device numbers of pseudo terminals (Linux, Documentation/admin-guide/devices.txt).
const firstPTY, lastPTY = 136, 143

// configure sets through the side descriptor what tarm left out, and throws away what was received in another mode
// or before we listened.
func configure(side int, rdev uint64, m Mode) error {
	t, err := unix.IoctlGetTermios(side, unix.TCGETS2)
	if err != nil {
		return err
	}
	// tarm ignores parity errors, and so hands on the damaged character. This makes it NUL, in 8N1 too (stop bit missing).
	t.Iflag = t.Iflag&^unix.IGNPAR | unix.INPCK
	t.Cflag = t.Cflag&^unix.CBAUD | unix.BOTHER
	t.Ispeed, t.Ospeed = uint32(m.Baud), uint32(m.Baud)
	switch m.Flow {
	case "xonxoff":
		t.Iflag |= unix.IXON | unix.IXOFF
		t.Cc[unix.VSTART], t.Cc[unix.VSTOP] = xon, xoff
	case "rtscts":
		t.Cflag |= unix.CRTSCTS
	}
	if err := unix.IoctlSetTermios(side, unix.TCSETS2, t); err != nil {
		return err
	}
	// A driver takes the nearest rate it has, without a word. Up to 3 % off, characters still come through.
	got, err := unix.IoctlGetTermios(side, unix.TCGETS2)
	if err != nil {
		return err
	}
	if off := int64(got.Ospeed) - int64(m.Baud); off*100 > 3*int64(m.Baud) || off*100 < -3*int64(m.Baud) {
		return fmt.Errorf("its nearest baud rate is %d", got.Ospeed)
	}
	// On a pseudo terminal the flag would outlive us (kill -9) as long as its other side is open, and lock us out.
	if major := unix.Major(rdev); major < firstPTY || major > lastPTY {
		if err := unix.IoctlSetInt(side, unix.TIOCEXCL, 0); err != nil {
			return err
		}
	}
	return unix.IoctlSetInt(side, unix.TCFLSH, unix.TCIFLUSH)
}

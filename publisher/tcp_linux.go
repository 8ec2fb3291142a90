package publisher

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tune makes the kernel end a connection whose peer acknowledges nothing for so long, instead of after a quarter of an
// hour, and keep no more than so many bytes that the network has not taken yet.
func tune(deadPeer time.Duration, unsent int) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeer.Milliseconds()))
			if err == nil {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
			}
		}); e != nil {
			return e
		}
		return err
	}
}

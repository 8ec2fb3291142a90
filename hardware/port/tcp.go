package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dialTimeout = 10 * time.Second
	// A dead device server or a pulled cable shows after 15 + 3·5 s when silent, and after 20 s when written to.
	keepIdle, keepInterval, keepCount = 15 * time.Second, 5 * time.Second, 3
	userTimeout                       = 20 * time.Second
)

// A stream is a raw TCP connection. Its errors name the host.
type stream struct {
	net.Conn
	addr string
}

func openTCP(ctx context.Context, addr string) (Port, error) {
	d := net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepInterval, Count: keepCount},
		Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			if e := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
			}); e != nil {
				return e
			}
			return err
		},
	}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Error{CodeNoHost, fmt.Sprintf("%s is not reached: host on, cable in, address and port right?", addr), cause(err)}
	}
	return &stream{Conn: c, addr: addr}, nil
}

func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	return n, s.explain(err)
}

func (s *stream) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	return n, s.explain(err)
}

func (s *stream) explain(err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return &Error{CodeHungUp, fmt.Sprintf("connection to %s ended", s.addr), cause(err)}
}

// cause leaves out what package net repeats: operation and addresses, a port number of ours that differs each time.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

package port

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestStreamReadsWritesAndSaysWhenItEnded(t *testing.T) {
	l := listen(t)
	p, err := Open(t.Context(), Config{TCP: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p.SetDeadline(within(20 * time.Millisecond))
	if n, err := p.Read(make([]byte, 10)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silence: %d bytes, %v; want the deadline", n, err)
	}
	p.SetDeadline(within(5 * time.Second))
	p.Write([]byte("ask"))
	io.CopyN(peer, peer, 3)
	got := make([]byte, 3)
	if _, err := io.ReadFull(p, got); err != nil || string(got) != "ask" {
		t.Errorf("echo %q, %v", got, err)
	}
	peer.Close()
	if _, err := p.Read(got); !errors.Is(err, io.EOF) || CodeOf(err) != CodeHungUp || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("end: %v, want one that names the host", err)
	}
}

func TestDeadPeerIsNoticed(t *testing.T) {
	l := listen(t)
	p, err := Open(t.Context(), Config{TCP: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	raw, err := p.(*stream).Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for option, want := range map[int]int{unix.TCP_KEEPIDLE: 15, unix.TCP_KEEPINTVL: 5, unix.TCP_KEEPCNT: 3, unix.TCP_USER_TIMEOUT: 20000} {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil || got != want {
				t.Errorf("option %d is %d (%v), want %d", option, got, err, want)
			}
		}
	})
}

func TestHostThatIsNotReachedIsNamed(t *testing.T) {
	l := listen(t)
	addr := l.Addr().String()
	l.Close()
	if _, err := Open(t.Context(), Config{TCP: addr}); CodeOf(err) != CodeNoHost || !strings.Contains(err.Error(), addr) {
		t.Errorf("got %v, want an error that names %s", err, addr)
	}
}

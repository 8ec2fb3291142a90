package port

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newPTY is a pseudo terminal: what is written to the master is what the equipment says.
func newPTY(t *testing.T) (master *os.File, path string) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave.Name()
}

func open(t *testing.T, path, mode string) Port {
	t.Helper()
	m, err := ParseMode(mode)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(t.Context(), Config{TTY: path, Mode: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func within(d time.Duration) time.Time { return time.Now().Add(d) }

// A terminal that is not raw changes some of them, and takes others for itself.
var everyByte = func() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}()

func TestEveryByteArrivesUnchangedBothWays(t *testing.T) {
	master, path := newPTY(t)
	p := open(t, path, "9600 8N1")
	p.SetDeadline(within(5 * time.Second))

	if _, err := master.Write(everyByte); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 256)
	if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, everyByte) {
		t.Errorf("read % x (%v), want every byte", got, err)
	}
	if _, err := p.Write(everyByte); err != nil {
		t.Fatal(err)
	}
	clear(got)
	if _, err := io.ReadFull(master, got); err != nil || !bytes.Equal(got, everyByte) {
		t.Errorf("equipment got % x (%v), want every byte", got, err)
	}
}

func TestSilenceEndsAtTheDeadline(t *testing.T) {
	_, path := newPTY(t)
	p := open(t, path, "9600 8N1")
	for _, d := range []time.Duration{-time.Second, 3 * time.Millisecond, 250 * time.Millisecond} {
		start := time.Now()
		p.SetDeadline(start.Add(d))
		n, err := p.Read(make([]byte, 10))
		if took := time.Since(start); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || took < d || took > max(d, 0)+400*time.Millisecond {
			t.Errorf("deadline in %v: %d bytes, %v, after %v", d, n, err, took)
		}
	}
}

func TestVanishedPortIsAnErrorAtOnceAndForEver(t *testing.T) {
	master, path := newPTY(t)
	p := open(t, path, "9600 8N1")
	p.SetDeadline(within(time.Second))
	read := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 10))
		read <- err
	}()
	start := time.Now()
	master.Close()
	if err := <-read; CodeOf(err) != CodeGone || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		t.Errorf("read: %v, want a vanished port", err)
	}
	if took := time.Since(start); took > 200*time.Millisecond {
		t.Errorf("noticed after %v, want at most 200 ms", took)
	}
	p.SetDeadline(time.Time{})
	if _, err := p.Read(make([]byte, 10)); CodeOf(err) != CodeGone || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("second read: %v, want a vanished port", err)
	}
	if _, err := p.Write([]byte("x")); CodeOf(err) != CodeGone || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v, want a vanished port", err)
	}
}

func TestNameThatMovedToAnotherPortIsVanished(t *testing.T) {
	_, first := newPTY(t)
	_, second := newPTY(t)
	link := filepath.Join(t.TempDir(), "usb-FTDI-port0")
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	p := open(t, link, "9600 8N1")
	if err := errors.Join(os.Remove(link), os.Symlink(second, link)); err != nil {
		t.Fatal(err)
	}
	p.SetDeadline(within(3 * time.Second))
	if _, err := p.Read(make([]byte, 10)); CodeOf(err) != CodeGone || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v, want a vanished port", err)
	}
}

func TestNameThatIsAwayForAMomentDoesNoHarm(t *testing.T) {
	master, first := newPTY(t)
	link := filepath.Join(t.TempDir(), "usb-FTDI-port0")
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	p := open(t, link, "9600 8N1").(*tty)
	os.Remove(link)
	if err := p.look(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	if err := p.look(time.Now()); err != nil {
		t.Fatal(err)
	}
	os.Remove(link)
	if err := p.look(time.Now()); err != nil {
		t.Errorf("away once, back, and away once more: %v, want patience", err)
	}
	master.Write([]byte("x"))
	p.SetDeadline(within(time.Second))
	if n, err := p.Read(make([]byte, 10)); n != 1 {
		t.Errorf("read %d bytes, %v; want one", n, err)
	}
}

func TestBytesFromBeforeOpeningAreNotRead(t *testing.T) {
	master, path := newPTY(t)
	raw := open(t, path, "9600 8N1") // sets the terminal raw, so that it takes the bytes at once
	raw.Close()
	if _, err := master.Write([]byte("from last night\r\n")); err != nil {
		t.Fatal(err)
	}
	p := open(t, path, "9600 8N1")
	p.SetDeadline(within(50 * time.Millisecond))
	if n, err := p.Read(make([]byte, 10)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v; want none", n, err)
	}
}

func TestWriteEndsAtTheDeadlineWhenNobodyTakesIt(t *testing.T) {
	_, path := newPTY(t)
	p := open(t, path, "9600 8N1 xonxoff")
	p.SetDeadline(within(100 * time.Millisecond))
	start := time.Now()
	if n, err := p.Write(make([]byte, 1<<20)); n == 1<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote %d bytes, %v; want the deadline", n, err)
	}
	if err := p.Close(); err != nil || time.Since(start) > time.Second {
		t.Errorf("writing and closing took %v, %v", time.Since(start), err)
	}
}

func TestModeReachesTheTerminal(t *testing.T) {
	_, path := newPTY(t)
	p := open(t, path, "31250 8N1 xonxoff").(*tty)
	got, err := unix.IoctlGetTermios(p.side, unix.TCGETS2)
	if err != nil {
		t.Fatal(err)
	}
	if got.Ospeed != 31250 || got.Ispeed != 31250 {
		t.Errorf("speed %d/%d, want 31250", got.Ispeed, got.Ospeed)
	}
	if got.Iflag != unix.INPCK|unix.IXON|unix.IXOFF || got.Cc[unix.VSTOP] != xoff || got.Cc[unix.VSTART] != xon {
		t.Errorf("input flags %#x, stop %#x, start %#x", got.Iflag, got.Cc[unix.VSTOP], got.Cc[unix.VSTART])
	}
	if got.Lflag != 0 || got.Oflag != 0 {
		t.Errorf("local and output flags %#x, %#x: want a raw terminal", got.Lflag, got.Oflag)
	}
	if got.Cc[unix.VMIN] != 0 || got.Cc[unix.VTIME] != 1 {
		t.Errorf("VMIN %d, VTIME %d: a read could block for ever", got.Cc[unix.VMIN], got.Cc[unix.VTIME])
	}
}

func TestPortInUseNamesTheHolder(t *testing.T) {
	_, path := newPTY(t)
	p := open(t, path, "9600 8N1")
	if _, err := Open(t.Context(), Config{TTY: path, Mode: Mode{9600, 8, 'N', 1, ""}}); CodeOf(err) != CodeBusy ||
		!strings.Contains(err.Error(), "another link of this program") {
		t.Errorf("second link: %v", err)
	}
	p.Close()
	open(t, path, "9600 8N1").Close()

	if _, err := exec.LookPath("flock"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("flock is not installed: .ci/run must install it")
		}
		t.Skip("left out: flock is not installed")
	}
	other := exec.Command("flock", path, "sh", "-c", "echo locked; read line")
	in, _ := other.StdinPipe()
	out, _ := other.StdoutPipe()
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(out, make([]byte, len("locked\n")))
	_, err := Open(t.Context(), Config{TTY: path, Mode: Mode{9600, 8, 'N', 1, ""}})
	if CodeOf(err) != CodeBusy || !strings.Contains(err.Error(), "flock (process ") {
		t.Errorf("other program: %v", err)
	}
	in.Close()
	other.Wait()
	open(t, path, "9600 8N1")
}

// A child process holds copies of our descriptors, and of their locks, until it runs its own program.
func TestClosedPortIsFreeAtOnceWhileProgramsAreStarted(t *testing.T) {
	_, path := newPTY(t)
	stop := make(chan struct{})
	var starting sync.WaitGroup
	starting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				exec.Command("true").Run()
			}
		}
	})
	for range 500 {
		open(t, path, "9600 8N1").Close()
	}
	close(stop)
	starting.Wait()
}

func TestWhatCannotBeOpenedSaysWhatToCheck(t *testing.T) {
	for path, want := range map[string]string{
		filepath.Join(t.TempDir(), "ttyUSB9"): CodeGone,
		"/dev/null":                           CodeNotTTY,
		t.TempDir():                           CodeNotTTY,
	} {
		_, err := Open(t.Context(), Config{TTY: path, Mode: Mode{9600, 8, 'N', 1, ""}})
		if err == nil || CodeOf(err) != want || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want code %s and the path", path, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Config{TTY: "/dev/null"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

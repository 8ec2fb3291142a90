package serial_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"legacybridge/adapters"
	"legacybridge/adapters/adapterstest"
	"legacybridge/adapters/serial"
	"legacybridge/hardware/port"
)

var mode = port.Mode{Baud: 9600, Bits: 8, Parity: 'N', Stop: 1}

// plug makes a pseudo terminal: the adapter, and the equipment at its other side.
func plug(t *testing.T) (equipment *os.File, path string) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave.Name()
}

// collect is a sink that hands the values on.
func collect(values chan string) adapters.Sink {
	return func(_ context.Context, b adapters.Batch) error {
		for _, r := range b.Readings {
			if r.Fault != nil {
				values <- r.Fault.Code
				continue
			}
			values <- r.Values[0]
		}
		return nil
	}
}

// supervise runs a source as the program does, until the test ends.
func supervise(t *testing.T, cfg serial.Config, reopen time.Duration) (values chan string) {
	t.Helper()
	cfg.Link, cfg.Frame.End = "line", []byte("\r\n")
	src, err := serial.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	values = make(chan string, 1000)
	s := adapters.Supervisor{Source: src, Put: collect(values), Reopen: reopen, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("the supervisor returned %v", err)
		}
	})
	return values
}

// sayUntil repeats a line until a value arrives, and returns that and how long it took.
func sayUntil(t *testing.T, w io.Writer, line string, values chan string) (string, time.Duration) {
	t.Helper()
	start := time.Now()
	for time.Since(start) < 10*time.Second {
		io.WriteString(w, line+"\r\n") // nobody may listen yet
		select {
		case v := <-values:
			return v, time.Since(start)
		case <-time.After(120 * time.Millisecond):
		}
	}
	t.Fatalf("%q did not arrive", line)
	return "", 0
}

// The adapter is pulled, and comes back under another number; its name by-id leads there.
func TestPluggedInAgainReadsWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	first, path := plug(t)
	byID := filepath.Join(t.TempDir(), "usb-FTDI_FT232R-port0")
	if err := os.Symlink(path, byID); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var down []string
	values := supervise(t, serial.Config{Port: port.Config{TTY: byID, Mode: mode}, Devices: []serial.Device{listener("a")},
		Report: func(s adapters.State) {
			mu.Lock()
			defer mu.Unlock()
			if s.Health == adapters.Down {
				down = append(down, s.Code)
			}
		}}, 2*time.Second)
	if v, _ := sayUntil(t, first, "a 1", values); v != "1" {
		t.Errorf("before: %q", v)
	}

	os.Remove(byID)
	first.Close()
	second, path := plug(t)
	if err := os.Symlink(path, byID); err != nil {
		t.Fatal(err)
	}
	if v, took := sayUntil(t, second, "a 2", values); v != "2" || took > 5*time.Second {
		t.Errorf("plugged in again: %q after %v, want 2 within 5 s", v, took)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(down) == 0 || down[0] != "SER004" {
		t.Errorf("reported %q, want SER004", down)
	}
}

func TestSocatPairIsRead(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("socat"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("socat is not installed")
		}
		t.Skip("left out: socat is not installed")
	}
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	socat := exec.CommandContext(t.Context(), "socat", "-d", "-d", "pty,raw,echo=0,link="+ours, "pty,raw,echo=0,link="+theirs)
	log, err := socat.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := socat.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socat.Process.Kill(); socat.Wait() })
	awaitText(t, log, "starting data transfer loop")

	values := supervise(t, serial.Config{Port: port.Config{TTY: ours, Mode: mode}, Devices: []serial.Device{listener("a")}}, 100*time.Millisecond)
	scale, err := os.OpenFile(theirs, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer scale.Close()
	if v, _ := sayUntil(t, scale, "a 42", values); v != "42" {
		t.Errorf("got %q, want 42", v)
	}
}

// awaitText reads until the text comes, and the rest in vain.
func awaitText(t *testing.T, r io.Reader, text string) {
	t.Helper()
	var seen []byte
	b := make([]byte, 1024)
	for len(seen) < 1<<16 {
		n, err := r.Read(b)
		if seen = append(seen, b[:n]...); len(seen) >= len(text) && contains(seen, text) {
			go io.Copy(io.Discard, r)
			return
		}
		if err != nil {
			break
		}
	}
	t.Fatalf("no %q in %q", text, seen)
}

func contains(b []byte, text string) bool {
	for i := 0; i+len(text) <= len(b); i++ {
		if string(b[i:i+len(text)]) == text {
			return true
		}
	}
	return false
}

func TestInstrumentOnATerminalIsAsked(t *testing.T) {
	t.Parallel()
	instrument, path := plug(t)
	n := 0
	go func() {
		in := make([]byte, 100)
		for {
			k, err := instrument.Read(in)
			if err != nil {
				return
			}
			if string(in[:k]) == "a?\n" {
				n++
				fmt.Fprintf(instrument, "%d\r\n", n)
			}
		}
	}()
	d := asked("a", 20*time.Millisecond)
	d.Ask.Timeout = 200 * time.Millisecond
	values := supervise(t, serial.Config{Port: port.Config{TTY: path, Mode: mode}, Devices: []serial.Device{d}}, 100*time.Millisecond)
	for want := 1; want <= 5; want++ {
		select {
		case v := <-values:
			if v != fmt.Sprint(want) {
				t.Errorf("answer %q, want %d", v, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("answer %d did not come", want)
		}
	}
}

// number reads the records of the contract test: "a 17".
func number(r adapters.Reading) (n int, ok bool) {
	if r.Fault != nil {
		return 0, false
	}
	_, err := fmt.Sscan(r.Values[0], &n)
	return n, err == nil
}

func TestTTYKeepsTheContract(t *testing.T) {
	t.Parallel()
	equipment, path := plug(t)
	cfg := serial.Config{Link: "line", Port: port.Config{TTY: path, Mode: mode}, Frame: serial.Frame{End: []byte("\r\n")},
		Devices: []serial.Device{listener("a")}}
	if p, err := port.Open(t.Context(), cfg.Port); err != nil { // raw from the first byte
		t.Fatal(err)
	} else {
		p.Close()
	}
	adapterstest.Run(t, adapterstest.Contract{
		New: func() (adapters.Source, error) { return serial.New(cfg) },
		Produce: func(n int, _ func()) error { // without a start byte, half a line after opening is a line
			_, err := fmt.Fprintf(equipment, "a %d\r\n", n)
			return err
		},
		Number: number, Live: true, Records: 30,
	})
}

// A server is a device server: what the equipment says goes to the one who is connected, or nowhere.
type server struct {
	net.Listener
	mu   sync.Mutex
	conn net.Conn
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			if s.conn != nil {
				s.conn.Close()
			}
			s.conn = conn
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done; s.hangUp() })
	return s
}

func (s *server) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Write(b)
	}
	return len(b), nil
}

func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func TestTCPStreamKeepsTheContract(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	cfg := serial.Config{Link: "line", Port: port.Config{TCP: s.Addr().String()},
		Frame: serial.Frame{Start: []byte("a "), End: []byte("\r\n")}, Devices: []serial.Device{listener("a")}}
	adapterstest.Run(t, adapterstest.Contract{
		New: func() (adapters.Source, error) { return serial.New(cfg) },
		Produce: func(n int, half func()) error {
			io.WriteString(s, "a ")
			half()
			_, err := fmt.Fprintf(s, "%d\r\n", n)
			return err
		},
		Number: number, Live: true, Records: 30,
	})
}

func TestTCPStreamThatHungUpIsOpenedAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	values := supervise(t, serial.Config{Port: port.Config{TCP: s.Addr().String()}, Devices: []serial.Device{listener("a")}}, 100*time.Millisecond)
	if v, _ := sayUntil(t, s, "a 1", values); v != "1" {
		t.Errorf("before: %q", v)
	}
	s.hangUp()
	if v, took := sayUntil(t, s, "a 2", values); v != "2" || took > 3*time.Second {
		t.Errorf("after: %q in %v", v, took)
	}
}

func TestAskedInstrumentKeepsTheContract(t *testing.T) {
	t.Parallel()
	n := 0
	var answering sync.WaitGroup
	d := asked("a", 10*time.Millisecond)
	d.Ask.Timeout = 50 * time.Millisecond
	cfg := serial.Config{Link: "line", Frame: serial.Frame{End: []byte("\r\n")}, Devices: []serial.Device{d},
		Dial: func(context.Context) (port.Port, error) {
			ours, theirs := net.Pipe()
			answering.Go(func() {
				defer theirs.Close()
				for in := make([]byte, 100); ; n++ {
					if _, err := theirs.Read(in); err != nil {
						return
					}
					fmt.Fprintf(theirs, "%d\r\n", n)
				}
			})
			return ours, nil
		}}
	adapterstest.Run(t, adapterstest.Contract{
		New:    func() (adapters.Source, error) { answering.Wait(); return serial.New(cfg) },
		Number: number, Live: true, Records: 30,
	})
	answering.Wait()
}

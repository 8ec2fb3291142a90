package serial_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"legacybridge/adapters"
	"legacybridge/adapters/serial"
	"legacybridge/hardware/port"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a source over a pipe: the test is the equipment at the other end, and the sink. It is for virtual time.
type rig struct {
	t    *testing.T
	src  *serial.Source
	end  chan net.Conn // the equipment's end of each opening
	conn net.Conn      // the current one
	stop context.CancelFunc
	over chan error
	talk sync.WaitGroup // of answer

	mu     sync.Mutex
	got    []adapters.Reading
	states []adapters.State
}

// newRig runs a source until the test ends, over an opening that it has already made.
func newRig(t *testing.T, cfg serial.Config) *rig {
	t.Helper()
	r := &rig{t: t, end: make(chan net.Conn, 100), over: make(chan error, 1)}
	cfg.Link = "line"
	if cfg.Frame.End == nil && cfg.Frame.Idle == 0 && cfg.Frame.Length == 0 {
		cfg.Frame.End = []byte("\r\n")
	}
	cfg.Dial = func(context.Context) (port.Port, error) {
		ours, theirs := net.Pipe()
		r.end <- theirs
		return ours, nil
	}
	cfg.Report = func(s adapters.State) {
		r.mu.Lock()
		r.states = append(r.states, s)
		r.mu.Unlock()
	}
	src, err := serial.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.src = src
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() { r.over <- src.Run(ctx, nil, r.put) }()
	r.conn = <-r.end
	t.Cleanup(func() { cancel(); r.conn.Close() })
	return r
}

func (r *rig) put(_ context.Context, b adapters.Batch) error {
	r.mu.Lock()
	r.got = append(r.got, b.Readings...)
	r.mu.Unlock()
	return nil
}

// finish stops the source and the equipment.
func (r *rig) finish() {
	r.t.Helper()
	r.stop()
	if err := <-r.over; err != nil {
		r.t.Errorf("Run returned %v when it was stopped", err)
	}
	r.conn.Close()
	r.talk.Wait()
}

func (r *rig) say(text string) {
	r.conn.SetWriteDeadline(time.Now().Add(time.Minute))
	if _, err := r.conn.Write([]byte(text)); err != nil {
		r.t.Errorf("say %q: %v", text, err)
	}
}

// answer runs equipment that answers lines: what reply returns, after its delay. Nothing is no answer.
func (r *rig) answer(reply func(question string) (text string, after time.Duration)) {
	conn := r.conn
	r.talk.Go(func() {
		in := bufio.NewScanner(conn)
		for in.Scan() {
			text, after := reply(in.Text())
			if text != "" {
				time.AfterFunc(after, func() { conn.Write([]byte(text + "\r\n")) })
			}
		}
	})
}

// readings shows what has arrived, and forgets it.
func (r *rig) readings() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, g := range r.got {
		text := g.Device + " " + strings.Join(g.Values, ",")
		if g.Fault != nil {
			text = strings.TrimSpace(g.Device + " " + g.Fault.Code)
		}
		out = append(out, text)
	}
	r.got = nil
	return strings.Join(out, "; ")
}

func (r *rig) state() adapters.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.states) == 0 {
		return adapters.State{}
	}
	return r.states[len(r.states)-1]
}

// listener is a device that talks by itself: lines "NAME VALUE".
func listener(name string) serial.Device {
	return serial.Device{Name: name, Lines: []*regexp.Regexp{regexp.MustCompile(`^` + name + ` (?<v>\d+)$`)},
		Points: []serial.Point{{Name: "v", Group: "v"}}}
}

// asked is a device that answers with a bare number, like every other of its kind.
func asked(name string, every time.Duration) serial.Device {
	return serial.Device{Name: name, Lines: []*regexp.Regexp{regexp.MustCompile(`^(?<v>\d+)$`)}, Every: every,
		Ask: &serial.Ask{Send: fmt.Appendf(nil, "%s?\n", name)}, Points: []serial.Point{{Name: "v", Group: "v"}}}
}

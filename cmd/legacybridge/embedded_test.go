package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// An embedded is `legacybridge platform --stats`, running.
type embedded struct {
	t                   testing.TB
	addr, config, state string
	user, token         string
	cmd                 *exec.Cmd
	stderr              *syncBuffer
	mu                  sync.Mutex
	last                platformStats
	lines               int
}

// platformStats is what a script would read of `platform --stats --json`.
type platformStats struct {
	Events  float64 `json:"events_per_s"`
	Waiting int     `json:"waiting"`
	Dropped int     `json:"dropped"`
	Members []struct {
		Member    string
		Client    string
		Connected bool
		Sent      int
	}
}

// startEmbedded runs a platform with its own key; more is further lines of [local].
func startEmbedded(t testing.TB, more string) *embedded {
	t.Helper()
	p := &embedded{t: t, addr: freeAddr(t), config: filepath.Join(t.TempDir(), "local.toml"), state: t.TempDir(), stderr: &syncBuffer{}}
	text := fmt.Sprintf("schema = 1\n[local]\nlisten = %q\n%s\n", p.addr, more)
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the platform said:\n%.20000s", p.stderr.String())
		}
	})
	p.start()
	kept, err := os.ReadFile(filepath.Join(p.state, "local", "key.json"))
	var key struct {
		Key   string `json:"api_key"`
		Token string
	}
	if err == nil {
		err = json.Unmarshal(kept, &key)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.user, p.token = key.Key, key.Token
	return p
}

func (p *embedded) start() {
	p.t.Helper()
	p.cmd = exec.Command(program, "platform", "--stats", "--json", "-c", p.config, "--state", p.state)
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	go p.read(out)
	waitDial(p.t, p.addr)
}

func (p *embedded) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var s platformStats
		if json.Unmarshal(lines.Bytes(), &s) == nil {
			p.mu.Lock()
			p.last = s
			p.lines++
			p.mu.Unlock()
		}
	}
}

func (p *embedded) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// stats returns a line that was measured after the call.
func (p *embedded) stats() platformStats {
	p.t.Helper()
	count := func() (platformStats, int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.last, p.lines
	}
	_, before := count()
	waitFor(p.t, 20*time.Second, "line of --stats", func() bool { _, now := count(); return now > before+1 }) // the next one may be under way
	last, _ := count()
	return last
}

// run runs another command beside the platform, to its end.
func (p *embedded) run(args ...string) string {
	p.t.Helper()
	cmd := p.command(args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, said.String())
	}
	return string(out)
}

func (p *embedded) command(args ...string) *exec.Cmd {
	return exec.Command(program, append(args, "-c", p.config, "--state", p.state)...)
}

// options are those of an application with the platform's key.
func (p *embedded) options(id string, clean bool) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker("tcp://" + p.addr).SetClientID(id).SetCleanSession(clean).SetProtocolVersion(4).
		SetUsername(p.user).SetPassword(p.token).SetKeepAlive(30 * time.Second).
		SetAutoReconnect(true).SetMaxReconnectInterval(100 * time.Millisecond).SetConnectRetry(true).SetConnectRetryInterval(100 * time.Millisecond)
}

// A tally counts the numbers in the payloads of `stress`.
type tally struct {
	mu   sync.Mutex
	seen map[int]int
	n    int
}

func (c *tally) add(payload []byte) {
	var body struct {
		D struct{ N int }
	}
	if json.Unmarshal(payload, &body) != nil {
		return // half a line of a process that was killed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[int]int{}
	}
	c.seen[body.D.N]++
	c.n++
}

func (c *tally) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// take returns what was counted, and begins anew.
func (c *tally) take() map[int]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen, c.n = nil, 0
	return seen
}

// A member is `legacybridge watch events --scalable`, running.
type member struct {
	tally
	cmd    *exec.Cmd
	stderr *syncBuffer
	read   chan struct{}
	hold   sync.Mutex // held to read nothing
}

// join starts a member of the application back, and returns once it has subscribed.
func (p *embedded) join(args ...string) *member {
	p.t.Helper()
	m := &member{stderr: &syncBuffer{}, read: make(chan struct{})}
	m.cmd = p.command(append([]string{"watch", "events", "--type", "stress", "--scalable", "--app", "back", "--json"}, args...)...)
	m.cmd.Stderr = m.stderr
	out, err := m.cmd.StdoutPipe()
	if err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(m.read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var line struct{ Payload json.RawMessage }
			m.hold.Lock()
			if json.Unmarshal(lines.Bytes(), &line) == nil {
				m.add(line.Payload)
			}
			m.hold.Unlock()
		}
	}()
	p.t.Cleanup(func() { m.end(os.Kill) })
	waitFor(p.t, 20*time.Second, "subscription of a member", func() bool { return strings.Contains(m.stderr.String(), "watching the platform") })
	return m
}

// end ends the process and reads what it had printed.
func (m *member) end(how os.Signal) {
	if m.cmd.ProcessState == nil {
		_ = m.cmd.Process.Signal(how)
		<-m.read
		_ = m.cmd.Wait()
	}
}

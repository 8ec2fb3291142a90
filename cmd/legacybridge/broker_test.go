package main_test

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// need finds a program that no one here wrote. CI has them all; elsewhere a missing one is said.
func need(t testing.TB, program string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/bin/"} {
		if path, err := exec.LookPath(dir + program); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: .ci/run must install it", program)
	}
	t.Skipf("left out: %s is not installed", program)
	return ""
}

// A mosquitto is the independent broker on a port of its own.
type mosquitto struct {
	t    testing.TB
	addr string
	conf string
	cmd  *exec.Cmd
}

// startMosquitto runs a broker that keeps every message for a slow subscriber: its defaults drop, and that would look like us.
func startMosquitto(t testing.TB, extra ...string) *mosquitto {
	t.Helper()
	need(t, "mosquitto")
	m := &mosquitto{t: t, addr: freeAddr(t), conf: filepath.Join(t.TempDir(), "mosquitto.conf")}
	_, port, _ := net.SplitHostPort(m.addr)
	lines := append([]string{
		"listener " + port + " 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "max_inflight_messages 0",
		"persistence true", "persistence_location " + t.TempDir() + "/", "user root",
	}, extra...)
	if err := os.WriteFile(m.conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	t.Cleanup(m.kill)
	return m
}

func (m *mosquitto) start() {
	m.t.Helper()
	m.cmd = exec.Command(need(m.t, "mosquitto"), "-c", m.conf)
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	waitDial(m.t, m.addr)
}

// stop ends the broker in order, so that it keeps its sessions on disk.
func (m *mosquitto) stop() {
	if m.cmd != nil {
		_ = m.cmd.Process.Signal(os.Interrupt)
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

func (m *mosquitto) kill() {
	if m.cmd != nil {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

// freeAddr is a loopback address that nobody listened on a moment ago.
func freeAddr(t testing.TB) string {
	t.Helper()
	addr, err := listenable()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func listenable() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func waitDial(t testing.TB, addr string) {
	t.Helper()
	waitFor(t, 10*time.Second, "a listener on "+addr, func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// waitFor polls a condition that has no event of its own: another process's doing.
func waitFor(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("no %s within %s", what, limit)
		}
	}
}

// A subscriber keeps everything that a broker delivers to it, in order.
type subscriber struct {
	client mqtt.Client
	mu     sync.Mutex
	got    []message
	unique map[message]struct{}
	marks  chan string
}

type message struct{ topic, payload string }

// subscribe listens to all event topics in a durable session, so that a broker's restart loses nothing of it.
func subscribe(t *testing.T, addr string) *subscriber {
	t.Helper()
	s := &subscriber{unique: map[message]struct{}{}, marks: make(chan string, 100)}
	opt := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("oracle").SetCleanSession(false).
		SetAutoReconnect(true).SetMaxReconnectInterval(200 * time.Millisecond).SetConnectRetry(true).SetProtocolVersion(4)
	opt.SetDefaultPublishHandler(s.take)
	s.client = mqtt.NewClient(opt)
	wait(t, s.client.Connect(), "connect")
	wait(t, s.client.Subscribe("iot-2/type/+/id/+/evt/+/fmt/+", 1, nil), "subscribe")
	t.Cleanup(func() { s.client.Disconnect(50) })
	return s
}

func wait(t testing.TB, tok mqtt.Token, what string) {
	t.Helper()
	if !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatalf("%s: %v", what, tok.Error())
	}
}

func (s *subscriber) take(_ mqtt.Client, m mqtt.Message) {
	if m.Topic() == markTopic {
		s.marks <- string(m.Payload())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	got := message{m.Topic(), string(m.Payload())}
	if _, known := s.unique[got]; known && m.Duplicate() {
		return // the broker's own repeat to us, after its restart
	}
	s.got = append(s.got, got)
	s.unique[got] = struct{}{}
}

const markTopic = "iot-2/type/oracle/id/mark/evt/mark/fmt/json"

// settle returns once all that the broker had taken before has come here, and says how much that is: the broker delivers
// in order, so a mark sent now comes behind it. Twice, for what a killed program left in its socket.
func (s *subscriber) settle(t *testing.T) int {
	t.Helper()
	for range 2 {
		mark := rand.Text()
		wait(t, s.client.Publish(markTopic, 1, false, mark), "mark")
		for deadline := time.After(20 * time.Second); ; {
			select {
			case got := <-s.marks:
				if got != mark { // of a broker that was restarted meanwhile
					continue
				}
			case <-deadline:
				t.Fatal("no mark came back within 20 s: the broker does not deliver")
			}
			break
		}
	}
	return s.count()
}

func (s *subscriber) messages() []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[:len(s.got):len(s.got)]
}

func (s *subscriber) count() int { return len(s.messages()) }

// distinct counts different messages: what arrived, repeats left out.
func (s *subscriber) distinct() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.unique)
}

// A bridge is the real program, running.
type bridge struct {
	t      testing.TB
	cmd    *exec.Cmd
	stderr *syncBuffer
}

// startBridge runs `legacybridge run` on a configuration file.
func startBridge(t testing.TB, config, state string, args ...string) *bridge {
	t.Helper()
	return startBuild(t, program, nil, config, state, args...)
}

// startBuild runs a build of the program with variables of its own.
func startBuild(t testing.TB, binary string, env []string, config, state string, args ...string) *bridge {
	t.Helper()
	b := &bridge{t: t, stderr: &syncBuffer{}}
	b.cmd = exec.Command(binary, append([]string{"run", "-c", config, "--state", state}, args...)...)
	b.cmd.Env = append(os.Environ(), env...)
	b.cmd.Stderr, b.cmd.Stdout = b.stderr, b.stderr
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.kill()
		if t.Failed() {
			t.Logf("the bridge said:\n%s", b.stderr.String())
		}
	})
	return b
}

func (b *bridge) kill() {
	if b.cmd.ProcessState == nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
	}
}

// stop sends SIGTERM and returns the exit code; it must come within the promised 5 s, with a margin for a busy machine.
func (b *bridge) stop() int {
	b.t.Helper()
	_ = b.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = b.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(8 * time.Second):
		_ = b.cmd.Process.Kill()
		<-done
		b.t.Fatalf("still running 8 s after SIGINT:\n%s", b.stderr.String())
	}
	return b.cmd.ProcessState.ExitCode()
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// siteFile writes a configuration for one broker; body holds the links and devices.
func siteFile(t testing.TB, broker, body string) string {
	t.Helper()
	return siteFileWith(t, broker, "", body)
}

// siteFileWith has further keys of [platform].
func siteFileWith(t testing.TB, broker, platform, body string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "legacybridge.toml")
	text := fmt.Sprintf(`schema = 1
[site]
name = "test"
[platform]
server = "mqtt://%s"
org = "abc123"
api_key = "a-abc123-k"
token = { file = "token" }
backoff = { first = "100ms", max = "500ms", jitter = 0.2 }
%s
[web]
listen = "off"
`, broker, platform) + body
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "token"), []byte("test-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

package main_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const commandLine = `
[writes]
allow = true
[links.line]
serial = "%s"
allow_unstable = true
frame = { end = "\r\n", max = 64 }
[devices.scale]
type = "drive"
id = "FAN-3"
link = "line"
every = "100ms"
ask = { send = "SI\r\n", timeout = "500ms" }
line = '^S (?<state>[SD]) (?<weight>-?[\d.]+) g$'
[devices.scale.points]
weight = { from = "weight", type = "decimal", unit = "g" }
stable = { from = "state", enum = { S = true, D = false } }
[devices.scale.events.weight]
on_change = { weight = "any" }
[devices.scale.commands.zero]
send = "Z\r\n"
expect = '^Z A$'
verify = { point = "weight", within = "3s" }
args = { to = { type = "number", min = 0, max = 0 } }
reply = "zero_result"
[devices.scale.commands.label]
args = { text = { type = "text" } }
send = "D {text}\r\n"
expect = '^D A$'
only_if = "stable"
reply = "label_result"
`

// A balance answers SI, Z and D on its line, and keeps what it was told.
type balance struct {
	mu     sync.Mutex
	weight string
	told   []string
}

func (s *balance) talk(port *os.File) {
	in := bufio.NewScanner(port)
	for in.Scan() {
		s.mu.Lock()
		q, reply := strings.TrimRight(in.Text(), "\r"), ""
		switch {
		case q == "SI":
			reply = "S S " + s.weight + " g"
		case q == "Z":
			s.told, s.weight, reply = append(s.told, q), "0.00", "Z A"
		case q == "D full":
			s.told, reply = append(s.told, q), "D L"
		case strings.HasPrefix(q, "D "):
			s.told, reply = append(s.told, q), "D A"
		case q != "":
			s.told = append(s.told, q)
		}
		s.mu.Unlock()
		if reply != "" {
			fmt.Fprint(port, reply+"\r\n")
		}
	}
}

// Serial commands through the whole program, over a restart of the broker.
func TestCommandsOnASerialLine(t *testing.T) {
	t.Parallel()
	socat := need(t, "socat")
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	ours, theirs := ptyPair(t, socat, t.TempDir(), "scale")
	port, err := os.OpenFile(theirs, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	s := &balance{weight: "12.48"}
	go s.talk(port)
	state := t.TempDir()
	b := startBridge(t, siteFile(t, broker.addr, fmt.Sprintf(commandLine, ours)), state)
	listening(t, b)
	waitFor(t, 20*time.Second, "a first weighing", func() bool { return sub.count() > 0 })

	give := func(id, command, payload string, want string) {
		t.Helper()
		sub.order(t, command, payload, false)
		waitFor(t, 20*time.Second, "the reply to "+id, func() bool { _, n := replyTo(t, sub, id); return n > 0 })
		if r, _ := replyTo(t, sub, id); (want == "") != r.OK || !strings.Contains(r.Code+" "+r.Error, want) {
			t.Errorf("%s: got %+v, want %q", id, r, want)
		}
	}
	give("label", "label", `{"text":"Box 7","id":"label"}`, "")
	give("zero", "zero", `{"to":0,"id":"zero"}`, "")
	give("full", "label", `{"text":"full","id":"full"}`, `CMD016 scale answered "D L"`)
	give("inject", "label", `{"text":"x\r\nT","id":"inject"}`, "CMD012")

	broker.stop()
	broker.start()
	waitFor(t, 30*time.Second, "a new session for commands", func() bool {
		return strings.Count(b.stderr.String(), "waiting for commands") >= 2 || probed(t, sub)
	})
	give("again", "label", `{"text":"after","id":"again"}`, "")
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var told []string
	for _, q := range s.told {
		if !strings.HasPrefix(q, "D probe") {
			told = append(told, q)
		}
	}
	if got := strings.Join(told, "; "); got != "D Box 7; Z; D full; D after" {
		t.Errorf("the scale was told %q", got)
	}
	audit, err := os.ReadFile(filepath.Join(state, "writes.log"))
	if err != nil || !strings.Contains(string(audit), `value="D Box 7\r\n"`) || !strings.Contains(string(audit), `answer="Z A" readback="0.00"`) {
		t.Errorf("audit: %v\n%s", err, audit)
	}
}

// probed sends a probe and tells whether one was answered: the log line of a second session may be folded into the first.
func probed(t *testing.T, sub *subscriber) bool {
	t.Helper()
	if !sub.client.IsConnectionOpen() {
		return false
	}
	tok := sub.client.Publish("iot-2/type/drive/id/FAN-3/cmd/label/fmt/json", 1, false, fmt.Sprintf(`{"text":"probe","id":"probe-%d"}`, time.Now().UnixNano()))
	if !tok.WaitTimeout(time.Second) || tok.Error() != nil {
		return false
	}
	for _, r := range repliesOf(t, sub) {
		if strings.HasPrefix(r.ID, "probe-") {
			return true
		}
	}
	return false
}

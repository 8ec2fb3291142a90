package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mostAbove is how much more memory than before hostile input may make the program take, at any moment.
const mostAbove = 64 << 20

// memory is a figure of /proc/PID/status in bytes: VmHWM is the most that was ever resident.
func (b *bridge) memory(figure string) int {
	b.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		b.t.Fatal(err)
	}
	m := regexp.MustCompile(figure + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		b.t.Fatalf("no %s in %s", figure, text)
	}
	kb, _ := strconv.Atoi(string(m[1]))
	return kb << 10
}

// bounded wants that the program never took more than mostAbove beyond idle.
func (b *bridge) bounded(idle int) {
	b.t.Helper()
	peak := b.memory("VmHWM")
	b.t.Logf("%.1f MiB idle, %.1f MiB at most", float64(idle)/(1<<20), float64(peak)/(1<<20))
	if peak > idle+mostAbove {
		b.t.Errorf("%d MiB at most, %d MiB when idle: more than %d MiB above", peak>>20, idle>>20, mostAbove>>20)
	}
}

// dead returns the dead letters as `dead ls` shows them.
func deadLetters(t *testing.T, config, state string) string {
	t.Helper()
	out, err := exec.Command(program, "dead", "ls", "-c", config, "--state", state).Output()
	if err != nil {
		t.Fatalf("dead ls: %v", err)
	}
	return string(out)
}

// hostileLog is the device of one CSV file; a healthy one beside it must not notice anything.
const hostileLog = `
[links.%[1]s]
file = "%[2]s"
poll = "50ms"
[devices.%[1]s]
type = "logger"
id = "%[1]s"
link = "%[1]s"
[devices.%[1]s.points]
n = { column = "n", type = "int" }
[devices.%[1]s.events.row]
`

// healthy is a file beside the hostile one.
type healthy struct {
	*rowFile
	sub *subscriber
}

func (h *healthy) site() string { return fmt.Sprintf(logSite, h.path) }

// delivered appends rows, and wants all there ever were, exactly once and in order.
func (h *healthy) delivered(more int) {
	h.t.Helper()
	h.append(more)
	var got []message
	waitFor(h.t, 60*time.Second, "rows of the healthy file", func() bool {
		got = got[:0]
		for _, m := range h.sub.messages() {
			if strings.Contains(m.topic, "/id/LOG-1/") {
				got = append(got, m)
			}
		}
		return len(got) >= h.rows
	})
	o := newLogOracle(h.rows)
	v := o.judge(got)
	o.holdTo(h.t, v)
	if v.duplicates > 0 {
		h.t.Errorf("%d came twice, and nothing was cut", v.duplicates)
	}
}

// payloads of one device id, in order.
func payloads(sub *subscriber, id string) (all []string) {
	for _, m := range sub.messages() {
		if strings.Contains(m.topic, "/id/"+id+"/") {
			all = append(all, m.payload)
		}
	}
	return all
}

// Each of these is appended to a file that is followed; rows stand before and behind it.
func TestHostileFilesStopNothingAndTakeNoMemory(t *testing.T) {
	t.Parallel()
	nuls := make([]byte, 10<<20)
	wide := bytes.Repeat([]byte("x,"), 100_000)
	for _, c := range []struct {
		name, code string
		bytes      [][]byte
	}{
		{"endless", "CSV003", [][]byte{bytes.Repeat([]byte("no line end "), 30<<20/12), []byte("\n")}},
		{"unclosed", "CSV002", [][]byte{[]byte("1,\"never closed\n"), bytes.Repeat([]byte("7\n"), 1100)}}, // it ends after 1000 lines at the latest
		{"quotes", "MAP011", [][]byte{bytes.Repeat([]byte("\"\n"), 5000), []byte("\n")}},
		{"nul", "CSV007", [][]byte{nuls, []byte("\n")}},
		{"wide", "CSV00", [][]byte{wide, []byte("\n")}},
		{"binary", "CSV00", [][]byte{binaryNoise(4 << 20), []byte("\n")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			broker := startMosquitto(t)
			sub := subscribe(t, broker.addr)
			good := &healthy{newLogFile(t), sub}
			file := filepath.Join(t.TempDir(), "hostile.csv")
			if err := os.WriteFile(file, []byte("n\n1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			config := siteFile(t, broker.addr, good.site()+fmt.Sprintf(hostileLog, "hostile", file))
			state := t.TempDir()
			b := startBridge(t, config, state)
			good.delivered(50)
			waitFor(t, 20*time.Second, "the first row", func() bool { return len(payloads(sub, "hostile")) == 1 })
			idle := b.memory("VmHWM")
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, part := range append(c.bytes, []byte("4711\n")) {
				if _, err := f.Write(part); err != nil {
					t.Fatal(err)
				}
				good.delivered(50)
			}
			waitFor(t, 60*time.Second, "the row behind", func() bool {
				got := payloads(sub, "hostile")
				return len(got) > 1 && strings.Contains(got[len(got)-1], "4711")
			})
			if got := len(payloads(sub, "hostile")); c.name == "unclosed" && got != 1102 {
				t.Errorf("%d events, want every line but the one with the quote", got)
			}
			good.delivered(50)
			b.bounded(idle)
			if code := b.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if dead := deadLetters(t, config, state); !strings.Contains(dead, c.code) {
				t.Errorf("no dead letter %s:\n%.2000s", c.code, dead)
			}
		})
	}
}

// binaryNoise is what a file holds that is no CSV: every byte, line ends now and then.
func binaryNoise(n int) []byte {
	b := make([]byte, n)
	x := uint64(1)
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

// A device id that comes from a column is one of ids, or a dead letter: never another topic.
func TestHostileDeviceIDsNeverBecomeTopics(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	file := filepath.Join(t.TempDir(), "ids.csv")
	var text strings.Builder
	text.WriteString("Line,n\n")
	ids := []string{"+", "#", "A/B", "A+", "../A", "$SYS", "A\x00", "\"A\nB\"", "\"A\r\nB\"", "A\x1b[31m", strings.Repeat("A", 37), strings.Repeat("A", 60_000),
		"", "Ä", "A B", "A\x7f", "{row.Line}", "%41", "a", "A\u202e"}
	for i, id := range ids {
		fmt.Fprintf(&text, "%s,%d\n", id, i)
	}
	text.WriteString("A,100\nB,101\n  A  ,102\n")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	config := siteFile(t, broker.addr, fmt.Sprintf(`
[links.ids]
file = "%s"
poll = "50ms"
[devices.ids]
type = "logger"
id = "LAB-{row.Line}"
ids = ["LAB-A", "LAB-B"]
link = "ids"
[devices.ids.points]
n = { column = "n", type = "int" }
[devices.ids.events.row]
`, file))
	state := t.TempDir()
	b := startBridge(t, config, state)
	waitFor(t, 20*time.Second, "the rows behind", func() bool { return sub.count() >= 3 })
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, m := range sub.messages() {
		if m.topic != "iot-2/type/logger/id/LAB-A/evt/row/fmt/json" && m.topic != "iot-2/type/logger/id/LAB-B/evt/row/fmt/json" {
			t.Errorf("topic %q", m.topic)
		}
	}
	if n := sub.count(); n != 3 {
		t.Errorf("%d events, want the 3 rows with ids of the list", n)
	}
	dead := deadLetters(t, config, state)
	if n := strings.Count(dead, "\n"); n != len(ids) {
		t.Errorf("%d lines of dead letters, want %d:\n%.3000s", n, len(ids), dead)
	}
	if n := strings.Count(dead, "MAP016"); n < len(ids)-1 { // the NUL is the file's fault
		t.Errorf("%d of the code MAP016, want nearly all", n)
	}
	for _, said := range []string{dead, b.stderr.String()} {
		clean(t, said)
	}
}

// clean wants nothing in what people read that a terminal or another program could take for a command, nor endless lines.
func clean(t *testing.T, said string) {
	t.Helper()
	for i, line := range strings.Split(said, "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == '\u202e' }) {
			t.Errorf("line %d has control characters: %.300q", i+1, line)
		}
		if len(line) > 2000 {
			t.Errorf("line %d has %d bytes: %.300q…", i+1, len(line), line)
		}
	}
}

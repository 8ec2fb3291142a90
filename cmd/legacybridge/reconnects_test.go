package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	inprocess "legacybridge/cmd/legacybridge"
)

const leakSite = `
[log]
format = "journald"
[links.scale]
serial = "%[1]s"
frame = { end = "\r\n", max = 64 }
allow_unstable = true
reopen = "100ms"
[devices.scale]
type = "bench-scale"
id = "SCL-1"
link = "scale"
line = '^W (?<weight>[\d.]+) kg$'
[devices.scale.points]
weight = { from = "weight", type = "decimal", unit = "kg" }
[devices.scale.events.weighed]

[links.plc]
modbus_tcp = "%[2]s"
timeout = "1s"
reopen = "100ms"
[devices.plc]
type = "press"
id = "PRS-7"
link = "plc"
unit = 1
every = "20ms"
[devices.plc.points]
reads = { holding = 0, type = "u32" }
[devices.plc.events.status]
`

// TestManyReconnectsLeaveNothingBehind runs the whole program in this process, cuts its connection to the broker a
// thousand times and that to the Modbus host, and unplugs its serial port, some hundred times: all at once. Then it has
// the file descriptors and goroutines that it had before, and after the stop those that were there before the start.
func TestManyReconnectsLeaveNothingBehind(t *testing.T) {
	cuts, replugs := proof(40, 1000, 20_000), proof(8, 50, 4_000)
	s, plc := newSink(t), newStation(t)
	tty := filepath.Join(t.TempDir(), "port")
	plugged := newScale(t, 5*time.Millisecond)
	if err := os.Symlink(plugged.slave.Name(), tty); err != nil {
		t.Fatal(err)
	}
	config, state := siteFile(t, s.addr(), fmt.Sprintf(leakSite, tty, plc.addr())+fmt.Sprintf(logSite, newLogFileWith(t, 50))), t.TempDir()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, config, strings.Replace(string(text), `first = "100ms"`, `first = "10ms"`, 1), 0o600)

	said := captureStderr(t)
	warm := make(chan os.Signal, 1) // the first use of a signal starts what stays for the life of a process
	signal.Notify(warm, syscall.SIGUSR2)
	signal.Stop(warm)
	before := holds()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- inprocess.Main(ctx, []string{"run", "-c", config, "--state", state}) }()
	running := func() bool {
		return s.arrived("bench-scale/SCL-1/weighed") && s.arrived("press/PRS-7/status") && s.arrived("logger/LOG-1/row")
	}
	waitFor(t, 20*time.Second, "events of all sources", running)
	// Dead letters open their file with the first of them.
	waitFor(t, 20*time.Second, "a dead letter of the scale", func() bool { return plugged.printed() > scaleFaults && len(letters(t, state)) > 0 })
	base := holds()

	s.cuts.Store(int64(cuts))
	for i := 1; i <= replugs; i++ {
		connections := plc.connections()
		plc.cut()
		plugged.unplug()
		waitFor(t, 20*time.Second, "the port to be missed", func() bool { return strings.Count(said.String(), "failing source=scale") >= i })
		plugged = newScale(t, 5*time.Millisecond)
		if err := os.Remove(tty); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(plugged.slave.Name(), tty); err != nil {
			t.Fatal(err)
		}
		waitFor(t, 20*time.Second, "the port to be read again", func() bool { return strings.Count(said.String(), "reading again source=scale") >= i })
		waitFor(t, 20*time.Second, "the Modbus host to be dialled again", func() bool { return plc.connections() > connections })
	}
	waitFor(t, time.Duration(cuts)*100*time.Millisecond+20*time.Second, "the last cut", func() bool { return s.logins.Load() > int64(cuts) })
	got := base
	settled := func(limit holdings) func() bool {
		return func() bool {
			got = holds()
			return got.fds <= limit.fds && got.goroutines <= limit.goroutines
		}
	}
	if !becomes(settled(base)) {
		t.Errorf("after %d cuts and %d replugs: %+v, before %+v\n%s", cuts, replugs, got, base, inventory())
	}
	t.Logf("%d broker connections, %d Modbus connections, %d ports: %+v, at the beginning %+v", s.logins.Load(), plc.connections(), replugs+1, got, base)
	for _, line := range []string{"source failed", "source=scale err"} {
		if n := strings.Count(said.String(), line); n > replugs {
			t.Errorf("%d lines with %q for %d troubles", n, line, replugs)
		}
	}
	cancel()
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still running 20 s after the stop")
	}
	if !becomes(settled(before)) {
		t.Errorf("after the stop: %+v, before the start %+v\n%s", got, before, inventory())
	}
}

// holdings are what a process must give back.
type holdings struct{ fds, goroutines int }

func holds() holdings {
	list, _ := os.ReadDir("/proc/self/fd")
	return holdings{len(list), runtime.NumGoroutine()}
}

// becomes waits for what a closing takes.
func becomes(ok func() bool) bool {
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

// inventory shows what is held.
func inventory() string {
	b := make([]byte, 1<<20)
	b = b[:runtime.Stack(b, true)]
	names, _ := filepath.Glob("/proc/self/fd/*")
	for _, name := range names {
		to, _ := os.Readlink(name)
		b = fmt.Appendf(b, "%s %s\n", name, to)
	}
	return string(b)
}

// captureStderr takes what the program says in this process.
func captureStderr(t *testing.T) *syncBuffer {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	said, real := &syncBuffer{}, os.Stderr
	os.Stderr = w
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(said, r) })
	t.Cleanup(func() {
		os.Stderr = real
		w.Close()
		reading.Wait()
		r.Close()
		if t.Failed() {
			lines := bytes.Split([]byte(said.String()), []byte("\n"))
			t.Logf("it said at the end:\n%s", bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
		}
	})
	return said
}

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"legacybridge/hardware/sim"
)

// A site with a clock that is not to be trusted: a polled meter, one that is polled on the second, rows that are dated
// when they arrive, and rows that bring their own time.
const clockSite = `
[links.bus]
modbus_tcp = "%[1]s"
[devices.meter]
type = "energy-meter"
id = "EM-1"
link = "bus"
unit = 1
every = "100ms"
[devices.meter.points]
power = { input = 12, type = "f32" }
[devices.meter.computed]
least = { is = "min(power, '2s')" }
[devices.meter.events.power]
[devices.meter.events.slow]
every = "500ms"
[devices.meter.events.held]
on_change = { power = 1000000 }
at_least = "1s"
[devices.hourly]
type = "energy-meter"
id = "EM-2"
link = "bus"
unit = 2
every = "1s"
[devices.hourly.points]
power = { input = 12, type = "f32" }
[devices.hourly.events.power]
align = true

[links.log]
file = "%[2]s"
poll = "50ms"
csv = { time = { column = "at", format = "%%Y-%%m-%%dT%%H:%%M:%%S", zone = "UTC" } }
[devices.log]
type = "logger"
id = "LOG-1"
link = "log"
[devices.log.points]
n = { column = "n", type = "int" }
[devices.log.events.arrived]
[devices.log.events.dated]
timestamp = "row"
`

// A clockRig is that site with its equipment, and the time that its rows bring.
type clockRig struct {
	t      *testing.T
	broker *mosquitto
	sub    *subscriber
	config string
	state  string
	csv    string
	rows   int
}

const rowTime = "2003-02-01T04:05:06"

func newClockRig(t *testing.T) *clockRig {
	t.Helper()
	meter, err := sim.NewMeter("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	meter.Units = 2
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = meter.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	r := &clockRig{t: t, broker: startMosquitto(t), state: t.TempDir(), csv: filepath.Join(t.TempDir(), "log.csv")}
	r.sub = subscribe(t, r.broker.addr)
	r.config = siteFile(t, r.broker.addr, fmt.Sprintf(clockSite, meter.Addr(), r.csv))
	if err := os.WriteFile(r.csv, []byte("n,at\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// start runs a build of the program.
func (r *clockRig) start(binary string, env ...string) *bridge {
	r.t.Helper()
	return startBuild(r.t, binary, env, r.config, r.state)
}

func (r *clockRig) append(n int) {
	r.t.Helper()
	f, err := os.OpenFile(r.csv, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	for range n {
		r.rows++
		if _, err := fmt.Fprintf(f, "%d,%s\n", r.rows, rowTime); err != nil {
			r.t.Fatal(err)
		}
	}
}

// A dated is what a payload says about time.
type dated struct {
	D     struct{ N int }
	TS    time.Time
	Clock string
	ID    string
}

// of returns the first deliveries of an event, in order.
func (r *clockRig) of(event string) []dated {
	r.t.Helper()
	var out []dated
	seen := map[string]bool{}
	for _, m := range r.sub.messages() {
		if !strings.Contains(m.topic, event) {
			continue
		}
		var d dated
		if err := json.Unmarshal([]byte(m.payload), &d); err != nil {
			r.t.Fatalf("%s: %v", m.payload, err)
		}
		if !seen[d.ID] {
			seen[d.ID] = true
			out = append(out, d)
		}
	}
	return out
}

// await waits until so many more readings of everything have arrived.
func (r *clockRig) await(what string, n int) {
	r.t.Helper()
	r.append(n)
	before := map[string]int{}
	for _, event := range []string{"EM-1", "EM-2", "evt/slow", "evt/held"} {
		before[event] = len(r.of(event))
	}
	waitFor(r.t, 30*time.Second, what+": rows", func() bool { return len(r.of("evt/dated")) >= r.rows && len(r.of("evt/arrived")) >= r.rows })
	for event, had := range before {
		more := 2
		if event == "EM-1" {
			more = n
		}
		waitFor(r.t, 30*time.Second, what+": "+event, func() bool { return len(r.of(event)) >= had+more })
	}
}

// check wants every event in the order of its numbers, rows complete and with their own time, and no time before floor.
func (r *clockRig) check(floor time.Time) (unset int) {
	r.t.Helper()
	for _, event := range []string{"EM-1", "EM-2", "evt/arrived", "evt/dated"} {
		last := 0
		for i, d := range r.of(event) {
			number := 0
			if _, err := fmt.Sscanf(d.ID[strings.LastIndex(d.ID, "-")+1:], "%d", &number); err != nil || number <= last {
				r.t.Errorf("%s: %s after number %d", event, d.ID, last)
			}
			last = number
			if strings.HasPrefix(event, "evt/") && d.D.N != i+1 {
				r.t.Errorf("%s: row %d comes as number %d", event, d.D.N, i+1)
			}
			switch {
			case event == "evt/dated":
				if got := d.TS.Format("2006-01-02T15:04:05"); got != rowTime || d.Clock != "" {
					r.t.Errorf("%s: row %d has ts %s and clock %q, want its own time", event, d.D.N, got, d.Clock)
				}
			case d.Clock == "unset":
				if unset++; !d.TS.IsZero() {
					r.t.Errorf("%s: %s has the time %v of a clock that was not set", event, d.ID, d.TS)
				}
			case d.TS.Before(floor):
				r.t.Errorf("%s: %s has ts %v, before the build", event, d.ID, d.TS)
			}
		}
		if last == 0 {
			r.t.Errorf("no %s", event)
		}
	}
	return unset
}

// A build from the far future runs on a machine whose clock is, for it, not set. What it queued is never stamped anew.
func TestWithoutAClockAtBootNothingIsDatedOrLost(t *testing.T) {
	t.Parallel() // it waits most of the time
	r := newClockRig(t)
	future := filepath.Join(t.TempDir(), "legacybridge")
	if out, err := exec.Command("go", "build", "-ldflags", "-X main.built=2101-01-01T00:00:00Z", "-o", future, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	b := r.start(future)
	r.await("without a clock", 20)
	r.broker.stop()
	r.append(20) // these stay queued
	waitFor(t, 20*time.Second, "rows in the queue", func() bool {
		out, _ := exec.Command(program, "queue", "ls", "-c", r.config, "--state", r.state, "--json", "--limit", "0").Output()
		return strings.Count(string(out), `"event":"arrived"`) >= 20
	})
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT", code)
	}
	queued := r.rows
	r.broker.start()
	b = r.start(program) // the clock is set
	r.await("with a clock", 20)
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT", code)
	}
	now := time.Now()
	if unset := r.check(now.Add(-time.Hour)); unset < 60 {
		t.Errorf("%d events without a time, want those that were read without a clock", unset)
	}
	for _, d := range r.of("evt/arrived") {
		if d.D.N <= queued && d.Clock != "unset" {
			t.Errorf("row %d was read without a clock and is dated %v", d.D.N, d.TS)
		}
		if d.D.N > queued && d.Clock != "" {
			t.Errorf("row %d was read with a clock and says %q", d.D.N, d.Clock)
		}
	}
}

// shiftedProgram is the program, built with a package time whose wall clock is moved by as many seconds as a file says,
// at any moment; time that passes is not touched. Nothing of this is in the product.
func shiftedProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src/time/time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	const body = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(text), body) != 1 {
		t.Fatal("time.Now is not what it was: this test must be written anew for this version of Go")
	}
	time := strings.Replace(string(text), body, body+"\tsec += wallShift.Load()\n", 1) + `
var wallShift shift

type shift struct{ n int64 }

//go:nosplit
func (s *shift) Load() int64 { return s.n }

func SetWallShift(n int64) { wallShift.n = n }
`
	const set = `package main

import (
	"os"
	"strconv"
	"time"
)

func init() {
	set := func() {
		b, _ := os.ReadFile(os.Getenv("WALL_SHIFT"))
		if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
			time.SetWallShift(n)
		}
	}
	set()
	go func() {
		for {
			time.Sleep(10 * time.Millisecond)
			set()
		}
	}()
}
`
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{original: filepath.Join(dir, "time.go"), filepath.Join(here, "wall_shift.go"): filepath.Join(dir, "wall_shift.go")}
	overlay, _ := json.Marshal(map[string]any{"Replace": replace})
	for name, content := range map[string]string{"time.go": time, "wall_shift.go": set, "overlay.json": string(overlay)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shifted := filepath.Join(dir, "legacybridge")
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", shifted, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return shifted
}

// The machine boots in 1970, its clock is set, put back, and put forward again, while everything runs.
func TestClockThatJumpsChangesNeitherOrderNorDelivery(t *testing.T) {
	if proof(0, 1, 1) == 0 {
		return // the build of another package time takes half a minute: PROOF=ci
	}
	r := newClockRig(t)
	wall := filepath.Join(t.TempDir(), "shift")
	set := func(d time.Duration) {
		t.Helper()
		tmp := wall + ".tmp"
		if err := os.WriteFile(tmp, fmt.Append(nil, int64(d/time.Second)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, wall); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	set(-time.Since(time.Unix(30, 0)))
	b := r.start(shiftedProgram(t), "WALL_SHIFT="+wall)
	r.await("in 1970", 30)
	for _, jump := range []time.Duration{0, -3 * time.Hour, 30 * 24 * time.Hour, -30 * time.Second, 0} {
		before := time.Now()
		set(jump)
		r.await(fmt.Sprintf("moved by %v", jump), 10*proof(1, 1, 30))
		t.Logf("moved by %v: everything went on for %v", jump, time.Since(before).Round(time.Millisecond))
	}
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT", code)
	}
	if unset := r.check(began.Add(-4 * time.Hour)); unset < 60 {
		t.Errorf("%d events without a time, want those that were read in 1970", unset)
	}
	if log := b.stderr.String(); strings.Contains(log, "dropped") || strings.Contains(log, "quiet") {
		t.Errorf("something was dropped, or called quiet:\n%s", log)
	}
}

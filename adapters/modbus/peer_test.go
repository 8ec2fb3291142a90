package modbus_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"legacybridge/adapters/modbus"
	"legacybridge/hardware/port"
)

// libmodbus is the other side here: nothing of ours decides what its frames and byte orders are.

func TestLibmodbusOverTCP(t *testing.T) {
	t.Parallel()
	addr := start(t, "127.0.0.1:", compile(t), "tcp")
	cfg := modbus.Config{Link: "plc", Framing: modbus.TCP, Port: port.Config{TCP: addr}, Timeout: time.Second}
	talkToLibmodbus(t, cfg)
	writeToLibmodbus(t, cfg)
}

func TestLibmodbusOverRTU(t *testing.T) {
	t.Parallel()
	peer := compile(t)
	socat, err := exec.LookPath("socat")
	leftOut(t, "socat", err)
	ours, theirs := filepath.Join(t.TempDir(), "ours"), filepath.Join(t.TempDir(), "theirs")
	c := exec.Command(socat, "-d", "-d", "pty,raw,echo=0,link="+ours, "pty,raw,echo=0,link="+theirs)
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	launch(t, c, stderr, "starting data transfer loop")
	start(t, "", peer, theirs, "7")
	mode, err := port.ParseMode("19200 8E1")
	if err != nil {
		t.Fatal(err)
	}
	cfg := modbus.Config{Link: "bus-1", Framing: modbus.RTU, Port: port.Config{TTY: ours, Mode: mode}, Timeout: 500 * time.Millisecond}
	talkToLibmodbus(t, cfg)
	writeToLibmodbus(t, cfg)
}

func talkToLibmodbus(t *testing.T, cfg modbus.Config) {
	points := []modbus.Point{
		{Name: "abcd", Table: modbus.Input, Address: 0, Type: "f32"},
		{Name: "cdab", Table: modbus.Input, Address: 2, Type: "f32", Order: "CDAB"},
		{Name: "badc", Table: modbus.Input, Address: 4, Type: "f32", Order: "BADC"},
		{Name: "dcba", Table: modbus.Input, Address: 6, Type: "f32", Order: "DCBA"},
		{Name: "i16", Table: modbus.Input, Address: 10, Type: "i16"},
		{Name: "i32", Table: modbus.Input, Address: 12, Type: "i32"},
		{Name: "i64", Table: modbus.Input, Address: 14, Type: "i64"},
		{Name: "far", Table: modbus.Input, Address: 199},
		{Name: "holding", Table: modbus.Holding, Address: 100, Type: "u32"},
		{Name: "coil_0", Table: modbus.Coil, Address: 0},
		{Name: "coil_298", Table: modbus.Coil, Address: 298},
		{Name: "discrete_5", Table: modbus.Discrete, Address: 5},
		{Name: "discrete_6", Table: modbus.Discrete, Address: 6},
		{Name: "nowhere", Table: modbus.Holding, Address: 200}, // exception 2
	}
	var names []string
	for _, p := range points[:13] {
		names = append(names, p.Name)
	}
	want := []string{"230.2", "230.2", "230.2", "230.2", "-40", "-100000", "1234567890123456789", "16583",
		"811872357", "true", "false", "true", "false"} // 0x30643065
	cfg.MaxGap, cfg.Retries = 8, 2
	cfg.Devices = []modbus.Device{{Name: "meter", Unit: 7, Every: 100 * time.Millisecond, Points: points}}
	c := newCatch()
	if err := run(t, cfg, c, func() {
		c.wait(func() bool { return len(c.of("meter")) >= 5 })
		state, meter := c.last("meter")
		if meter.Code != "COM004" || meter.Counts.Exceptions == 0 || meter.Counts.Bad != 0 || state.Counts.Reopened != 0 {
			t.Errorf("got %+v on %+v, want exceptions and nothing else", meter, state)
		}
	}); err != nil {
		t.Errorf("Run returned %v, want nil", err)
	}
	if got := len(c.of("meter")); got < 5 {
		t.Errorf("%d readings, want at least 5", got)
	}
	for _, r := range c.of("meter") {
		if !slices.Equal(r.Names, names) || !slices.Equal(r.Values, want) {
			t.Fatalf("got %q\n= %q, want\n%q", r.Names, r.Values, want)
		}
	}
}

// compile builds testdata/peer.c.
func compile(t *testing.T) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	leftOut(t, "gcc", err)
	_, err = os.Stat("/usr/include/modbus/modbus.h")
	leftOut(t, "libmodbus-dev", err)
	peer := filepath.Join(t.TempDir(), "peer")
	if out, err := exec.Command(gcc, "-I/usr/include/modbus", "-o", peer, "testdata/peer.c", "-lmodbus").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return peer
}

// leftOut skips the test where a tool is missing, but not on CI.
func leftOut(t *testing.T, tool string, missing error) {
	t.Helper()
	switch {
	case missing == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not installed", tool)
	default:
		t.Skipf("left out: %s is not installed", tool)
	}
}

// start runs a peer and returns prefix and the first line that it prints.
func start(t *testing.T, prefix, path string, args ...string) string {
	t.Helper()
	c := exec.Command(path, args...)
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	return prefix + launch(t, c, stdout, "")
}

// launch starts c, waits for a line of out that contains mark, and ends c with the test.
func launch(t testing.TB, c *exec.Cmd, out io.Reader, mark string) string {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var drained sync.WaitGroup
	t.Cleanup(func() {
		_ = c.Process.Kill()
		drained.Wait()
		_ = c.Wait() // killed
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), mark) {
			line := lines.Text()
			drained.Go(func() { _, _ = io.Copy(io.Discard, out) })
			return line
		}
	}
	t.Fatalf("%s ended before it said %q", c.Path, mark)
	return ""
}

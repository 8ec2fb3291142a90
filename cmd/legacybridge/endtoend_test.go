package main_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The site of the end-to-end test: on every side something that no one here wrote.
const foreignSite = `
[links.plc]
modbus_tcp = "%[1]s"
timeout = "1s"
[devices.plc]
type = "press"
id = "PRESS-7"
link = "plc"
unit = 1
every = "100ms"
[devices.plc.points]
counter = { holding = 0, type = "u16" }
power = { holding = 2, type = "f32", order = "CDAB", decimals = 1 }
guard = { coil = 1 }
[devices.plc.events.status]

[links.bus]
modbus_rtu = "%[2]s"
mode = "19200 8E1"
allow_unstable = true
timeout = "1s"
[devices.meter]
type = "energy-meter"
id = "EM-1"
link = "bus"
unit = 1
every = "200ms"
[devices.meter.points]
voltage = { input = 20, type = "u16", scale = 0.1, unit = "V" }
[devices.meter.events.power]

[links.scale]
serial = "%[3]s"
frame = { end = "\r\n", max = 64 }
allow_unstable = true
[devices.scale]
type = "bench-scale"
id = "SCL-1"
link = "scale"
line = '^\s*(?<weight>[\d.]+) kg$'
[devices.scale.points]
weight = { from = "weight", type = "decimal", unit = "kg" }
[devices.scale.events.weighed]

[links.log]
file = "%[4]s*"
poll = "50ms"
[devices.log]
type = "logger"
id = "LOG-1"
link = "log"
[devices.log.points]
n = { column = "n", type = "int" }
value = { column = "value", type = "decimal" }
[devices.log.events.row]
`

// modbusServer is a pymodbus server on TCP with known registers.
const modbusServer = `
import sys
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusSlaveContext, ModbusServerContext
from pymodbus.server import StartTcpServer
h = [0]*20
h[0] = 4711
h[2], h[3] = 0x3333, 0x4366          # 230.2 as f32, low word first
store = ModbusServerContext(slaves=ModbusSlaveContext(
    hr=ModbusSequentialDataBlock(0, h), ir=ModbusSequentialDataBlock(0, [2301]*20),
    co=ModbusSequentialDataBlock(0, [False, True]*8), di=ModbusSequentialDataBlock(0, [False]*16), zero_mode=True), single=True)
StartTcpServer(context=store, address=("127.0.0.1", int(sys.argv[1])))
`

// rotatingWriter is the other program that writes and rotates the file: rows 1…n, a rename every 50 rows.
const rotatingWriter = `
f=$1; n=$2
echo "n,value" > "$f"
for i in $(seq 1 $n); do
  printf '%s,%s.' "$i" "$((i % 90))" >> "$f"
  printf '%02d\n' "$((i % 100))" >> "$f"
  if [ $((i % 10)) = 0 ]; then sleep 0.02; fi
  if [ $((i % 50)) = 0 ]; then mv "$f" "$f.$i"; echo "n,value" > "$f"; fi
done
`

func TestEndToEndWithForeignPeers(t *testing.T) {
	t.Parallel()
	python := needPython(t)
	socat := need(t, "socat")
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	dir := t.TempDir()

	plc := freeAddr(t)
	background(t, python, "-c", modbusServer, plc[strings.LastIndex(plc, ":")+1:])
	waitDial(t, plc)
	busA, busB := ptyPair(t, socat, dir, "bus")
	background(t, libmodbusStation(t, dir), busB, "1")
	scaleA, scaleB := ptyPair(t, socat, dir, "scale")
	scale, err := os.OpenFile(scaleB, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer scale.Close()
	csv := filepath.Join(dir, "log.csv")

	config, state := siteFile(t, broker.addr, fmt.Sprintf(foreignSite, plc, busA, scaleA, csv)), t.TempDir()
	b := startBridge(t, config, state)
	const rows = 300
	background(t, "/bin/sh", "-c", rotatingWriter, "sh", csv, fmt.Sprint(rows))
	// The scale speaks only once the bridge listens, for the frame under way when a port opens does not count.
	waitFor(t, 10*time.Second, "the bridge to open the scale", func() bool { return strings.Contains(b.stderr.String(), "started") })

	byTopic := func(part string) []string {
		var p []string
		for _, m := range sub.messages() {
			if strings.Contains(m.topic, part) {
				p = append(p, m.payload)
			}
		}
		return p
	}
	weighings := 0
	waitFor(t, 40*time.Second, "events of all four links", func() bool {
		weighings++
		_ = scale.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) // a scale never waits for its listener
		fmt.Fprintf(scale, "  %d.25 kg\r\n", weighings)
		return len(byTopic("/id/PRESS-7/evt/status/")) >= 5 && len(byTopic("/id/EM-1/evt/power/")) >= 5 &&
			len(byTopic("/id/SCL-1/evt/weighed/")) >= 5 && len(byTopic("/id/LOG-1/evt/row/")) >= rows
	})
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}

	o := newOracle()
	o.names("plc", "press/PRESS-7/status")
	o.names("meter", "energy-meter/EM-1/power")
	o.names("scale", "bench-scale/SCL-1/weighed")
	o.names("log", "logger/LOG-1/row")
	for n := 1; n <= rows; n++ {
		o.row("logger/LOG-1/row", fmt.Sprintf(`{"d":{"n":%d,"value":%d.%02d}`, n, n%90, n%100))
	}
	for n := range weighings {
		o.said("bench-scale/SCL-1/weighed", fmt.Sprintf(`{"d":{"weight":%d.25}`, n+1))
	}
	o.constant("press/PRESS-7/status", `{"d":{"counter":4711,"power":230.2,"guard":true}`)
	o.constant("energy-meter/EM-1/power", `{"d":{"voltage":1640.4}`)
	o.books = stats(t, config, state)
	v := o.judge(sub.messages())
	t.Logf("%d CSV rows over %d rotations, %d events in all", rows, rows/50, v.delivered)
	o.holdTo(t, v)
	if v.duplicates > 0 {
		t.Errorf("%d came twice, and nothing was cut", v.duplicates)
	}
	for device, a := range o.books {
		if device != "all" && a.Delivered != uint64(o.delivered[device]) {
			t.Errorf("%s: the ledger has %d delivered, the broker got %d", device, a.Delivered, o.delivered[device])
		}
	}
	if want := `^\{"d":\{"counter":4711,"power":230\.2,"guard":true\},"ts":"20\d\d-[^"]+Z","id":"[0-9a-f]{8}-\d+"\}$`; !regexp.MustCompile(want).MatchString(byTopic("/id/PRESS-7/")[0]) {
		t.Errorf("got %s, want %s", byTopic("/id/PRESS-7/")[0], want)
	}
}

func needPython(t *testing.T) string {
	t.Helper()
	python := need(t, "/usr/bin/python3")
	if err := exec.Command(python, "-c", "import pymodbus").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3-pymodbus is not installed: .ci/run must install it")
		}
		t.Skip("left out: python3-pymodbus is not installed")
	}
	return python
}

// libmodbusStation builds an RTU station of libmodbus: input register n holds 0x4000 + n.
func libmodbusStation(t *testing.T, dir string) string {
	t.Helper()
	gcc, station := need(t, "gcc"), filepath.Join(dir, "station")
	out, err := exec.Command(gcc, "-I/usr/include/modbus", "-o", station, "../../adapters/modbus/testdata/peer.c", "-lmodbus").CombinedOutput()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("left out: libmodbus-dev is not installed")
	}
	if err != nil {
		t.Fatalf("libmodbus station: %v\n%s", err, out)
	}
	return station
}

// background runs a program until the test ends, and shows what it said when the test fails.
func background(t *testing.T, name string, args ...string) {
	t.Helper()
	out := &syncBuffer{}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() && out.String() != "" {
			t.Logf("%s said:\n%s", filepath.Base(name), out.String())
		}
	})
}

// ptyPair is a null-modem cable: two ttys joined by socat.
func ptyPair(t *testing.T, socat, dir, name string) (a, b string) {
	t.Helper()
	a, b = filepath.Join(dir, name+"-a"), filepath.Join(dir, name+"-b")
	cmd := exec.Command(socat, "-d", "-d", "pty,raw,echo=0,link="+a, "pty,raw,echo=0,link="+b)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if strings.Contains(lines.Text(), "starting data transfer loop") {
			go func() { // socat must never wait for a reader
				for lines.Scan() {
				}
			}()
			return a, b
		}
	}
	t.Fatal("socat ended before it joined the ttys")
	return "", ""
}

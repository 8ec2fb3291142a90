package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"legacybridge/hardware/sim"
)

const (
	benchRows  = 1_000_000
	benchTopic = "iot-2/type/logger/id/DEV-00/evt/row/fmt/json"
)

const benchCSV = `
[log]
level = "warn"
[links.log]
file = "%s"
[links.log.csv]
time = { column = "time", format = "%%Y-%%m-%%d %%H:%%M:%%S", zone = "UTC" }
[devices.log]
type = "logger"
id = "{row.device}"
ids = [%s]
link = "log"
[devices.log.points]
n = { column = "n", type = "int" }
temperature = { column = "temperature", type = "decimal" }
pressure = { column = "pressure", type = "decimal" }
state = { column = "state", type = "text" }
[devices.log.events.row]
timestamp = "row"
`

// BenchmarkCSVToBroker takes a CSV file of a million rows (number, time, one of 100 devices, two decimals, one word)
// through mapping and the fsynced queue to an acknowledging sink at QoS 1, window 100; and in the same run bare paho with
// payloads of the same size, the same window and the same connection wrapper. The bridge and paho are processes of their own.
func BenchmarkCSVToBroker(b *testing.B) {
	file := filepath.Join(b.TempDir(), "log.csv")
	writeBenchRows(b, file, benchRows)
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprintf("%q", fmt.Sprintf("DEV-%02d", i)))
	}
	for b.Loop() {
		s := newSink(b)
		config := siteFile(b, s.addr(), fmt.Sprintf(benchCSV, file, strings.Join(ids, ", ")))
		bridge := measure(b, exec.Command(program, "run", "--once", "-c", config, "--state", b.TempDir()))
		if got := s.received.Load(); got != benchRows {
			b.Fatalf("the sink received %d events, want %d", got, benchRows)
		}
		size := s.bytes.Load() / benchRows

		bare := newSink(b)
		cmd := exec.Command(bareProgram(b), "-test.run=^$", "-test.bench=^BenchmarkBarePaho$/^wire=true$", fmt.Sprintf("-test.benchtime=%dx", benchRows))
		cmd.Env = append(os.Environ(), "BARE_SINK="+bare.addr(), fmt.Sprintf("BARE_BYTES=%d", size-int64(2+len(benchTopic)+2)))
		paho := measure(b, cmd)
		if got := bare.received.Load(); got < benchRows {
			b.Fatalf("the sink received %d events of bare paho, want %d", got, benchRows)
		}
		b.ReportMetric(benchRows/bridge.wall.Seconds(), "rows/s")
		b.ReportMetric(bridge.cpu.Seconds(), "cpu-s")
		b.ReportMetric(bridge.rssMiB, "peak-MiB")
		b.ReportMetric(benchRows/paho.wall.Seconds(), "paho-rows/s")
		b.ReportMetric(paho.cpu.Seconds(), "paho-cpu-s")
		b.ReportMetric(100*paho.wall.Seconds()/bridge.wall.Seconds(), "%-of-paho")
	}
}

// bareProgram is the publisher's tests, built without the race detector: one of its benchmarks is bare paho with the
// publisher's own connection wrapper.
func bareProgram(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "publisher.test")
	if out, err := exec.Command("go", "test", "-c", "-o", path, "legacybridge/publisher").CombinedOutput(); err != nil {
		b.Fatalf("build bare paho: %v\n%s", err, out)
	}
	return path
}

func writeBenchRows(b *testing.B, path string, n int) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, "n,time,device,temperature,pressure,state")
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	words := []string{"running", "idle", "setup", "fault"}
	for i := 1; i <= n; i++ {
		fmt.Fprintf(w, "%d,%s,DEV-%02d,%d.%02d,%d.%d,%s\n", i, start.Add(time.Duration(i)*time.Second).Format(time.DateTime),
			i%100, 20+i%60, i%100, 900+i%150, i%10, words[i%4])
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

type usage struct {
	wall, cpu time.Duration
	rssMiB    float64
}

// measure runs a process to its end and asks the operating system what it took.
func measure(b *testing.B, cmd *exec.Cmd) usage {
	b.Helper()
	var said strings.Builder
	cmd.Stderr, cmd.Stdout = &said, &said
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for rss := 0.0; ; {
		select {
		case <-look.C:
			if now, err := peakOf(cmd.Process.Pid); err == nil { // else it has just ended
				rss = now
			}
		case err := <-ended:
			if err != nil {
				b.Fatalf("%s: %v\n%s", cmd.Path, err, said.String())
			}
			u := usageOf(cmd, time.Since(start))
			u.rssMiB = rss
			return u
		}
	}
}

func usageOf(cmd *exec.Cmd, wall time.Duration) usage {
	p := cmd.ProcessState
	return usage{wall: wall, cpu: p.UserTime() + p.SystemTime()}
}

// BenchmarkModbusPolling polls 100 units of 100 registers each second over Modbus TCP, 10,000 values/s, into the queue
// and an acknowledging sink: share of one core and memory of the bridge.
func BenchmarkModbusPolling(b *testing.B) {
	const units, registers, seconds = 100, 100, 20
	meter, err := sim.NewMeter("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	meter.Units = units
	go meter.Run(b.Context())
	cells := make([]strings.Builder, 10) // one file for ten units, as a site has them
	for u := 1; u <= units; u++ {
		body := &cells[u%len(cells)]
		fmt.Fprintf(body, "[devices.unit-%d]\ntype = \"meter\"\nlink = \"bus\"\nunit = %d\nevery = \"1s\"\n[devices.unit-%d.points]\n", u, u, u)
		for r := range registers {
			fmt.Fprintf(body, "r%d = { holding = %d, type = \"u16\" }\n", r, r)
		}
	}
	for b.Loop() {
		s := newSink(b)
		main := siteFile(b, s.addr(), fmt.Sprintf("[log]\nlevel = \"warn\"\n[links.bus]\nmodbus_tcp = %q\n", meter.Addr()))
		text, err := os.ReadFile(main)
		if err == nil {
			err = os.WriteFile(main, bytes.Replace(text, []byte("schema = 1\n"), []byte("schema = 1\ninclude = [\"cell-*.toml\"]\n"), 1), 0o600)
		}
		if err != nil {
			b.Fatal(err)
		}
		for i := range cells {
			if err := os.WriteFile(filepath.Join(filepath.Dir(main), fmt.Sprintf("cell-%d.toml", i)), []byte(cells[i].String()), 0o600); err != nil {
				b.Fatal(err)
			}
		}
		cmd := exec.Command(program, "run", "-c", main, "--state", b.TempDir())
		var said strings.Builder
		cmd.Stderr = &said
		start := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		<-time.After(seconds * time.Second) // the load is a rate: it takes its time
		peak, err := peakOf(cmd.Process.Pid)
		if err != nil {
			_ = cmd.Wait()
			b.Fatalf("%v\n%s", err, said.String())
		}
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			b.Fatalf("%v\n%s", err, said.String())
		}
		u := usageOf(cmd, time.Since(start))
		b.ReportMetric(float64(s.received.Load())*registers/u.wall.Seconds(), "values/s")
		b.ReportMetric(100*u.cpu.Seconds()/u.wall.Seconds(), "%-of-a-core")
		b.ReportMetric(peak, "peak-MiB")
	}
}

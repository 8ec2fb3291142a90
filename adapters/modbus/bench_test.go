package modbus_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/modbus"
	"legacybridge/hardware/port"
	"legacybridge/hardware/sim"
)

// meterUnits makes the test binary a simulated meter, so that its work does not count as ours.
const meterUnits = "LEGACYBRIDGE_TEST_METER_UNITS"

func serveMeter() {
	units, err := strconv.ParseUint(os.Getenv(meterUnits), 10, 8)
	if err != nil {
		panic(err)
	}
	m, err := sim.NewMeter("127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	m.Units = byte(units)
	fmt.Println(m.Addr())
	if err := m.Run(context.Background()); err != nil {
		panic(err)
	}
}

func benchConfig(b *testing.B, units int, every time.Duration) modbus.Config {
	b.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), meterUnits+"="+strconv.Itoa(units))
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	cfg := modbus.Config{Link: "host", Port: port.Config{TCP: launch(b, c, out, ":")}, Timeout: time.Second, Report: func(adapters.State) {}}
	for unit := range units {
		d := modbus.Device{Name: "meter-" + strconv.Itoa(unit+1), Unit: byte(unit + 1), Every: every}
		for i := range 100 {
			d.Points = append(d.Points, modbus.Point{Name: "r" + strconv.Itoa(i), Address: uint16(i)})
		}
		cfg.Devices = append(cfg.Devices, d)
	}
	return cfg
}

// BenchmarkPollOf100Registers is one poll over loopback after the other: request, reply, 100 texts, one reading.
func BenchmarkPollOf100Registers(b *testing.B) {
	src, err := modbus.New(benchConfig(b, 1, time.Nanosecond))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	polls := 0
	b.ReportAllocs()
	b.ResetTimer()
	if err := src.Run(ctx, nil, func(_ context.Context, batch adapters.Batch) error {
		if polls += len(batch.Readings); polls >= b.N {
			stop()
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(polls), "ns/poll")
}

// BenchmarkHundredUnitsEachSecond is the load of a large site: 100 units of 100 registers, 10,000 values/s.
func BenchmarkHundredUnitsEachSecond(b *testing.B) {
	const lasts = 5 * time.Second
	cfg := benchConfig(b, 100, time.Second)
	for b.Loop() {
		src, err := modbus.New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		var values atomic.Int64
		ctx, stop := context.WithTimeout(b.Context(), lasts)
		before, began := cpu(b), time.Now()
		err = src.Run(ctx, nil, func(ctx context.Context, batch adapters.Batch) error {
			for _, r := range batch.Readings {
				values.Add(int64(len(r.Values)))
			}
			return nil
		})
		stop()
		if err != nil {
			b.Fatal(err)
		}
		took := time.Since(began)
		b.ReportMetric(100*float64(cpu(b)-before)/float64(took), "%cpu")
		b.ReportMetric(float64(values.Load())/took.Seconds(), "values/s")
		b.ReportMetric(rss(b), "MiB-rss")
	}
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func rss(b *testing.B) float64 {
	statm, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(statm)
	if err != nil || len(fields) < 2 {
		b.Fatal(err, len(fields))
	}
	pages, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

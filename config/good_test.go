package config

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"legacybridge/adapters/csvfile"
	"legacybridge/adapters/modbus"
	"legacybridge/adapters/serial"
	"legacybridge/hardware/port"
	"legacybridge/mapping"
	"legacybridge/publisher"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/queue"
)

// equal compares with patterns by their text and zones by their name.
func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	byText := cmp.Comparer(func(a, b *regexp.Regexp) bool {
		return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
	})
	byName := cmp.Comparer(func(a, b *time.Location) bool {
		return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
	})
	if diff := cmp.Diff(want, got, byText, byName, cmp.AllowUnexported(publisher.Config{})); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

func zoneOf(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// good loads testdata/good, which uses every key that is built.
func good(t *testing.T) (*Config, string) {
	t.Helper()
	dir, err := filepath.Abs("testdata/good")
	if err != nil {
		t.Fatal(err)
	}
	cfg, problems := bench(t, filepath.Join(dir, "legacybridge.toml"))
	if cfg == nil {
		var b strings.Builder
		if err := problems.Write(&b, "full", false); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("got\n%s", b.String())
	}
	return cfg, dir
}

func TestSiteWideTables(t *testing.T) {
	cfg, dir := good(t)
	equal(t, "files", cfg.Files, []string{"legacybridge.toml", "conf.d/10-bus.toml", "conf.d/20-lines.toml", "conf.d/30-files.toml"})
	equal(t, "site", cfg.Site, Site{"plant-7", zoneOf(t, "Asia/Seoul")})
	equal(t, "log", cfg.Log, Log{slog.LevelDebug, "json"})
	equal(t, "platform", cfg.Platform, publisher.Config{
		Servers:    []string{"mqtts://a.example.com:8883", "mqtt://b.example.com:1884"},
		ClientID:   "a:abc123:bridge",
		User:       "a-abc123-a84ps90Ajs",
		Password:   "token-of-the-tests",
		KeepAlive:  45 * time.Second,
		Window:     50,
		MaxPayload: 65536,
		Topic:      publisher.DefaultTopic,
		Backoff:    publisher.Backoff{First: 500 * time.Millisecond, Max: 90 * time.Second, Jitter: 0.5},
	})
	equal(t, "local", cfg.LocalCfg, localplatform.Config{
		Listen: "127.0.0.1:2883", Org: "abc123", Store: filepath.Join(dir, "local-store"), MaxPayload: 100000,
		Users:        map[string]localplatform.User{"a-abc123-a84ps90Ajs": {Token: "token-of-the-tests"}},
		Unregistered: localplatform.AcceptUnregistered,
		Quickstart:   true,
		Devices: []localplatform.Device{{Type: "press", ID: "PRESS-7"}, {Type: "pump", ID: "pump"}, {Type: "scale", ID: "scale"},
			{Type: "reader", ID: "reader"}, {Type: "qc", ID: "LAB-1"}, {Type: "qc", ID: "LAB-2"}, {Type: "qc-all", ID: "all"}},
	})
	equal(t, "queue", cfg.Queue, queue.Config{
		Path: "/state/q", MaxBytes: 64 << 20, MaxAge: 48 * time.Hour,
		WhenFull: map[string]queue.WhenFull{"bus": queue.DropOldest, "scale": queue.DropNewest, "reader": queue.DropNewest, "log": queue.DropNewest},
		Dead:     queue.DeadConfig{Path: "/var/dead", MaxBytes: 1500000, MaxAge: 12 * time.Hour},
	})
	if cfg.Local || cfg.Org != "abc123" || cfg.App != "bridge" {
		t.Errorf("got local %v, org %s, app %s", cfg.Local, cfg.Org, cfg.App)
	}
}

func TestModbusLink(t *testing.T) {
	cfg, _ := good(t)
	link := cfg.Links[0]
	seoul := zoneOf(t, "Asia/Seoul")
	equal(t, "bus", link.Modbus, &modbus.Config{
		Link: "bus", Port: port.Config{TTY: "/dev/ttyS1", Mode: port.Mode{Baud: 19200, Bits: 8, Parity: 'E', Stop: 1}}, Framing: modbus.RTU,
		Timeout: 250 * time.Millisecond, Retries: 3, MaxGap: 4, MaxRead: 100, Gap: 5 * time.Millisecond,
		Devices: []modbus.Device{
			{Name: "press", Unit: 7, Every: time.Second, Align: seoul, Points: []modbus.Point{
				{Name: "zeta", Table: modbus.Holding, Address: 0, Type: "i16"},
				{Name: "alpha", Table: modbus.Input, Address: 10, Type: "f32", Order: "CDAB"},
				{Name: "name", Table: modbus.Holding, Address: 39, Type: "text", Length: 16, Encoding: "cp949"},
				{Name: "guard", Table: modbus.Discrete, Address: 2, Type: "bool"},
				{Name: "lamp", Table: modbus.Coil, Address: 4, Type: "bool"},
				{Name: "bits", Table: modbus.Holding, Address: 59, Type: "bits"},
				{Name: "mode", Table: modbus.Holding, Address: 40060, Type: "u16"},
				{Name: "run", Table: modbus.Holding, Address: 60, Type: "u16"},
			}},
			{Name: "pump", Unit: 8, Every: 20 * time.Second, Points: []modbus.Point{{Name: "speed", Table: modbus.Input, Type: "u16"}}},
		},
	})
	if link.Reopen != 5*time.Second {
		t.Errorf("got reopen %v, want 5s", link.Reopen)
	}
	equal(t, "rules", link.Mapping.Devices[0], mapping.Device{
		Name: "press", Type: "press", ID: "PRESS-7", Polled: time.Second,
		Points: []mapping.Point{
			{Name: "zeta", Scale: "0.10", Offset: "-3", Unit: "°C", ReadUnit: "K", Decimals: 1, Min: "-10", Max: "40.5",
				Absent: []string{"-32768", "0x7FFF", "32767"}, Bit: -1, Counter: true},
			{Name: "alpha", Decimals: -1, Bit: -1},
			{Name: "name", Kind: mapping.Text, Decimals: -1, Bit: -1},
			{Name: "guard", Kind: mapping.Bool, Decimals: -1, Bit: -1},
			{Name: "lamp", Kind: mapping.Bool, Decimals: -1, Bit: -1, Enum: []mapping.EnumValue{{Raw: "true", Value: "on"}, {Raw: "false", Value: "off"}}},
			{Name: "bits", Kind: mapping.Bits, Decimals: -1, Bit: -1, Names: []mapping.BitName{{Bit: 0, Name: "low-oil"}, {Bit: 15, Name: "watchdog"}}},
			{Name: "mode", Decimals: -1, Bit: -1, Mask: 0xF0, Enum: []mapping.EnumValue{
				{Raw: "1", Value: json.Number("0.5")}, {Raw: "2", Value: json.Number("1.50")}, {Raw: "3", Value: true}}},
			{Name: "run", Kind: mapping.Bool, Decimals: -1, Bit: 3},
		},
		Computed: []mapping.Computed{{Name: "sum", Is: "alpha * 2", Unit: "bar", Decimals: 2, Min: "0", Max: "9"}},
		Events: []mapping.EventRule{
			{Name: "status", Points: []string{"sum", "zeta", "guard", "alpha"},
				OnChange: []mapping.Change{{Point: "zeta", By: "1"}, {Point: "alpha", Percent: "2"}, {Point: "guard", Any: true}},
				AtLeast:  time.Minute, When: "alpha > 0", Batch: mapping.Batch{Max: 600, Within: time.Minute}, Format: "json", QoS: 1,
				TooLarge: mapping.Split, WithID: true},
			{Name: "slow", Points: []string{"name"}, Every: 15 * time.Minute, Align: true, Format: "json5", Flat: true,
				TooLarge: mapping.Reject, Suffix: "-part"},
		},
	})
	equal(t, "event of a device without events", link.Mapping.Devices[1].Events, []mapping.EventRule{
		{Name: "data", Points: []string{"speed"}, Format: "json5", Flat: true, TooLarge: mapping.Reject, Suffix: "-part"},
	})
}

func TestLineLinks(t *testing.T) {
	cfg, _ := good(t)
	equal(t, "scale", cfg.Links[1].Serial, &serial.Config{
		Link: "scale", Port: port.Config{TTY: "/dev/ttyS2", Mode: port.Mode{Baud: 4800, Bits: 7, Parity: 'E', Stop: 1, Flow: "xonxoff"}},
		Open: [][]byte{[]byte("@\r\n"), []byte("Z\r\n")}, Encoding: []string{"utf-8", "iso-8859-1"},
		Frame: serial.Frame{Start: []byte{2, 0x1b}, End: []byte("\r\n"), Idle: 200 * time.Millisecond, Max: 64},
		Devices: []serial.Device{{
			Name: "scale", Every: 3 * time.Second, Ask: &serial.Ask{Send: []byte("SI\r\n"), Timeout: 700 * time.Millisecond},
			Lines: []*regexp.Regexp{regexp.MustCompile(`^S (?<weight>[\d.]+) (?<unit>\w+)$`), regexp.MustCompile(`^E (?<code>\d+)$`)},
			Points: []serial.Point{
				{Name: "weight", Group: "weight"}, {Name: "code", Group: "code"}, {Name: "status", From: 2, Single: true, Type: "u8"},
				{Name: "net", From: -6, To: -2, Type: "ascii-int"}, {Name: "word", From: 3, Single: true, Type: "u16", Order: "DCBA"},
			},
			Uses: []string{"unit"},
		}},
	})
	if got, want := cfg.Links[1].Mapping.Devices[0].Points[0].UnitFrom, "from.unit"; got != want {
		t.Errorf("got unit from %q, want %q", got, want)
	}
	equal(t, "reader", cfg.Links[2].Serial, &serial.Config{
		Link: "reader", Port: port.Config{TCP: "10.0.0.9:4001"}, Frame: serial.Frame{End: []byte("\n"), Max: 4096},
		Devices: []serial.Device{{Name: "reader", Lines: []*regexp.Regexp{regexp.MustCompile(`^(?<code>.+)$`)}, Points: []serial.Point{{Name: "code", Group: "code"}}}},
	})
	for i, want := range []time.Duration{5 * time.Second, time.Minute, 2 * time.Second, 5 * time.Second} {
		if got := cfg.Links[i].Reopen; got != want {
			t.Errorf("%s: got reopen %v, want %v", cfg.Links[i].Name, got, want)
		}
	}
}

func TestFileLink(t *testing.T) {
	cfg, dir := good(t)
	link := cfg.Links[3]
	equal(t, "log", link.CSV, &csvfile.Config{
		Link: "log", Files: filepath.Join(dir, "logs/LOG_*.csv"), FromEnd: true, FlushPartial: 30 * time.Second, Poll: 5 * time.Second,
		Encoding: []string{"cp949"},
		Format: csvfile.Format{
			Separator: ';', Quote: '\'', Comment: '#', Skip: 3, Columns: []string{"Date", "Time", "Line", "Temp", "Unit"},
			Footer: regexp.MustCompile(`^Sum;`), MaxRecord: 128 << 10,
			Time: &csvfile.Time{Columns: []string{"Date", "Time"}, Format: "%d.%m.%Y %H:%M", Zone: zoneOf(t, "Europe/Berlin"), DST: "first"},
		},
		Devices: []csvfile.Device{
			{Name: "lab", Columns: []csvfile.Column{{Point: "temp", Header: "Temp"}}, Uses: []string{"Unit", "Line"}},
			{Name: "all", Columns: []csvfile.Column{{Point: "line", Header: "Line"}}},
		},
	})
	lab := link.Mapping.Devices[0]
	if p := lab.Points[0]; p.Decimal != ',' || p.Thousands != '.' || p.UnitFrom != "row.Unit" {
		t.Errorf("got decimal %q, thousands %q, unit from %q", p.Decimal, p.Thousands, p.UnitFrom)
	}
	if !lab.Events[0].RowTime || link.Mapping.Devices[1].Events[0].RowTime {
		t.Error("[defaults].timestamp is row, and the second device's event says arrival")
	}
	equal(t, "ids", lab.IDs, []string{"LAB-1", "LAB-2"})
}

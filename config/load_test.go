package config

import (
	"encoding/json"
	"log/slog"
	"os"
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
	"legacybridge/publisher/wiotp"
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
	if diff := cmp.Diff(want, got, byText, byName); diff != "" {
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

// write puts files into a folder; the first is the main file.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

const plc = "[links.plc]\nmodbus_tcp = \"10.0.0.1:502\"\n"

func TestDefaultsOfAnEmptyConfiguration(t *testing.T) {
	cfg, problems := Load(write(t, "a.toml", "schema = 1\nsite.name = \"x\"\n"), Options{State: "/state"})
	if len(problems) > 0 {
		t.Fatalf("got %v", problems)
	}
	equal(t, "platform", cfg.Platform, publisher.Config{
		ClientID: "a:legacy:x", KeepAlive: 30 * time.Second, Window: 100, MaxPayload: wiotp.MaxPayload, Topic: publisher.DefaultTopic,
		Backoff: publisher.Backoff{First: time.Second, Max: 2 * time.Minute, Jitter: 0.2},
	})
	equal(t, "local", cfg.LocalCfg, localplatform.Config{Listen: "127.0.0.1:1883", Org: "legacy", Store: "/state/local", MaxPayload: wiotp.MaxPayload})
	equal(t, "queue", cfg.Queue, queue.Config{Path: "/state/queue", MaxBytes: 512 << 20, MaxAge: 7 * 24 * time.Hour, Linger: 100 * time.Millisecond,
		WhenFull: map[string]queue.WhenFull{}, Dead: queue.DeadConfig{Path: "/state/dead", MaxBytes: 64 << 20, MaxAge: 30 * 24 * time.Hour}})
	if !cfg.Local || cfg.Site.Zone != time.UTC || cfg.Log != (Log{slog.LevelInfo, "auto"}) {
		t.Errorf("got local %v, zone %v, log %v", cfg.Local, cfg.Site.Zone, cfg.Log)
	}
	without := Defaults(Options{State: "/state"})
	without.Site.Name, without.App, without.Platform.ClientID = cfg.Site.Name, cfg.App, cfg.Platform.ClientID
	without.File, without.Files = cfg.File, cfg.Files
	equal(t, "configuration without a file", without, cfg)
}

func TestStateFolder(t *testing.T) {
	file := write(t, "a.toml", "schema = 1\n[local]\nstore = \"memory\"\n")
	t.Setenv("STATE_DIRECTORY", "/run/first:/run/second")
	for state, want := range map[string]string{"": "/run/first/queue", "/given": "/given/queue"} {
		cfg, _ := Load(file, Options{State: state})
		if cfg.Queue.Path != want || cfg.LocalCfg.Store != "memory" {
			t.Errorf("got queue %s, store %s, want %s, memory", cfg.Queue.Path, cfg.LocalCfg.Store, want)
		}
	}
	t.Setenv("STATE_DIRECTORY", "")
	if cfg, _ := Load(file, Options{}); cfg.Queue.Path != "/var/lib/legacybridge/queue" {
		t.Errorf("got %s", cfg.Queue.Path)
	}
}

func TestSecretsAreReadWithoutTheLineBreak(t *testing.T) {
	head := "schema = 1\n[platform]\nserver = \"mqtt://h\"\norg = \"o\"\napp = \"x\"\napi_key = \"a-o-k\"\ntoken = "
	file := write(t, "a.toml", head+"{ credential = \"tok\" }\n", "tok", "s3cret\r\n")
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(file))
	for token, want := range map[string]int{`{ credential = "tok" }`: 0, `{ file = "tok" }`: 0, `{ env = "LB_TOKEN" }`: 1} {
		t.Setenv("LB_TOKEN", "s3cret\n")
		if err := os.WriteFile(file, []byte(head+token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, problems := Load(file, Options{})
		if cfg == nil || len(problems) != want || cfg.Platform.Password.Reveal() != "s3cret" {
			t.Errorf("%s: got %v", token, problems)
		}
	}
}

func TestUnreadableSecretEndsRunAndNotCheck(t *testing.T) {
	_, problems := bench(t, "testdata/bad/SEC001-unreadable.toml")
	if len(problems) != 2 || !problems[0].BlocksRun || problems[0].Severity != Warning {
		t.Errorf("got %+v", problems)
	}
	if cfg, _ := bench(t, "testdata/bad/SEC001-unreadable.toml"); cfg == nil {
		t.Error("got no configuration")
	}
}

func TestFilesAreNamedAsTheyWereGiven(t *testing.T) {
	for file, want := range map[string]string{"testdata/bad/CFG006-included/legacybridge.toml": "testdata/bad/CFG006-included/conf.d/10.toml"} {
		_, problems := bench(t, file)
		if len(problems) != 1 || problems[0].File != want {
			t.Errorf("got %v, want one in %s", problems, want)
		}
	}
}

func TestMissingMainFileIsAProblem(t *testing.T) {
	cfg, problems := Load(filepath.Join(t.TempDir(), "none.toml"), Options{})
	if cfg != nil || len(problems) != 1 || problems[0].Code != "CFG001" || problems[0].Line != 0 {
		t.Errorf("got %v, %v", cfg, problems)
	}
}

// What is missing may stand in the file that cannot be read.
func TestUnreadableFileMakesNoFollowingProblems(t *testing.T) {
	_, problems := Load(write(t, "a.toml", "schema = 1\n[devices.p]\ntype = \"p\"\nlink = \"plc\"\npoints.x = { holding = 1 }\n",
		"conf.d/b.toml", plc+"broken = \n"), Options{})
	if len(problems) != 1 || problems[0].Code != "CFG002" {
		t.Errorf("got %v, want CFG002 alone", problems)
	}
}

func TestIncludeInNameOrderWithoutRepeats(t *testing.T) {
	cfg, problems := Load(write(t, "a.toml", "schema = 1\ninclude = [\"*.toml\", \"conf.d/[bc].toml\", \"conf.d/*.toml\"]\n", "conf.d/c.toml", "", "conf.d/a.toml", "", "conf.d/b.toml", plc), Options{})
	if cfg == nil {
		t.Fatalf("got %v", problems)
	}
	equal(t, "files", cfg.Files, []string{"a.toml", "conf.d/b.toml", "conf.d/c.toml", "conf.d/a.toml"})
}

func TestPipeIsNotWaitedFor(t *testing.T) {
	_, problems := Load("/dev/null", Options{})
	if len(problems) != 1 || problems[0].Code != "CFG001" {
		t.Errorf("got %v", problems)
	}
}

// device loads one device on a Modbus link.
func device(t *testing.T, keys string) (*Config, Problems) {
	t.Helper()
	return Load(write(t, "a.toml", "schema = 1\nsite.name = \"x\"\n"+plc+"[devices.p]\ntype = \"p\"\nlink = \"plc\"\n"+keys), Options{})
}

func TestDeviceIsPolledAtItsFastestEvent(t *testing.T) {
	for _, c := range []struct {
		keys   string
		polled time.Duration
		every  []time.Duration
	}{
		{"", 10 * time.Second, []time.Duration{0}},
		{"every = \"3s\"", 3 * time.Second, []time.Duration{0}},
		{"events.a = {}\nevents.b.every = \"1m\"", 10 * time.Second, []time.Duration{0, time.Minute}},
		{"every = \"1m\"\nevents.a.every = \"1s\"\nevents.b.every = \"5s\"", time.Second, []time.Duration{0, 5 * time.Second}},
		{"events.a.every = \"15m\"", 15 * time.Minute, []time.Duration{0}},
		{"events.a = { every = \"15m\", align = true }", 15 * time.Minute, []time.Duration{15 * time.Minute}},
	} {
		cfg, problems := device(t, c.keys+"\npoints.x = { holding = 1 }\n")
		if cfg == nil {
			t.Errorf("%s: got %v", c.keys, problems)
			continue
		}
		d := cfg.Links[0].Mapping.Devices[0]
		if d.Polled != c.polled || cfg.Links[0].Modbus.Devices[0].Every != c.polled {
			t.Errorf("%s: got polled every %v, want %v", c.keys, d.Polled, c.polled)
		}
		for i, want := range c.every {
			if got := d.Events[i].Every; got != want {
				t.Errorf("%s: got event %s every %v, want %v", c.keys, d.Events[i].Name, got, want)
			}
		}
	}
}

func TestRegistersAtTheEdges(t *testing.T) {
	for keys, want := range map[string]string{
		"points.x = { holding = 40001, literal = true }":            "",
		"points.x = { holding = 40000 }":                            "",
		"points.x = { holding = 50199 }":                            "",
		"points.x = { input = 40001 }":                              "",
		"points.x = { coil = 10001 }":                               "",
		"points.x = { holding = 65535 }":                            "",
		"count_from = 1\npoints.x = { holding = 65536 }":            "",
		"points.x = { holding = 65536 }":                            "MOD003",
		"points.x = { holding = 65534, type = \"f64\" }":            "MOD003",
		"points.x = { holding = 400001 }":                           "MOD002",
		"points.x = { holding = 400001, literal = true }":           "MOD003",
		"points.x = { holding = 49999 }":                            "MOD002",
		"points.x = { holding = -1 }":                               "MOD001",
		"points.x = { holding = 9223372036854775807 }":              "MOD003",
		"points.x = { holding = 0, type = \"text\", length = 250 }": "MOD009",
	} {
		_, problems := device(t, keys+"\n")
		got := ""
		for _, p := range problems {
			got += p.Code
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", keys, got, want)
		}
	}
}

func TestProfileIsNotSupportedAndNothingElseIsSaid(t *testing.T) {
	_, problems := device(t, "profile = \"abb-b23\"\nevents.power = { points = [\"power*\"], on_change = { power = 1 } }\n")
	if len(problems) != 1 || problems[0].Code != "KEY003" {
		t.Errorf("got %v, want KEY003 alone", problems)
	}
}

func TestSiteOfTheReferenceIsRefusedForWhatIsNotBuiltAlone(t *testing.T) {
	_, problems := bench(t, "testdata/site/legacybridge.toml")
	for _, p := range problems {
		if p.Severity == Error && p.Code != "KEY003" {
			t.Errorf("got %s:%d %s %s", p.File, p.Line, p.Code, p.Message)
		}
	}
	if errors, warnings := problems.Count(); errors < 30 || warnings != 2 {
		t.Errorf("got %d errors, %d warnings", errors, warnings)
	}
}

func TestExamplesLoad(t *testing.T) {
	files, err := filepath.Glob("../examples/*/legacybridge.toml")
	if err != nil || len(files) != 3 {
		t.Fatalf("got %v, %v, want three", files, err)
	}
	for _, file := range files {
		cfg, problems := bench(t, file)
		for _, p := range problems {
			if p.Code != "SEC001" {
				t.Errorf("%s: got %s: %s", file, p.where(), p.short())
			}
		}
		if cfg == nil {
			continue
		}
		runs(t, cfg)
	}
}

func TestSummary(t *testing.T) {
	cfg, _ := good(t)
	s := cfg.Summary()
	if s.Files != 4 || s.Links != 4 || s.Devices != 6 || s.Events != 7 || len(s.Payloads) != 7 {
		t.Errorf("got %+v", s)
	}
	if got := s.Payloads[0]; got.Event != "status" || got.Batch < 2 || got.Batch*(got.Bytes+1)+1 > cfg.Platform.MaxPayload {
		t.Errorf("got %+v", got)
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if cfg, _ := Load("../examples/hall/legacybridge.toml", Options{}); cfg == nil {
			b.Fatal("no configuration")
		}
	}
}

func TestFolderWithPatternCharactersInItsName(t *testing.T) {
	file := write(t, "[a]*/a.toml", "schema = 1\n", "[a]*/conf.d/b.toml", plc)
	cfg, problems := Load(file, Options{})
	if cfg == nil || len(cfg.Links) != 1 {
		t.Errorf("got %v, want the link of conf.d/b.toml", problems)
	}
}

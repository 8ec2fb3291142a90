package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"legacybridge/publisher"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/queue"
	"legacybridge/publisher/wiotp"
)

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
	equal(t, "local", cfg.LocalCfg, localplatform.Config{Listen: "127.0.0.1:1883", Org: "legacy", Store: "/state/local", MaxPayload: wiotp.MaxPayload, Quickstart: true})
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
	if errors, warnings := problems.Count(); errors < 20 || warnings != 3 {
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

package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSilenceIsPeriodsOrADuration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "legacybridge.toml")
	text := `schema = 1
[defaults]
every = "10s"
[links.plc]
modbus_tcp = "10.0.0.1:502"
[links.log]
file = "/x/log.csv"
[devices.usual]
type = "press"
link = "plc"
points.a = { holding = 1 }
[devices.own]
type = "press"
link = "plc"
unit = 2
every = "2s"
stale = "1.5x"
points.a = { holding = 1 }
[devices.talks]
type = "logger"
link = "log"
points.a = { column = "a" }
[devices.watched]
type = "logger"
id = "w"
link = "log"
stale = "1h"
points.a = { column = "a" }
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := Load(file, Options{})
	if cfg == nil {
		t.Fatal(problems)
	}
	for device, want := range map[string]time.Duration{"usual": 30 * time.Second, "own": 3 * time.Second, "talks": 0, "watched": time.Hour} {
		if got := cfg.Links[0].Stale[device] + cfg.Links[1].Stale[device]; got != want {
			t.Errorf("%s is quiet after %v, want %v", device, got, want)
		}
	}
}

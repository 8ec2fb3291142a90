package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadmeShowsTheExampleThatRuns(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../../examples/plant/legacybridge.toml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), strings.TrimSpace(string(example))) {
		t.Error("the configuration in README.md is not examples/plant/legacybridge.toml")
	}
}

// The command that README shows is one that check has nothing against, and that is sent as it says.
func TestReadmesCommandIsUsable(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "## Writing to equipment")
	_, after, _ = strings.Cut(after, "```toml\n")
	snippet, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatal("README.md shows no command")
	}
	file := filepath.Join(t.TempDir(), "legacybridge.toml")
	writeFile(t, file, `schema = 1
[site]
name = "hall"
[links.hall]
modbus_tcp = "192.168.10.30:502"
[devices.extract-fan]
type = "fan"
link = "hall"
[devices.extract-fan.points]
speed = { holding = 2, type = "u16", scale = 0.1, unit = "%" }
local = { coil = 0 }
`+snippet, 0o600)
	if out, err := exec.Command(program, "check", "--deny-warnings", "-c", file).CombinedOutput(); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}
	out, err := exec.Command(program, "send", "extract-fan", "set_speed", "percent=50", "--dry-run", "-c", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `/cmd/set_speed/fmt/json {"d":{"percent":50}`) {
		t.Errorf("send: %v\n%s", err, out)
	}
}

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// called runs a command of the program to its end.
func called(t *testing.T, stdin string, args ...string) (out, talk string, code int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var o, e strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func TestSendRefusesWhatTheServiceWould(t *testing.T) {
	t.Parallel()
	config := siteFile(t, "127.0.0.1:1", fmt.Sprintf(commandSite, true, "127.0.0.1:1"))
	off := siteFile(t, "127.0.0.1:1", fmt.Sprintf(commandSite, false, "127.0.0.1:1"))
	for _, c := range []struct {
		config string
		args   string
		code   int
		want   string
	}{
		{config, "fan set_speed percent=101", 4, "CMD009"},
		{config, "fan set_speed", 4, "the argument percent is missing"},
		{config, "fan set_speed percent=fast", 4, "CMD009"},
		{config, "drive/FAN-3 set_speed percent=-1", 4, "CMD009"},
		{config, "fan format", 4, "CMD002"},
		{off, "fan set_speed percent=50", 4, "CMD001"},
		{config, "fam set_speed percent=50", 2, "no device"},
		{config, "fan set_speed percent", 2, "NAME=VALUE"},
		{config, "fan set_speed percent=1 percent=2", 2, "twice"},
		{config, "drive/+ stop", 2, "device id"},
		{config, "drive/FAN-9 a/b", 2, "command"},
		{config, "fan", 2, "requires at least 2 arg"},
	} {
		_, talk, code := called(t, "", append([]string{"send", "--yes", "-q", "-c", c.config}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(talk, c.want) {
			t.Errorf("send %s: exit %d, %s, want %d and %s", c.args, code, talk, c.code, c.want)
		}
	}
	// Nothing dangerous without asking.
	if _, talk, code := called(t, "n\n", "send", "-q", "-c", config, "fan", "set_speed", "percent=50"); code != 4 || !strings.Contains(talk, `Send set_speed to drive/FAN-3: {"percent":50} ? [y/N]`) {
		t.Errorf("exit %d, %s", code, talk)
	}
	if _, talk, code := called(t, "", "send", "--yes", "-q", "-c", config, "fan", "set_speed", "percent=50"); code != 3 {
		t.Errorf("without a server: exit %d, %s", code, talk)
	}
}

func TestSendShowsWhatItWouldSend(t *testing.T) {
	t.Parallel()
	config := siteFile(t, "127.0.0.1:1", fmt.Sprintf(commandSite, true, "127.0.0.1:1"))
	for args, want := range map[string]string{
		"fan set_speed percent=50.50":              `^iot-2/type/drive/id/FAN-3/cmd/set_speed/fmt/json \{"d":\{"percent":50.50\},"ts":"20\d\d-[^"]+Z","id":"send-[a-z2-7]{13}"\}\n$`,
		`press/P-1 go a=1 b=true c=x d={"e":1} f=`: `^iot-2/type/press/id/P-1/cmd/go/fmt/json \{"d":\{"a":1,"b":true,"c":"x","d":"\{\\"e\\":1\}","f":""\},"ts":`,
		"press/P-1 stop":                           `/cmd/stop/fmt/json \{"d":\{\},"ts":`,
	} {
		out, talk, code := called(t, "", append([]string{"send", "--dry-run", "-q", "-c", config}, strings.Fields(args)...)...)
		if code != 0 || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("send %s: exit %d, %s%s, want %s", args, code, out, talk, want)
		}
	}
}

func TestWhatIsSentIsWritten(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	fan := newDrive(t)
	config := siteFile(t, broker.addr, fmt.Sprintf(commandSite, true, fan.addr()))
	b := startBridge(t, config, t.TempDir())
	listening(t, b)
	_, talk, code := called(t, "y\n", "send", "-c", config, "fan", "set_speed", "percent=42")
	if code != 0 || !strings.Contains(talk, "next:  legacybridge watch events --id FAN-3 --event set_speed_result") {
		t.Fatalf("exit %d, %s", code, talk)
	}
	id := regexp.MustCompile(`send-[a-z2-7]{13}`).FindString(talk)
	waitFor(t, 20*time.Second, "the reply", func() bool { _, n := replyTo(t, sub, id); return n > 0 })
	if r, _ := replyTo(t, sub, id); !r.OK {
		t.Errorf("got %+v", r)
	}
	if w := fan.written(); len(w) != 1 || w[0].value != 42 {
		t.Errorf("written %v, want 42 once", w)
	}
}

// The embedded platform carries commands too: bridge, platform and send are all ours here, the wires between them real.
func TestCommandsOverTheEmbeddedPlatform(t *testing.T) {
	t.Parallel()
	fan, dir := newDrive(t), t.TempDir()
	config := filepath.Join(dir, "legacybridge.toml")
	text := fmt.Sprintf("schema = 1\n[site]\nname = \"test\"\n[local]\nlisten = %q\n", freeAddr(t)) + fmt.Sprintf(commandSite, true, fan.addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	listening(t, startBridge(t, config, state))
	for n, device := range []string{"fan", "drive/FAN-3"} {
		if _, talk, code := called(t, "", "send", "--yes", "-c", config, "--state", state, device, "set_speed", fmt.Sprint("percent=", 40+n)); code != 0 {
			t.Fatalf("exit %d, %s", code, talk)
		}
	}
	waitFor(t, 20*time.Second, "both writes", func() bool { return len(fan.written()) == 2 })
	if w := fan.written(); w[0].value != 40 || w[1].value != 41 {
		t.Errorf("written %v, want 40 and 41", w)
	}
}

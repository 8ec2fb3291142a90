package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// sessionForms are all forms of a client id with what of it is the configuration's, and the rules of a platform that
// takes it.
var sessionForms = []struct {
	name, platform string
	qos            byte
	rules          string
	id             string
}{
	{"Application", "", 1, "", "a:legacy:plant"},
	{"ApplicationQoS0", "qos = 0", 0, "", "a:legacy:plant"},
	{"ApplicationQoS2", "qos = 2", 2, "", "a:legacy:plant"},
	{"ApplicationKept", "clean_session = false", 1, "", "a:legacy:plant"},
	{"Scalable", "scalable = true", 1, "", "A:legacy:plant"},
	{"ScalableQoS0", "scalable = true\nqos = 0", 0, "", "A:legacy:plant"},
	{"ScalableCleanFalse", "scalable = true\nclean_session = false", 1, `scalable_clean_session = "any"`, "A:legacy:plant"},
	{"ScalableCleanTrue", "scalable = true\nclean_session = true\nqos = 2", 2, `scalable_clean_session = "server"`, "A:legacy:plant"},
	{"Instance", "scalable = true\ninstance = \"one\"\nqos = 2", 2, "", "A:legacy:plant:one"},
	{"InstanceCleanTrue", "scalable = true\ninstance = \"one\"\nclean_session = true", 1, `scalable_clean_session = "server"`, "A:legacy:plant:one"},
	{"InstanceKept", "scalable = true\ninstance = \"one\"\nclean_session = false", 1, "", "A:legacy:plant:one"},
	{"Quickstart", "", 0, "", "a:quickstart:plant"},
}

const formRows = 50

// formSite writes a site with a file of rows, for a server of mqtt://ADDR.
func formSite(t *testing.T, addr, org, user, token, platform string) string {
	t.Helper()
	dir := t.TempDir()
	key := ""
	if org != "quickstart" && user != "" {
		key = fmt.Sprintf("api_key = %q\ntoken = { file = \"token\" }\n", user)
	}
	var rows strings.Builder
	fmt.Fprintln(&rows, "n")
	for n := 1; n <= formRows; n++ {
		fmt.Fprintln(&rows, n)
	}
	text := fmt.Sprintf(`schema = 1
[site]
name = "plant"
[web]
listen = "off"
[platform]
server = "mqtt://%s"
org = "%s"
backoff = { first = "100ms", max = "500ms" }
%s%s
[links.log]
file = "log.csv"
poll = "50ms"
[devices.log]
type = "logger"
id = "LOG-1"
link = "log"
[devices.log.points]
n = { column = "n", type = "int" }
[devices.log.events.row]
`, addr, org, key, platform)
	for name, content := range map[string]string{"legacybridge.toml": text, "log.csv": rows.String(), "token": token + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "legacybridge.toml")
}

// once runs the bridge over what is there, and returns its exit code and what it said.
func once(t *testing.T, config string, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"run", "--once", "-v", "-c", config, "--state", t.TempDir()}, args...)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// delivers runs the bridge and wants all rows at a subscriber, in their order, with the QoS that they were given.
func delivers(t *testing.T, config string, sub *mqtt.ClientOptions, qos byte) {
	t.Helper()
	var mu sync.Mutex
	var got []string
	var odd []byte
	client := mqtt.NewClient(sub.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, between(string(m.Payload()), `"n":`, "}"))
		if m.Qos() != qos {
			odd = append(odd, m.Qos())
		}
	}))
	wait(t, client.Connect(), "connect")
	defer client.Disconnect(50)
	wait(t, client.Subscribe("iot-2/type/logger/id/LOG-1/evt/+/fmt/+", qos, nil), "subscribe")
	if code, said := once(t, config); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(got)
	}
	waitFor(t, 20*time.Second, "last row", func() bool { return count() >= formRows })
	mu.Lock()
	defer mu.Unlock()
	var want []string
	for n := 1; n <= formRows; n++ {
		want = append(want, fmt.Sprint(n))
	}
	if !slices.Equal(got, want) || len(odd) > 0 {
		t.Errorf("got rows %v, %d of another QoS; want 1 to %d with QoS %d", got, len(odd), formRows, qos)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func TestBridgeOnEveryFormOfClientID(t *testing.T) {
	for _, f := range sessionForms {
		org := strings.Split(f.id, ":")[1]
		t.Run("Embedded/"+f.name, func(t *testing.T) {
			t.Parallel()
			p := startEmbedded(t, fmt.Sprintf("[local.rules]\nunregistered = \"accept\"\n%s\n[log]\nlevel = \"debug\"", f.rules))
			sub := p.options("a:"+org+":sub", true)
			if org == "quickstart" {
				sub.SetUsername("").SetPassword("")
			}
			config := formSite(t, p.addr, org, p.user, p.token, f.platform)
			delivers(t, config, sub, f.qos)
			p.heard(f.id)
		})
		t.Run("Mosquitto/"+f.name, func(t *testing.T) {
			t.Parallel()
			m := startMosquitto(t)
			sub := mqtt.NewClientOptions().AddBroker("tcp://" + m.addr).SetClientID("sub").SetProtocolVersion(4)
			delivers(t, formSite(t, m.addr, org, "a-legacy-k", "test-token", f.platform), sub, f.qos)
		})
	}
}

// heard wants the platform to have let in this client id.
func (p *embedded) heard(id string) {
	p.t.Helper()
	if !strings.Contains(p.stderr.String(), "id="+id+" ") {
		p.t.Errorf("the platform has not heard of %s", id)
	}
}

// A refusal for the clean session is explained on both sides by both settings.
func TestRefusedCleanSessionIsExplained(t *testing.T) {
	for _, c := range []struct{ rule, platform, sent string }{
		{"server", "scalable = true", "false"},
		{"document", "scalable = true\nclean_session = true", "true"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			p := startEmbedded(t, fmt.Sprintf("[local.rules]\nunregistered = \"accept\"\nscalable_clean_session = %q", c.rule))
			code, said := once(t, formSite(t, p.addr, "legacy", p.user, p.token, c.platform), "--timeout", "5s")
			if code != 3 {
				t.Errorf("exit code %d, want 3", code)
			}
			for _, want := range []string{"clean session " + c.sent + " was sent", "platform.clean_session", "rules.scalable_clean_session"} {
				if !strings.Contains(said, want) {
					t.Errorf("the bridge said nothing of %q:\n%s", want, said)
				}
			}
			for _, want := range []string{"rule=scalable_clean_session", fmt.Sprintf(`rules.scalable_clean_session = \"%s\"`, c.rule)} {
				if !strings.Contains(p.stderr.String(), want) {
					t.Errorf("the platform said nothing of %q:\n%s", want, p.stderr.String())
				}
			}
		})
	}
}

package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

// registrySite has three devices; two are of one type.
const registrySite = `
[platform.registry]
url = "%s"
api_key = "%s"
token = { file = "token" }
[links.plc]
modbus_tcp = "127.0.0.1:1"
[devices.one]
type = "press"
id = "P-1"
link = "plc"
unit = 1
points.v = { holding = 0 }
[devices.two]
type = "press"
id = "P-2"
link = "plc"
unit = 2
points.v = { holding = 0 }
[devices.three]
type = "kiln"
id = "K-1"
link = "plc"
unit = 3
points.v = { holding = 0 }
`

// registryPlatform is a platform on which press/P-1 alone is registered.
func registryPlatform(t *testing.T) (addr string) {
	t.Helper()
	p, err := localplatform.Open(localplatform.Config{
		Listen: "127.0.0.1:0", Org: "abc123", Store: "memory", Devices: []localplatform.Device{{Type: "press", ID: "P-1"}},
		Users: map[string]localplatform.User{"a-abc123-k": {Token: "test-token"}, "a-abc123-dev": {Token: "test-token", Role: wiotp.DeviceRole}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p.Addr().String()
}

func TestDevicesAgainstTheRegistry(t *testing.T) {
	t.Parallel()
	addr := registryPlatform(t)
	site := func(url, key string) string { return siteFile(t, addr, fmt.Sprintf(registrySite, url, key)) }
	good := site("http://"+addr+"/api/v0002", "a-abc123-k")
	step := func(config, args string, code int, out, talk string) {
		t.Helper()
		o, e, got := called(t, "", append([]string{"devices", "-q", "-c", config}, strings.Fields(args)...)...)
		if got != code || !strings.Contains(o, out) || !strings.Contains(e, talk) {
			t.Errorf("devices %s: got exit %d, %q, %q, want %d, %q, %q", args, got, o, e, code, out, talk)
		}
	}
	step(good, "verify", 1, "press/P-2   device missing", "1 of 3 devices registered")
	step(good, "verify", 1, "kiln/K-1    type missing", "legacybridge devices register --missing")
	step(good, "register", 2, "", "--missing")
	step(good, "register press/P-9", 2, "", "no device press/P-9")
	step(good, "register --missing --dry-run", 0, "kiln/K-1", "2 devices would be registered; nothing was changed")
	step(good, "register kiln/K-1", 0, "kiln/K-1", "registered 1, 0 were there already")
	step(good, "verify", 1, "", "2 of 3 devices registered")
	step(good, "register --missing", 0, "press/P-2", "registered 1, 2 were there already")
	step(good, "verify", 0, "press/P-2   registered", "3 of 3 devices registered")
	step(good, "list --json", 0, `{"type":"kiln","id":"K-1","state":"registered","configured":true}`, "")

	step(site("http://"+addr+"/api/v0002", "a-abc123-none"), "verify", 4, "", "(401)")
	step(site("http://"+addr+"/api/v0002", "a-abc123-dev"), "verify", 4, "", "(403)")
	step(site("http://127.0.0.1:1/api/v0002", "a-abc123-k"), "verify", 3, "", "cannot be reached")
	step(site("http://"+addr+"/wrong", "a-abc123-k"), "list", 3, "", "answers 404")
	step(siteFile(t, addr, "[links.plc]\nmodbus_tcp = \"127.0.0.1:1\"\n[devices.x]\ntype = \"x\"\nlink = \"plc\"\npoints.v = { holding = 0 }\n"), "verify", 2, "", "[platform.registry] is missing")
}

// A real platform explains what it does not like in violations.
func TestRefusalOfTheRegistryIsShownWithItsViolations(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"message":"CUDRS0007E: not valid","exception":{"id":"CUDRS0007E"},"violations":[{"message":"CUDRS0012E: too long"}]}`)
	}))
	defer srv.Close()
	_, talk, code := called(t, "", "devices", "register", "--missing", "-q", "-c", siteFile(t, "127.0.0.1:1", fmt.Sprintf(registrySite, srv.URL+"/api/v0002", "a-abc123-k")))
	if code != 4 || !strings.Contains(talk, "CUDRS0007E") || !strings.Contains(talk, "CUDRS0012E: too long") || strings.Contains(talk, "test-token") {
		t.Errorf("got exit %d, %s", code, talk)
	}
}

func TestServiceSaysWhichDevicesAreNotRegistered(t *testing.T) {
	t.Parallel()
	addr := registryPlatform(t)
	config := siteFile(t, addr, fmt.Sprintf(registrySite, "http://"+addr+"/api/v0002", "a-abc123-k")+"[log]\nformat = \"json\"\n")
	cmd := exec.Command(program, "run", "-c", config, "--state", t.TempDir())
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	talk, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	said, connected := "", false
	for lines := bufio.NewScanner(talk); lines.Scan(); {
		var line map[string]any
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue
		}
		if line["code"] == "PLT017" {
			said = fmt.Sprint(line["msg"], line["device"], line["n"])
		}
		connected = connected || strings.HasPrefix(fmt.Sprint(line["msg"]), "connected to the platform")
		if said != "" && connected {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"press/P-2 (device missing)", "kiln/K-1 (type missing)", "devices register --missing"} {
		if !strings.Contains(said, want) {
			t.Errorf("got %q, want %q in it", said, want)
		}
	}
	if strings.Contains(said, "P-1") || !connected {
		t.Errorf("got %q, connected %v", said, connected)
	}
}

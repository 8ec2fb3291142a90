package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The known token: letters, digits, and what a shell, a quotation or a template would make something of.
const knownToken = `Zk7!$(id)*-&"Vq9x~Wm3%d{}`

// needles are texts that give the token away: any eight characters of it, plain or as some encoding would write them.
func needles(token string) []string {
	var list []string
	for i := 0; i+8 <= len(token); i++ {
		part := token[i : i+8]
		quoted, _ := json.Marshal(part)
		list = append(list, part, strings.Trim(string(quoted), `"`), strings.Trim(fmt.Sprintf("%q", part), `"`), hex.EncodeToString([]byte(part)),
			url.QueryEscape(part))
		for shift := range 3 { // wherever it stands among what is encoded with it
			text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + part))
			text = text[(shift*8+5)/6 : (shift+len(part))*8/6]
			list = append(list, text, strings.NewReplacer("+", "-", "/", "_").Replace(text))
		}
	}
	return list
}

// A keeper looks for one token in everything that a program says and writes.
type keeper struct {
	t       *testing.T
	needles []string
	when    string
	looked  int
}

func keep(t *testing.T, token string) *keeper { return &keeper{t: t, needles: needles(token)} }

func (k *keeper) look(where string, text []byte) {
	k.t.Helper()
	k.looked++
	for _, n := range k.needles {
		if at := bytes.Index(text, []byte(n)); at >= 0 {
			k.t.Errorf("%s%s gives the token away: …%s…", k.when, where, text[max(at-60, 0):min(at+60, len(text))])
			return
		}
	}
}

// folder looks into every file below dir but those named.
func (k *keeper) folder(dir string, but ...string) {
	k.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		for _, name := range but {
			if path == name {
				return nil
			}
		}
		text, err := os.ReadFile(path)
		k.look(path, text)
		return err
	})
	if err != nil {
		k.t.Error(err)
	}
}

// run runs a command to its end, whatever its exit code, and looks at what it said.
func (k *keeper) run(env []string, args ...string) string {
	k.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	said, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		k.t.Fatal(err)
	}
	k.look("legacybridge "+strings.Join(args, " "), said)
	return string(said)
}

func TestKeeperFindsATokenHoweverItIsWritten(t *testing.T) {
	quoted, _ := json.Marshal(knownToken)
	for name, text := range map[string]string{
		"plain": knownToken, "json": string(quoted), "quoted": fmt.Sprintf("%q", knownToken), "part": knownToken[9:18],
		"basic": base64.StdEncoding.EncodeToString([]byte("a-abc123-k:" + knownToken)), "base64": base64.URLEncoding.EncodeToString([]byte(knownToken)),
		"hex": fmt.Sprintf("%x", knownToken), "url": url.QueryEscape(knownToken),
	} {
		found := false
		for _, n := range needles(knownToken) {
			found = found || strings.Contains("before "+text+" behind", n)
		}
		if !found {
			t.Errorf("%s: not found in %s", name, text)
		}
	}
}

// tokenSite is a site whose token is known; form is how the configuration names it.
func tokenSite(t *testing.T, server, form, more string) (config string) {
	t.Helper()
	config = siteFile(t, server, more+fmt.Sprintf(logSite, newLogFileWith(t, 20)))
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(filepath.Dir(config), "token"), knownToken+"\n", 0o600)
	writeFile(t, config, strings.Replace(string(text), `token = { file = "token" }`, form, 1), 0o600)
	return config
}

func newLogFileWith(t *testing.T, rows int) string {
	file := newLogFile(t)
	file.append(rows)
	return file.path
}

// TestRunKeepsTheTokenToItself: every form of the log at its most talkative, the commands that look at the state, a dump
// of all goroutines, and every file that was written.
func TestRunKeepsTheTokenToItself(t *testing.T) {
	t.Parallel()
	k := keep(t, knownToken)
	for i, form := range []string{`token = { file = "token" }`, `token = { env = "BRIDGE_TOKEN" }`, `token = { credential = "token" }`} {
		s := newSink(t)
		format := []string{"text", "json", "journald"}[i]
		config, state := tokenSite(t, s.addr(), form, fmt.Sprintf("[log]\nlevel = \"debug\"\nformat = %q\n", format)), t.TempDir()
		env := []string{"GOTRACEBACK=all"}
		switch i {
		case 1:
			env = append(env, "BRIDGE_TOKEN="+knownToken)
		case 2:
			env = append(env, "CREDENTIALS_DIRECTORY="+filepath.Dir(config))
		}
		b := startBuild(t, program, env, config, state, "-v")
		waitFor(t, 20*time.Second, "events", func() bool { return s.received.Load() == 20 })
		for _, args := range [][]string{{"queue", "stats"}, {"queue", "ls"}, {"queue", "verify"}, {"dead", "ls"}, {"dead", "export"}, {"check"},
			{"check", "--json"}, {"check", "--format", "short"}, {"check", "--format", "github"}, {"run", "--dry-run", "--once"}} {
			k.run(env, append(args, "-v", "-c", config, "--state", state)...)
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", b.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		k.look("its command line", cmdline)
		if err := b.cmd.Process.Signal([]syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGQUIT}[i]); err != nil {
			t.Fatal(err)
		}
		_ = b.cmd.Wait()
		said := b.stderr.String()
		if !strings.Contains(said, "connected to the platform") || !strings.Contains(said, "goroutine ") {
			t.Errorf("the log in the form %s ends without a dump:\n%.2000s", format, said)
		}
		k.look("the log and the dump in the form "+format, []byte(said))
		k.folder(state)
	}
	t.Logf("%d outputs and files looked at", k.looked)
}

// TestTroubleKeepsTheTokenToItself: what goes wrong is explained, and the explanation does not quote the token.
func TestTroubleKeepsTheTokenToItself(t *testing.T) {
	t.Parallel()
	k := keep(t, knownToken)
	for name, form := range map[string]string{
		"in the configuration":      "token = '" + knownToken + "'",
		"in double quotes":          `token = "` + strings.ReplaceAll(knownToken, `"`, `\"`) + `"`,
		"without quotes":            "token = " + knownToken,
		"quotes left open":          `token = '` + knownToken,
		"over several lines":        "token = '''\n" + knownToken + "\n'''",
		"over lines, left open":     "token = '''\n" + knownToken + "\n",
		"below an equals sign":      "token =\n'" + knownToken + "'",
		"loose in the table":        "token = { file = 'token', '" + knownToken + "' }",
		"under a wrong name":        "token = { value = '" + knownToken + "' }",
		"under a wrong name, twice": "token = { file = 'token', value = '" + knownToken + "' }",
		"as a list":                 "token = ['" + knownToken + "']",
		"dotted":                    "token.value = '" + knownToken + "'",
		"another key for it":        "password = '" + knownToken + "'",
		"a slip in the key":         "tokn = '" + knownToken + "'",
		"a slip and no quotes":      "tokn = " + knownToken,
		"the key in capitals":       "TOKEN = '" + knownToken + "'",
		"a key with more to it":     "auth_token = '" + knownToken + "'",
		"two keys on a line":        "user = 'x' token = '" + knownToken + "'",
		"in the address":            "token = { file = 'token' }\nserver = 'mqtt://a-abc123-k:" + knownToken + "@127.0.0.1:1'",
		"instead of the variable":   "token = { env = '" + knownToken + "' }",
		"instead of the file":       "token = { file = '" + knownToken + "' }",
		"instead of the credential": "token = { credential = '" + knownToken + "' }",
		"twice":                     "token = { file = 'token' }\ntoken = '" + knownToken + "'",
		"at the top, by its path":   "token = { file = 'token' }\n[platform.token]\nvalue = '" + knownToken + "'",
		"in a table of its own":     "[platform.token]\nvalue = '" + knownToken + "'",
		"a comment behind":          "token = { file = 'tokem' } # " + knownToken,
		"a comment above":           "# the token is " + knownToken + "\ntoken = { file = 'tokem' }",
	} {
		config := tokenSite(t, "127.0.0.1:1", form, "")
		k.when = name + ": "
		for _, args := range [][]string{{"check"}, {"check", "--format", "short"}, {"check", "--format", "github"}, {"check", "--json"}, {"run", "-v", "--timeout", "1ms"}} {
			said := k.run(nil, append(args, "-c", config, "--state", t.TempDir())...)
			if said == "" {
				t.Errorf("%s: %v said nothing", name, args)
			}
		}
	}
	k.when = ""
	open := tokenSite(t, "127.0.0.1:1", `token = { file = "token" }`, "")
	if err := os.Chmod(filepath.Join(filepath.Dir(open), "token"), 0o644); err != nil {
		t.Fatal(err)
	}
	if said := k.run(nil, "check", "-c", open); !strings.Contains(said, "SEC002") {
		t.Errorf("a token that others can read: %s", said)
	}
	refuser := refusingBroker(t)
	refused := startBridge(t, tokenSite(t, refuser, `token = { file = "token" }`, ""), t.TempDir(), "-v")
	waitFor(t, 20*time.Second, "the refusal to be said", func() bool { return strings.Contains(refused.stderr.String(), "PLT002") })
	refused.stop()
	k.look("the log of a refused login", []byte(refused.stderr.String()))
	k.look("watch at a server that refuses", []byte(k.run(nil, "watch", "events", "--for", "1s", "-v", "-c", tokenSite(t, refuser, `token = { file = "token" }`, ""))))
	t.Logf("%d outputs looked at", k.looked)
}

// refusingBroker answers every login with "not authorised", and shows that the token does reach the wire.
func refusingBroker(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			login := make([]byte, 512)
			n, _ := c.Read(login)
			if !bytes.Contains(login[:n], []byte(knownToken)) {
				t.Error("a login without the token: then nothing is shown by not finding it elsewhere")
			}
			c.Write([]byte{0x20, 2, 0, 5})
			c.Close()
		}
	}()
	return l.Addr().String()
}

// TestLocalKeyIsInOnePlace: the key that the embedded platform makes for itself is in key.json, and nowhere else.
func TestLocalKeyIsInOnePlace(t *testing.T) {
	t.Parallel()
	state, dir := t.TempDir(), t.TempDir()
	config := filepath.Join(dir, "legacybridge.toml")
	writeFile(t, config, fmt.Sprintf("schema = 1\n[local]\nlisten = %q\n[log]\nlevel = \"debug\"\n[web]\nlisten = \"off\"\n", freeAddr(t))+
		fmt.Sprintf(logSite, newLogFileWith(t, 20)), 0o600)
	b := startBuild(t, program, []string{"GOTRACEBACK=all"}, config, state, "-v")
	path := filepath.Join(state, "local", "key.json")
	waitFor(t, 20*time.Second, "the key", func() bool { _, err := os.Stat(path); return err == nil })
	waitFor(t, 20*time.Second, "the connection", func() bool { return strings.Contains(b.stderr.String(), "connected to the platform") })
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var key struct{ Token string }
	if err := json.Unmarshal(text, &key); err != nil || len(key.Token) < 8 {
		t.Fatalf("%s: %v", path, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key.json: %v, %v, want it for its owner alone", info.Mode(), err)
	}
	k := keep(t, key.Token)
	for _, args := range [][]string{{"queue", "stats"}, {"watch", "events", "--for", "1s"}, {"watch", "events", "--json", "--for", "300ms"}, {"platform"}, {"check", "--json"}} {
		k.run(nil, append(args, "-v", "-c", config, "--state", state)...)
	}
	if err := b.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = b.cmd.Wait()
	k.look("the log and the dump", []byte(b.stderr.String()))
	k.folder(state, path)
	alone := exec.Command(program, "platform", "-v", "--timeout", "500ms", "-c", config, "--state", state)
	said, err := alone.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "key.json") {
		t.Errorf("platform: %v\n%s", err, said)
	}
	k.look("platform", said)
	demo := exec.Command(program, "demo", "-v", "--for", "1s", "--port", "0")
	demo.Env = append(os.Environ(), "TMPDIR="+dir)
	said, err = demo.CombinedOutput()
	if err != nil {
		t.Errorf("demo: %v\n%s", err, said)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "legacybridge-demo-*")); len(left) > 0 {
		t.Errorf("the demo leaves its key behind: %v", left)
	}
}

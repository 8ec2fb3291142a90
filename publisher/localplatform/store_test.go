package localplatform_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func stored(dir string) func(*localplatform.Config) {
	return func(cfg *localplatform.Config) { cfg.Store = dir }
}

func TestFirstStartMakesAKeyThatStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "local")
	if _, _, err := localplatform.ReadKey(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want not exist", err)
	}
	s := start(t, stored(dir))
	key, token := s.Key()
	if err := wiotp.CheckAPIKey(key, "legacy"); err != nil || wiotp.CheckToken(token) != nil {
		t.Errorf("got key %q, %v", key, err)
	}
	login(t, s, "app")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, "key.json"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want mode %o", path, info.Mode(), err, want)
		}
	}
	readKey, readToken, err := localplatform.ReadKey(dir)
	if err != nil || readKey != key || readToken != token {
		t.Errorf("got %q, %v, want %q", readKey, err, key)
	}
	s = start(t, stored(dir))
	if again, t2 := s.Key(); again != key || t2 != token {
		t.Errorf("got %q, want the key of the first start %q", again, key)
	}
	login(t, s, "app")
	if left, err := filepath.Glob(filepath.Join(dir, "key.json.*")); len(left) > 0 || err != nil {
		t.Errorf("got %v left behind", left)
	}
}

func TestKeysDiffer(t *testing.T) {
	k1, t1 := start(t, nil).Key()
	k2, t2 := start(t, nil).Key()
	if k1 == k2 || t1 == t2 {
		t.Error("got the same key twice")
	}
}

func TestSecondProcessIsTurnedAway(t *testing.T) {
	dir := t.TempDir()
	s := start(t, stored(dir))
	_, err := localplatform.Open(localplatform.Config{Listen: "127.0.0.1:0", Org: "legacy", Store: dir})
	if !errors.Is(err, localplatform.ErrBusy) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want ErrBusy with the folder", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	start(t, stored(dir))
}

func TestFailedOpenGivesTheStoreBack(t *testing.T) {
	dir := t.TempDir()
	s := start(t, nil)
	if _, err := localplatform.Open(localplatform.Config{Listen: s.Addr().String(), Org: "legacy", Store: dir}); err == nil {
		t.Fatal("got nil, want the address taken")
	}
	start(t, stored(dir))
}

func TestOpenWithoutRunGivesEverythingBack(t *testing.T) {
	dir := t.TempDir()
	p, err := localplatform.Open(localplatform.Config{Listen: "127.0.0.1:0", Org: "legacy", Store: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	start(t, func(cfg *localplatform.Config) { cfg.Store, cfg.Listen = dir, p.Addr().String() })
}

func TestDamagedKeyIsNamedAndNotQuoted(t *testing.T) {
	for _, content := range []string{"", "{", `{"api_key":"a-legacy-x"}`, `{"api_key":"a-legacy-x","token":"SECRET PART"}`, `{"token":SECRET`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "key.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := localplatform.Open(localplatform.Config{Listen: "127.0.0.1:0", Org: "legacy", Store: dir})
		if err == nil || !strings.Contains(err.Error(), "key.json") || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: got %v, want an error that names the file", content, err)
		}
	}
}

func TestKeyOfAnotherOrganisationIsNamed(t *testing.T) {
	dir := t.TempDir()
	s := start(t, stored(dir))
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	_, err := localplatform.Open(localplatform.Config{Listen: "127.0.0.1:0", Org: "abc123", Store: dir})
	if err == nil || !strings.Contains(err.Error(), "key.json") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	good := localplatform.Config{Listen: "127.0.0.1:0", Org: "legacy", Store: "memory"}
	for name, change := range map[string]func(*localplatform.Config){
		"no organisation": func(c *localplatform.Config) { c.Org = "" },
		"quickstart":      func(c *localplatform.Config) { c.Org = "quickstart" },
		"no address":      func(c *localplatform.Config) { c.Listen = "" },
		"no store":        func(c *localplatform.Config) { c.Store = "" },
		"limit":           func(c *localplatform.Config) { c.MaxPayload = -1 },
		"device":          func(c *localplatform.Config) { c.Devices = []localplatform.Device{{Type: "a/b", ID: "c"}} },
		"token":           func(c *localplatform.Config) { c.Users = map[string]localplatform.User{"a-legacy-x": {Token: "x\n"}} },
		"address":         func(c *localplatform.Config) { c.Listen = "127.0.0.1:70000" },
	} {
		cfg := good
		change(&cfg)
		if p, err := localplatform.Open(cfg); err == nil {
			t.Errorf("%s: got %v, want an error", name, p.Addr())
		}
	}
}

func TestFailedDiskEndsThePlatform(t *testing.T) {
	p, err := localplatform.Open(localplatform.Config{Listen: "127.0.0.1:0", Org: "legacy", Store: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(t.Context()) }()
	p.FailDisk()
	select {
	case err := <-done:
		if !errors.Is(err, localplatform.ErrDisk) {
			t.Errorf("got %v, want ErrDisk", err)
		}
	case <-time.After(patience):
		t.Fatal("the platform goes on without its disk")
	}
}

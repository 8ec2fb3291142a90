package queue_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"legacybridge/publisher/queue"
)

func TestAuditKeepsHostileTextOnItsLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "below", "writes.log")
	a, err := queue.OpenAudit(nil, path)
	if err != nil {
		t.Fatal(err)
	}
	w := queue.Write{Time: time.Date(2026, 5, 11, 8, 0, 0, 0, time.UTC), Way: "platform", Topic: "a/b", Device: "fan", Command: "stop\nresult=\"done\"", ID: "x\x1b[2J\u202e",
		Outcome: "refused", Code: "CMD002", Why: strings.Repeat("y", 10000), Left: 3}
	for range 2 {
		if err := a.Log(w); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	// A crash cut a line off: the next one begins anew.
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err = queue.OpenAudit(nil, path); err != nil {
		t.Fatal(err)
	}
	if err := a.Log(w); err != nil {
		t.Fatal(err)
	}
	_ = a.Close()
	text, err = os.ReadFile(path)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if err != nil || len(lines) != 3 {
		t.Fatalf("got %d lines, %v, want 3:\n%s", len(lines), err, text)
	}
	for _, l := range []string{lines[0], lines[2]} {
		if !strings.HasPrefix(l, `2026-05-11T08:00:00.000Z result="refused" way="platform" device="fan" command="stop\nresult=\"done\"" id="x\x1b[2J\u202e" code="CMD002"`) ||
			!strings.HasSuffix(l, " left_out=3") || len(l) > 1000 || strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("got %s", l)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestAuditIsBounded(t *testing.T) {
	fs := newFakeFS()
	a, err := queue.OpenAudit(fs, "/state/writes.log")
	if err != nil {
		t.Fatal(err)
	}
	w := queue.Write{Outcome: "done", Why: strings.Repeat("y", 500), Topic: strings.Repeat("t", 500), Args: strings.Repeat("a", 500)}
	for range 20000 {
		if err := a.Log(w); err != nil {
			t.Fatal(err)
		}
	}
	_ = a.Close()
	names, err := fs.List("/state")
	if err != nil || strings.Join(names, " ") != "writes.log writes.log.1" {
		t.Errorf("got %q, %v", names, err)
	}
	for _, name := range names {
		f, err := fs.Open("/state/"+name, os.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		if size, err := f.Size(); err != nil || size > 9<<20 || size == 0 {
			t.Errorf("%s has %d bytes, %v", name, size, err)
		}
		_ = f.Close()
	}
}

// A refusing is a file system that makes no new file while it is full.
type refusing struct {
	*fakeFS
	full bool
}

func (f *refusing) Open(name string, flag int) (queue.File, error) {
	if f.full && flag&os.O_CREATE != 0 {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	}
	return f.fakeFS.Open(name, flag)
}

// While no second file can be made, the first one goes on under its name, and no line is lost; later it is put aside.
func TestAuditOutlivesARotationThatFails(t *testing.T) {
	fs := &refusing{fakeFS: newFakeFS()}
	a, err := queue.OpenAudit(fs, "/state/writes.log")
	if err != nil {
		t.Fatal(err)
	}
	log := func(id string) {
		t.Helper()
		w := queue.Write{Outcome: "done", ID: id, Why: strings.Repeat("y", 500), Topic: strings.Repeat("t", 500), Args: strings.Repeat("a", 500)}
		if err := a.Log(w); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
	fs.full = true
	for fs.length("/state/writes.log") < 8<<20 {
		log("before")
	}
	for range 3 {
		log("while")
	}
	if names, err := fs.List("/state"); err != nil || strings.Join(names, " ") != "writes.log" {
		t.Errorf("got %q, %v, want one file", names, err)
	}
	if got := strings.Count(string(fs.content("/state/writes.log")), `id="while"`); got != 3 {
		t.Errorf("%d lines while no file could be made, want 3", got)
	}
	fs.full = false
	log("after")
	if got := string(fs.content("/state/writes.log")); strings.Count(got, "\n") != 1 || !strings.Contains(got, `id="after"`) {
		t.Errorf("the new file has %d bytes, want one line", len(got))
	}
}

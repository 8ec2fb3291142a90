package main_test

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const replaySite = `
[dead_letters]
max_bytes = "1MiB"
[links.log]
file = "%s"
[links.log.csv]
max_record = "1MiB"
[devices.log]
type = "logger"
id = "LOG-1"
link = "log"
[devices.log.points]
n = { column = "n", type = "%s" }
text = { column = "text", type = "text" }
[devices.log.events.row]
`

// TestCutLetterIsNeverReplayed: of a record that takes more than a quarter of what dead letters may take the beginning is
// kept, for people. Half a record must not become a value, also where the rules would make one of it today.
func TestCutLetterIsNeverReplayed(t *testing.T) {
	s := newSink(t)
	path, state := filepath.Join(t.TempDir(), "log.csv"), t.TempDir()
	writeFile(t, path, "n,text\nhot,whole\nhot,"+strings.Repeat("x", 300<<10)+"end\n", 0o644)
	command(t, "run", "--once", "-c", siteFile(t, s.addr(), fmt.Sprintf(replaySite, path, "int")), "--state", state)

	mended := siteFile(t, s.addr(), fmt.Sprintf(replaySite, path, "text"))
	const refused = "its record was too large to be kept whole"
	dry := said(t, 0, "dead", "replay", "--all", "--dry-run", "-c", mended, "--state", state)
	if !strings.Contains(dry, `"text":"whole"`) || strings.Contains(dry, "xxx") || !strings.Contains(dry, "2: "+refused) {
		t.Errorf("dry run: got %.400s, want the whole row and a refusal of letter 2", dry)
	}
	got := said(t, 1, "dead", "replay", "--all", "-c", mended, "--state", state)
	if !strings.Contains(got, "2 stays a dead letter: "+refused) || !strings.Contains(got, "1 events queued, 1 letters stay") {
		t.Errorf("replay: got %.400s", got)
	}
	if left := letters(t, state); len(left) != 1 {
		t.Errorf("%d letters are left, want the one that was cut", len(left))
	}
	command(t, "run", "--once", "-c", mended, "--state", state)
	if n := s.received.Load(); n != 1 {
		t.Errorf("%d events were sent, want the one of the whole row", n)
	}
}

// said runs a command, wants its exit code and returns all that it said.
func said(t *testing.T, code int, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	got := 0
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		got = e.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != code {
		t.Errorf("legacybridge %s: exit code %d, want %d\n%.500s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

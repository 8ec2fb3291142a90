package main_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"legacybridge/publisher/queue"
)

// stats is what `queue stats --json` says of a state folder, by device. It is held to its own sum.
func stats(t *testing.T, config, state string) map[string]queue.Account {
	t.Helper()
	books := map[string]queue.Account{}
	for line := range strings.Lines(command(t, "queue", "stats", "--json", "-q", "-c", config, "--state", state)) {
		var a queue.Account
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if a.Read != a.Filtered+a.Delivered+a.Dead+a.Dropped+a.Waiting {
			t.Errorf("the ledger does not add up: %s", line)
		}
		books[a.Device] = a
	}
	return books
}

// command runs legacybridge and wants it to say that all is well.
func command(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("legacybridge %s: %v\n%s%s", strings.Join(args, " "), err, out, said.String())
	}
	return string(out)
}

// look is the queue of a state folder, without a lock.
func look(t *testing.T, state string) *queue.View {
	t.Helper()
	v, err := queue.Look(queue.Config{Path: filepath.Join(state, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(state, "dead")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// letters are the raw records of the dead letters of a state folder.
func letters(t *testing.T, state string) map[string]int {
	t.Helper()
	raw := map[string]int{}
	for l, err := range queue.Letters(queue.Config{Path: filepath.Join(state, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(state, "dead")}}) {
		if err != nil {
			t.Fatal(err)
		}
		raw[string(l.Dead.Raw)]++
	}
	return raw
}

// rowsPassed counts the rows of a file that a link's checkpoint has passed. It reads what only the source is to read: the
// ledger is held against the file itself, not against what the program says of it.
func rowsPassed(t *testing.T, v *queue.View, link, file string) int {
	t.Helper()
	at := v.Checkpoint(link)
	if at == nil {
		return 0
	}
	const name = 1 + 8 // version, id of the file
	n, size := binary.Uvarint(at[name:])
	offset, more := binary.Uvarint(at[name+size+int(n):])
	if at[0] != 1 || more <= 0 {
		t.Fatalf("checkpoint %x: another form than this test reads", at)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return max(bytes.Count(text[:offset], []byte("\n"))-1, 0)
}

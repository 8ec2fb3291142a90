package queue_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/queue"
)

// countedCommits is how often commitAndDrain commits.
const countedCommits = 300

// commitAndDrain appends, reads and acknowledges, and says how long it took.
func commitAndDrain(dir string) {
	q, err := queue.Open(queue.Config{Path: dir, Segment: 1 << 20})
	if err == nil {
		r := q.NewReader()
		out := benchOutput(100)
		began := time.Now()
		for i := 0; i < countedCommits && err == nil; i++ {
			if err = q.Append(context.Background(), "csv", make([]byte, 64), out); err != nil {
				break
			}
			for range out.Events {
				e, _, _ := r.Next()
				_ = q.Ack(e.Number)
			}
		}
		fmt.Println(time.Since(began))
		_ = r.Close()
		_ = q.Close()
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestOneSyncPerCommit counts what the kernel is asked for: one sync for each commit, beside those of a new segment, and one
// of the cursor each second at most, and before segments go.
func TestOneSyncPerCommit(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("strace is not installed")
		}
		t.Skip("left out: strace is not installed")
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	cmd := exec.Command("strace", "-f", "-qq", "-y", "-e", "trace=fsync,fdatasync,unlinkat", "-o", trace, os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "QUEUE_COMMITS="+filepath.Join(dir, "q"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	took, err := time.ParseDuration(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	commits, cursor, folders, removed := 0, 0, 0, 0
	segments := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		_, file, _ := strings.Cut(line, "<")
		file, _, _ = strings.Cut(file, ">")
		switch {
		case strings.Contains(line, "resumed"): // the end of a call that was counted
		case strings.Contains(line, "unlinkat(") && strings.Contains(line, ".log"):
			removed++
		case strings.Contains(line, "fdatasync(") && strings.HasSuffix(file, ".log"):
			segments[file] = true
			commits++
		case strings.Contains(line, "fdatasync(") && strings.HasSuffix(file, "/cursor"):
			cursor++
		case strings.Contains(line, " fsync("):
			folders++
		}
	}
	t.Logf("%d commits in %v: %d syncs of %d segments, %d of the cursor, %d of folders; %d segments removed",
		countedCommits, took.Round(time.Millisecond), commits, len(segments), cursor, folders, removed)
	if want := countedCommits + len(segments); commits != want {
		t.Errorf("got %d syncs of segments, want %d: one for each commit, and one for each segment", commits, want)
	}
	if most := int(took/time.Second) + removed + 4; cursor > most { // one when it is made, one at the end
		t.Errorf("got %d syncs of the cursor, want %d at most", cursor, most)
	}
	if len(segments) < 3 || removed == 0 {
		t.Errorf("%d segments were made and %d removed: the run did not show what it should", len(segments), removed)
	}
}

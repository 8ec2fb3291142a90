package queue_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// writeUntilKilled appends batches of 10 numbered events behind the stored position, and says each number that was
// promised.
func writeUntilKilled(dir string) {
	q, err := queue.Open(queue.Config{Path: filepath.Join(dir, "q"), Segment: 4000})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	n, _ := strconv.Atoi(string(q.Checkpoint("a")))
	for {
		out := mapping.Output{}
		for range 10 {
			n++
			out.Events = append(out.Events, event("d", strconv.Itoa(n)))
		}
		if err := q.Append(context.Background(), "a", []byte(strconv.Itoa(n)), out); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

func TestKilledWriterLosesNothing(t *testing.T) {
	dir := t.TempDir()
	promised := 0
	for kill := range 20 {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), "QUEUE_WRITER="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for i := 0; i <= kill%7 && lines.Scan(); i++ {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Fatal(lines.Text())
			}
			promised, _ = strconv.Atoi(lines.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it said before it ended
			promised, _ = strconv.Atoi(lines.Text())
		}
		_ = cmd.Wait() // it was killed
	}
	q := open(t, queue.Config{Path: filepath.Join(dir, "q")})
	want := 0
	for _, e := range all(t, q) {
		want++
		if got := string(e.Event.Payload); got != strconv.Itoa(want) {
			t.Fatalf("got event %s, want %d: each one once, in order", got, want)
		}
	}
	if want < promised || promised < 20*10 {
		t.Errorf("got %d events, %d were promised", want, promised)
	}
}

//go:build mutants

package queue_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/queue"
)

// TestEveryPlantedBugIsKilled tests the tests: each bug is planted in turn, and a test must fail. The model is run apart from
// the others, for it alone should find nearly all. Without a bug everything must pass.
func TestEveryPlantedBugIsKilled(t *testing.T) {
	if os.Getenv("QUEUE_MUTANT") != "" {
		t.Skip("this is one of the runs")
	}
	publisher := filepath.Join(t.TempDir(), "publisher.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "mutants", "-o", publisher, "legacybridge/publisher").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	others := []run{{os.Args[0], "", "^TestModel$|Command|Audit"}} // those take long, and are of something else
	all := run{os.Args[0], "", ""}
	model := run{os.Args[0], "^TestModel$", ""}
	delivery := []run{{publisher, "", "Mosquitto"}}
	for _, r := range append(delivery, all) {
		if k := r.try(t, ""); k.test != "" {
			t.Errorf("without a bug %s fails:\n%s", k.test, k.output)
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-24s %-10s %s\n", "bug", "model", "killed by, after")
	for _, bug := range queue.Bugs {
		alone, runs := "", delivery
		var first killed
		if bug != queue.AckBeforePuback {
			runs = others
			if first = model.try(t, bug); first.test != "" {
				alone = first.after.Round(time.Millisecond).String()
			}
		}
		for _, r := range runs {
			if k := r.try(t, bug); k.test != "" && (first.test == "" || k.after < first.after) {
				first = k
			}
		}
		if first.test == "" {
			t.Errorf("%s survives", bug)
			first.test = "NOTHING"
		}
		fmt.Fprintf(&table, "%-24s %-10s %s, %v\n", bug, alone, first.test, first.after.Round(time.Millisecond))
	}
	t.Logf("\n%s", table.String())
}

// A run is some of the tests of a test binary.
type run struct{ binary, only, skip string }

type killed struct {
	test   string
	after  time.Duration
	output string
}

var failed = regexp.MustCompile(`--- FAIL: (\S+)`)

// try runs the tests with a bug until one of them fails; test is "" if none does.
func (r run) try(t *testing.T, bug queue.Bug) killed {
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	args := []string{"-test.failfast"}
	if r.only != "" {
		args = append(args, "-test.run="+r.only)
	}
	if r.skip != "" {
		args = append(args, "-test.skip="+r.skip)
	}
	if r.binary == os.Args[0] {
		args = append(args, "-rapid.nofailfile", "-rapid.shrinktime=1ns")
	}
	cmd := exec.CommandContext(ctx, r.binary, args...)
	if r.binary != os.Args[0] {
		cmd.Dir = ".."
	}
	cmd.Env = append(os.Environ(), "QUEUE_MUTANT=1", "LEGACYBRIDGE_BUG="+string(bug))
	began := time.Now()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	k := killed{after: time.Since(began), output: out.String()}
	if err == nil {
		return k
	}
	if k.test = "the run itself: " + err.Error(); failed.Match(out.Bytes()) {
		k.test = string(failed.FindSubmatch(out.Bytes())[1])
	}
	return k
}

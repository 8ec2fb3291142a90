package queue_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("QUEUE_WRITER"); dir != "" { // TestKilledWriterLosesNothing runs us as the writer
		writeUntilKilled(dir)
	}
	// Sequences of each of the four models; `-rapid.checks=N` for more.
	checks := "600"
	if race {
		checks = "30"
	}
	_ = flag.Set("rapid.checks", checks)
	goleak.VerifyTestMain(m)
}

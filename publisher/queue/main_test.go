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
	// Four models of 600 sequences each; `-rapid.checks=N` for more.
	_ = flag.Set("rapid.checks", "600")
	goleak.VerifyTestMain(m)
}

package queue_test

import (
	"os"
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("QUEUE_WRITER"); dir != "" { // TestKilledWriterLosesNothing runs us as the writer
		writeUntilKilled(dir)
	}
	if dir := os.Getenv("QUEUE_COMMITS"); dir != "" { // TestOneSyncPerCommit counts them
		commitAndDrain(dir)
	}
	debug.SetGCPercent(400) // the models make little that stays and much that does not
	goleak.VerifyTestMain(m)
}

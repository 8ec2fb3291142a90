//go:build mutants

package queue

import (
	"fmt"
	"os"
	"slices"
)

// Bugs are all that can be planted.
var Bugs = []Bug{
	MissingFileSync, MissingDirectorySync, CursorInPlace, TornTailKept, ChecksumNotChecked,
	SegmentRemovedEarly, SequenceReuse, ShortWriteIgnored, CheckpointSecond, AckBeforePuback,
}

// planted is the bug of this process, "" for none. A name that is not known ends it: a test of the tests that plants
// nothing would show nothing.
var planted = func() Bug {
	b := Bug(os.Getenv("LEGACYBRIDGE_BUG"))
	if b == "" {
		return b
	}
	if !slices.Contains(Bugs, b) {
		fmt.Fprintf(os.Stderr, "LEGACYBRIDGE_BUG=%s: there is no such bug; choose one of %s\n", b, Bugs)
		os.Exit(2)
	}
	fmt.Fprintf(os.Stderr, "a bug is planted in this program: %s\n", b)
	return b
}()

// Planted says whether a bug is to be there.
func Planted(b Bug) bool { return b == planted }

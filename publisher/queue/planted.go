package queue

// A Bug is one that the tests must find. It is planted in builds with the tag mutants, where LEGACYBRIDGE_BUG names it;
// in any other build Planted is the constant false, and nothing of a bug gets into the program.
type Bug string

// Bugs, one for each promise that could be broken without anybody noticing.
const (
	MissingFileSync      Bug = "missing-file-sync"
	MissingDirectorySync Bug = "missing-directory-sync"
	CursorInPlace        Bug = "cursor-in-place"
	TornTailKept         Bug = "torn-tail-kept"
	ChecksumNotChecked   Bug = "checksum-not-checked"
	SegmentRemovedEarly  Bug = "segment-removed-early"
	SequenceReuse        Bug = "sequence-reuse"
	ShortWriteIgnored    Bug = "short-write-ignored"
	CheckpointSecond     Bug = "checkpoint-second-write"
	AckBeforePuback      Bug = "ack-before-puback"
)

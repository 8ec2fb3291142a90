// Package adapters owns what flows out of equipment: readings, in batches, with the checkpoint behind them.
//
// A source reads one link (a port, a bus, a host, a file set) and hands its batches to a Sink. The sink's nil error is
// the only acknowledgement there is: it means that the batch is on disk. A source has no other way to save its position.
//
// The other way, commands go to the same owner of a link: a source that can write is a Writer.
package adapters

import (
	"context"
	"time"
)

// A Reading is one record as a source delivered it: a line, a row, one poll of one device.
// Values are text exactly as decoded; package mapping gives them types, units and meaning.
type Reading struct {
	Device string    // the configured device it belongs to; empty if a fault belongs to none
	Time   time.Time // the record's own time if it has one, else when it arrived (zero: Map's argument)
	Origin string    // where it was read, for people: "kiln.csv:1042", "bus-1 unit 3", "scale-a"
	Names  []string  // shared by all readings of one shape: read it, never change it
	Values []string  // one per name
	Raw    []byte    // the record as it came, nil where there is none (polled registers); a dead letter keeps it
	Head   []byte    // what stands above the record and names its parts (a CSV header line); shared, mostly nil
	Fault  *Fault    // set when the record could not be decoded; Names and Values are then empty
}

// A Fault says why a record could not be decoded. It becomes a dead letter, in its place among the readings.
type Fault struct {
	Code string // "FRM002", "CSV004", …: explained by `legacybridge explain`
	Why  string // one sentence for a technician
}

// A Checkpoint says where a source resumes. Only the source that wrote it looks inside.
type Checkpoint []byte

// A Batch is the unit of durability: all of it is stored, or none of it.
type Batch struct {
	Readings   []Reading
	Checkpoint Checkpoint // the position after the last reading; nil leaves the stored one
}

// A Sink stores a batch. It returns nil only once the batch is durable. It may keep nothing of the batch after it returned.
type Sink func(ctx context.Context, b Batch) error

// A Source reads until ctx is done or its equipment fails. It resumes after from, nil on the first run.
// If put fails, Run returns that error. Run returns within 1 s of ctx being done, with nil or ctx's error.
// A source that is to read once what is there now returns nil when it has.
type Source interface {
	Run(ctx context.Context, from Checkpoint, put Sink) error
}

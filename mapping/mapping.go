// Package mapping turns readings into events: it gives text values their type, unit and meaning, decides which
// readings become events, and encodes their payload. It is pure: no I/O, no clock, no goroutine, no log.
//
// What it promises: every event of every reading is sent, left out by a rule and counted, or in a dead letter with its
// reason. A reading becomes a dead letter as a whole, and changes nothing that is remembered. A number that is only
// read and sent keeps its digits (20.10 stays 20.10); scale, offset and conversion are exact; decimals rounds halves
// away from zero. A quotient that does not end is sent with 15 digits. A payload is always valid JSON. Memory is
// bounded by the rules, whatever the readings are: ids come from a list, and a window keeps at most 257 sums.
//
// Absent is what the rules name so, NaN, an infinity, an unlisted enum value, a number outside min and max, a name that
// the reading does not bring, and what is computed from any of these or by a division by zero.
//
// Dead letters (any Fault of a reading keeps its own code):
//
//	MAP011  not a number
//	MAP012  a number of more than 64 digits, or none that fits a float64
//	MAP013  not a whole number (type int, mask, bit, bits)
//	MAP014  neither true nor false
//	MAP015  the unit that came with the value does not convert
//	MAP016  the id is not one of ids, or its column is missing
//	MAP017  the record fits no rule: its device, its event, or its number of values
//	MAP018  its time cannot be written
//
// Commands (Commander) are held against rules of the same kind: arguments, their limits, the range of what is written, and
// an interlock over the points. Refusals:
//
//	CMD001  writes are off
//	CMD002  not listed
//	CMD003  the payload is not one object of single values
//	CMD004  retained
//	CMD005  sent again, without an id
//	CMD006  its id was accepted within 24 h
//	CMD007  its ts is more than a minute from now
//	CMD008  the clock is not set
//	CMD009  an argument is missing, too many, or outside
//	CMD010  sooner than min_interval
//	CMD011  the interlock is not met, or not known
//	CMD012  what would be written does not fit
//
// Rule errors:
//
//	MAP001  a number of the rules is none, or min is above max
//	MAP002  units that do not convert
//	MAP003  a name used twice, reserved, or badly formed
//	MAP004  settings of a point that exclude one another
//	MAP005  an id that is none
//	EVT001  an event without points, or with one that does not exist
//	EVT002  a change that is no number above 0, or of a point that is no number
//	EVT003  align without every, or a negative span
//	EXP001  does not read, or is not in our language
//	EXP002  an unknown name
//	EXP003  types do not fit
//	EXP004  units do not fit
//	EXP005  computed from itself
//	EXP006  too long
//	EXP007  arguments of a function
package mapping

import "time"

// An Event is what is published for one device, complete but for its number.
type Event struct {
	Device   string // configured device
	Type     string // registered device type
	ID       string // registered device id
	Name     string // event id of the topic
	Format   string // last level of the topic
	QoS      byte
	Time     time.Time // of the reading
	Payload  []byte    // without the member "id": the number comes later, see Number
	Number   NumberForm
	Part     int // 1…Parts of a chunked event; 0: whole
	Parts    int
	Batch    Batch    // zero: leaves alone
	TooLarge TooLarge // for the gate only; not stored
	Suffix   string   // for the gate only: appended to Name of parts
}

// A NumberForm says where an event's id, "STREAM-NUMBER", goes when it is published.
type NumberForm byte

const (
	NoNumber  NumberForm = iota
	AsMember             // last member of the JSON object that Payload is
	AsChunkID            // Payload begins with `{"chunk":{"id":"` and the id of part 1 is inserted there
)

// MaxNumberLen is what an id is counted as, in bytes, before it is known.
const MaxNumberLen = 32

// A Batch says how readings of one event are joined when the queue is drained.
type Batch struct {
	Max    int
	Within time.Duration // after the first was stored
}

// TooLarge says what becomes of a payload over the limit.
type TooLarge byte

const (
	Chunk TooLarge = iota
	Split
	Reject
)

// A Dead is a dead letter: a record that does not become an event, and why.
type Dead struct {
	Link   string // filled by the queue
	Device string // empty if none is known
	Event  string // empty: all events of the device
	Code   string // "MAP011", "SIZ002", "FRM004", …
	Why    string // one sentence for a technician
	Origin string // "kiln.csv:1042"
	Time   time.Time
	Raw    []byte // the record as it came; for readings without Raw, a JSON object of names and texts
	Head   []byte
	Form   RawForm
	Of     *Event // RawEvent: the event; its Payload is Raw
	Units  int    // what it counts in the ledger: events that the record could have become, at least 1
}

// A RawForm says what Dead.Raw is, and so how `dead replay` reads it.
type RawForm byte

const (
	RawRecord RawForm = iota // decode, then map
	RawValues                // JSON object of names and texts: map
	RawEvent                 // payload of an event that was queued and given up; Dead.Of is the event
)

// A Count is the ledger's part of one Map, per device. The unit is one event of one reading.
type Count struct {
	Device   string
	Read     int // events the readings could become
	Filtered int // left out by the rules: triggers, conditions, all points absent
	Absent   int // point values left out
}

// An Output is what became of a batch of readings: events and dead letters, each in the order of the readings.
// Read = len(Events) + Filtered + the sum of Dead.Units, per device; a chunked event counts once.
type Output struct {
	Events []Event
	Dead   []Dead
	Counts []Count
	// Conditions is how the interlocks of commands stood after the last reading of each device.
	Conditions []Condition
}

// A RuleError is a fault in a rule, with its place in the configuration.
type RuleError struct {
	Device string
	Path   []string // below the device: {"computed", "weight", "is"}, {"events", "weighed", "when"}
	Offset int      // byte in the expression text, -1: all of it
	Length int
	Code   string // EXP001 …
	Why    string // what is wrong
	Help   string // what to write instead, may be empty
}

func (e *RuleError) Error() string { return e.Why }

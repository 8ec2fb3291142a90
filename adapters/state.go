package adapters

import "time"

// Health is the condition of a link or of one device on it, in the words of the status page.
type Health string

const (
	Starting Health = "starting" // nothing heard yet
	Up       Health = "ok"       // readings arrive
	Quiet    Health = "quiet"    // open, and silent for longer than expected
	Late     Health = "late"     // readings arrive, slower than asked for
	Garbled  Health = "garbled"  // bytes arrive, hardly any of them decodes
	Down     Health = "failing"  // port gone, host away, unit silent
)

// A State is how a link is doing. A source hands a fresh copy to its Report function at every change of health, and at
// most once a second for the counters alone. Report must not block.
type State struct {
	Health  Health
	Since   time.Time // when Health last changed
	Code    string    // "SER004", "COM003", …; empty when all is well
	Why     string    // one sentence for a technician; empty when all is well
	Counts  Counts
	Devices []DeviceState // the units of a bus; empty where the link is one device
}

// A DeviceState is how one device of a link is doing.
type DeviceState struct {
	Device string
	Health Health
	Since  time.Time
	Code   string
	Why    string
	Counts Counts
}

// Counts are totals since the source was made; they survive a restart of Run.
type Counts struct {
	Frames     uint64 // records, frames or replies that decoded
	Bad        uint64 // dropped or damaged: checksum, length, framing
	Timeouts   uint64
	Exceptions uint64 // Modbus exception replies
	Reopened   uint64 // times the port, connection or file was opened again
}

package csvfile

import (
	"regexp"
	"time"

	"legacybridge/adapters"
)

// Config is one file, or the newest of a glob, that grows by rows.
type Config struct {
	Link         string        // name of the link
	Files        string        // absolute path or glob
	Follow       bool          // false: read once to the end, do not wait for rows
	FromEnd      bool          // first run only: what is there already is passed over
	FlushPartial time.Duration // takes a last line without newline after that long; 0 = never
	Poll         time.Duration // look period; 0 = 1 s
	Encoding     []string
	Format       Format
	Devices      []Device
	Batch        int                  // readings per batch; 0 = 1000
	Once         bool                 // read to the last complete line of what is there, then return nil
	Report       func(adapters.State) // nil: nobody asks
}

// A Format is how rows are written.
type Format struct {
	Separator rune // 0 = ','
	Quote     rune // 0 = '"'
	Comment   rune // 0 = none
	Skip      int  // title lines above the header
	Header    bool
	Columns   []string       // names when there is no header
	Footer    *regexp.Regexp // lines that are ignored
	Time      *Time
	MaxRecord int // bytes; 0 = 64 KiB
}

// A Time is where a row says when it happened.
type Time struct {
	Columns []string // joined by a space
	Format  string   // strftime letters
	Zone    *time.Location
	DST     string // the doubled hour: "first", "second", "reject"; "" = reject
}

// A Device takes every row: each row becomes one reading per device.
type Device struct {
	Name    string
	Columns []Column
	Uses    []string // columns that only an id or a read_unit uses; they come as "row.COLUMN"
}

// A Column is where one point stands.
type Column struct {
	Point  string
	Header string // header text
}

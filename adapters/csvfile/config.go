package csvfile

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

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

const (
	maxFields  = 1024     // columns of a row
	maxLines   = 1000     // lines of one quoted row
	maxFiles   = 10_000   // matches of a glob
	headBytes  = 1024     // of a file that are part of its identity
	tailBytes  = 256      // before the position that are part of it too
	defaultMax = 64 << 10 // MaxRecord
	leastMax   = 16       // MaxRecord: below it not even a header fits
	mostMax    = 64 << 20 // MaxRecord: it is held in memory
)

// withDefaults fills in what was left out and refuses what cannot work.
func (c Config) withDefaults() (Config, error) {
	if c.Poll <= 0 {
		c.Poll = time.Second
	}
	if c.Batch <= 0 {
		c.Batch = 1000
	}
	f := &c.Format
	if f.Separator == 0 {
		f.Separator = ','
	}
	if f.Quote == 0 {
		f.Quote = '"'
	}
	if f.MaxRecord == 0 {
		f.MaxRecord = defaultMax
	}
	_, badGlob := filepath.Match(c.Files, "")
	switch {
	case c.Files == "":
		return c, errors.New("no file named")
	case badGlob != nil:
		return c, fmt.Errorf("%q is not a valid pattern", c.Files)
	case f.Quote >= utf8.RuneSelf:
		return c, fmt.Errorf("quote %q: only an ASCII character can be one", f.Quote)
	case f.Comment >= utf8.RuneSelf:
		return c, fmt.Errorf("comment %q: only an ASCII character can begin one", f.Comment)
	case strings.ContainsRune("\r\n\x00", f.Separator), strings.ContainsRune("\r\n", f.Quote), f.Separator == f.Quote:
		return c, fmt.Errorf("separator %q and quote %q: they must differ, and be no line end", f.Separator, f.Quote)
	case f.MaxRecord < leastMax, f.MaxRecord > mostMax:
		return c, fmt.Errorf("max_record %d: it must be from %d bytes to %d", f.MaxRecord, leastMax, mostMax)
	case f.Skip < 0:
		return c, fmt.Errorf("skip %d: it counts lines", f.Skip)
	case !f.Header && len(f.Columns) == 0:
		return c, errors.New("without a header the columns need names")
	}
	return c, nil
}

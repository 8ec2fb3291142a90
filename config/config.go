// Package config is the TOML file format: it reads, checks, explains, and assembles each package's own Config.
//
// The grammar is data (grammar.go, grammar_equipment.go). From it come unknown keys and what was meant, keys that are not
// supported yet, types, units and words; the rest of the package sees parsed values and checks what they mean together.
// Rules of values and expressions are package mapping's: its findings are shown at their place in the file.
//
// Positions come from a walk of our own over the text, in the order of the TOML package's keys. If the two do not see the
// same keys, a problem names its file and no line: a wrong line would cost more than none.
//
// A problem is found once: what only follows from another one is not told, and with one near match for a wrong name the
// check goes on with that. Problems stand in the order of the files; within a file, wrong names come first, then the
// grammar, then the meaning, then what tables do to one another. No message shows a secret.
//
// Codes of families that the running service has too (SER, FRM, CSV, MAP, PLT, QUE) begin at 021 here.
package config

import (
	"log/slog"
	"time"

	"legacybridge/adapters/csvfile"
	"legacybridge/adapters/modbus"
	"legacybridge/adapters/serial"
	"legacybridge/mapping"
	"legacybridge/publisher"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/queue"
)

// A Config is a whole checked configuration, ready to be run.
type Config struct {
	File         string   // main file
	Files        []string // all files read, main file first, as they are named in messages
	Site         Site
	Local        bool                 // server = "local": run the embedded platform and publish to it
	Platform     publisher.Config     // Servers empty with Local; Log and Report are left to the caller
	Org, App     string               // for the client ids of further sessions
	Scalable     bool                 // shares what it subscribes to with the other instances
	Instance     string               // only with Scalable; may be empty
	Registry     Registry             // [platform.registry]
	LocalCfg     localplatform.Config // [local], or its defaults
	Queue        queue.Config
	Certificates []*Certificate // ours, with their keys
	Log          Log
	Writes       Writes
	Links        []Link // in the order of the files
}

// Site is [site].
type Site struct {
	Name string
	Zone *time.Location
}

// Log is [log].
type Log struct {
	Level  slog.Level
	Format string // auto journald text json
}

// A Link is one wire, its devices and their rules. Exactly one of Serial, Modbus and CSV is set.
type Link struct {
	Name    string
	Serial  *serial.Config
	Modbus  *modbus.Config
	CSV     *csvfile.Config
	Mapping mapping.Config
	Reopen  time.Duration            // wait before a failed source is started again
	Stale   map[string]time.Duration // by device: silent for longer is quiet; 0: it talks when it likes
}

// Options is what a caller knows and the files do not.
type Options struct {
	State string    // folder for "state:"; "" = $STATE_DIRECTORY, else /var/lib/legacybridge
	Build time.Time // mapping.Config.ClockFloor
}

// A Severity ranks a problem.
type Severity string

const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// A Problem is one fault found, with its place.
type Problem struct {
	Code      string   `json:"code"`
	Severity  Severity `json:"severity"`
	Message   string   `json:"message"`
	File      string   `json:"file"`
	Line      int      `json:"line"`       // from 1; 0: the whole file
	Column    int      `json:"column"`     // display cell, from 1
	EndColumn int      `json:"end_column"` // cell after the last
	Fix       *Fix     `json:"fix,omitempty"`
	BlocksRun bool     `json:"-"` // a warning for check that ends run with 78: an unreadable secret

	at     place
	stage  stage  // when it was found
	label  string // stands behind the caret
	hint   string // stands in brackets in the short format; "" = label
	hide   bool   // the line is not shown: it may hold a secret
	before bool   // the line above is shown too, for it says whose line this is
	beside []beside
	second place  // a second place, in any file
	there  string // stands behind its line
	notes  []string
	files  int // files read in all
	more   int // errors that are not shown
}

// A beside is a further line of the same file, with what is said about it.
type beside struct {
	place
	text string
}

// A Fix is an edit that mends a problem.
type Fix struct {
	Replace string `json:"replace"`
	With    string `json:"with"`
}

// Problems is everything found, in the order of the files.
type Problems []Problem

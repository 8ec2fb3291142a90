package mapping

import (
	"encoding/json"
	"time"
)

// A Command is one thing that a device lets others do to it. Exactly one of Value and Send is set.
type Command struct {
	Name        string
	Args        []Arg
	Value       string // registers and coils: an expression over Args that gives what is written
	Type        string // what Value must fit: u16 i16 u32 i32 u64 i64 f32 f64, or bool for a coil
	Send        string // lines: the text to send; {ARG} stands for an argument
	OnlyIf      string // interlock over the device's points; "" = none
	Verify      Verify
	MinInterval time.Duration
	Reply       string // event that tells what became of it; "" = none
	QoS         byte   // of Reply
	WithID      bool   // of Reply
}

// A Verify says how a write is read back. What the point must have is the command's argument: its only one, or the one
// that has the name of the point. Without arguments it is what was written.
type Verify struct {
	Point     string // "" = no read-back
	Within    time.Duration
	Tolerance string // "" = 0; numbers only
}

// An ArgKind is what an argument is in the payload's JSON.
type ArgKind byte

const (
	NumberArg ArgKind = iota
	IntArg            // a number without a fraction
	BoolArg
	TextArg
)

func (k ArgKind) String() string {
	return [...]string{"a number", "a whole number", "true or false", "a text"}[k]
}

// An Arg is one argument. A command is refused if one is missing, is too many, or is outside.
type Arg struct {
	Name     string
	Kind     ArgKind
	Min, Max string   // numbers; "" = none
	Enum     []string // the only values, numbers as written; empty = any
}

// An Order is a command that may be carried out.
type Order struct {
	Device  string
	Command string
	ID      string // of the sender; "" = none
	Value   string // what is written: a number or true and false, exact; for lines, the text to send
	Args    string // canonical JSON of the arguments, for people
	want    value  // what the read-back must find
}

// A Refusal is why a command is not carried out.
type Refusal struct {
	Code string // CMD001 …
	Why  string // one sentence for a technician
	ID   string // of the command, where it could be read
}

func (r *Refusal) Error() string { return r.Why + " [" + r.Code + "]" }

// Facts is what a decision depends on beside the rules and the payload.
type Facts struct {
	Allowed   bool // [writes] allow
	Retained  bool
	Dup       bool
	Now       time.Time
	Repeated  func(id string) bool // was accepted within the last 24 h; nil: not asked
	Last      time.Time            // last write of this command; zero: never
	Interlock Truth
	Remote    bool // the points of the device are not known here: the interlock is left to the service
}

// A Truth is how a condition stands.
type Truth byte

const (
	NotKnown Truth = iota // a value that it needs is absent, or none has come for too long
	False
	True
)

// A Condition is how the interlock of a command stood after a reading.
type Condition struct {
	Device, Command string
	State           Truth
	Time            time.Time // of the reading
}

// A Result is what became of a command, for its reply.
type Result struct {
	Device, Command, ID string
	OK                  bool
	Outcome             string // done, refused, failed, unknown
	Code, Error         string // unless OK
}

// Codes of refusals.
const (
	codeWritesOff = "CMD001"
	codeNotListed = "CMD002"
	codePayload   = "CMD003"
	codeRetained  = "CMD004"
	codeDup       = "CMD005"
	codeRepeated  = "CMD006"
	codeStale     = "CMD007"
	codeClock     = "CMD008"
	codeArg       = "CMD009"
	codeTooSoon   = "CMD010"
	codeInterlock = "CMD011"
	codeRange     = "CMD012"
)

// Limits of what a command may bring.
const (
	MaxCommand   = 16 << 10 // bytes of a payload
	maxCommandID = 64       // bytes
	maxArgText   = 256      // bytes
	// Freshness is how far the ts of a command may be from now: the network is faster, and clocks are closer.
	Freshness = time.Minute
)

// reply makes the event of a result. What came from outside stands in it as JSON text and nowhere else.
func (d *device) reply(now time.Time, floor time.Time, c *command, r Result) Event {
	p := append([]byte(nil), `{"d":{"command":`...)
	p = appendString(p, r.Command)
	if r.OK {
		p = append(p, `,"ok":true`...)
	} else {
		p = append(p, `,"ok":false`...)
	}
	p = appendString(append(p, `,"result":`...), r.Outcome)
	if !r.OK {
		p = appendString(append(p, `,"error":`...), r.Error)
		p = appendString(append(p, `,"code":`...), r.Code)
	}
	if r.ID != "" {
		p = appendString(append(p, `,"id":`...), r.ID)
	}
	if now.Before(floor) {
		p = append(p, `},"clock":"unset"}`...)
	} else {
		p = appendTime(append(p, `},"ts":"`...), now)
		p = append(p, '"', '}')
	}
	number := NoNumber
	if c.WithID {
		number = AsMember
	}
	return Event{Device: d.Name, Type: d.Type, ID: d.ID, Name: c.Reply, Format: "json", QoS: c.QoS, Time: now, Payload: p, Number: number}
}

// rawNumber is a JSON number as it was written.
type rawNumber = json.Number

package mapping

import "time"

// Config is the rules of one link's devices.
type Config struct {
	Devices    []Device
	ClockFloor time.Time      // a machine time before it (the build date) is never published
	Zone       *time.Location // for align
}

// A Device is a registered device and the rules that make its events.
type Device struct {
	Name     string   // as configured
	Type     string   // registered device type
	ID       string   // registered id; may hold {row.COLUMN}
	IDs      []string // the only ids that a template may produce
	Points   []Point
	Computed []Computed
	Events   []EventRule
	Polled   time.Duration // period of the readings, 0: the device talks by itself
	Commands []Command
	Live     bool // like Polled > 0: Reading.Time is when the reading arrived, for it has no time of its own
}

// A Kind is what the text of a point is.
type Kind byte

const (
	Number Kind = iota
	Bool        // "true" and "false", "1" and "0"
	Text
	Bits // an unsigned integer: the value is the list of the names of the bits that are set
	Int  // a Number that may have no fraction
)

// A Point gives one value of a reading its meaning. Exact decimals are text, as written in the configuration; "" = left out.
type Point struct {
	Name      string // also the name in the reading
	Kind      Kind
	Scale     string
	Offset    string
	Unit      string
	ReadUnit  string // unit it is read in; "" = Unit
	UnitFrom  string // name in the reading that holds the unit: "from.unit", "row.Unit"
	Decimals  int    // -1: as they come
	Enum      []EnumValue
	Absent    []string // raw texts
	Min, Max  string
	Mask      uint64 // 0: none; AND, then shifted right to the lowest set bit
	Bit       int    // -1: none; gives a bool
	Names     []BitName
	Counter   bool
	Decimal   rune // 0 = '.'
	Thousands rune // 0 = none
}

// An EnumValue is one row of an enum. Raw "" is the empty text.
type EnumValue struct {
	Raw   string
	Value any // string, bool, or json.Number for a number as written
}

// A BitName names one bit of Bits; 0 is the lowest.
type BitName struct {
	Bit  int
	Name string
}

// A Computed is a value made of others.
type Computed struct {
	Name     string
	Is       string
	Unit     string
	Decimals int // -1: as they come
	Min, Max string
}

// An EventRule says when a reading becomes an event, and how that looks.
type EventRule struct {
	Name     string
	Points   []string      // resolved, in the order of the payload
	Every    time.Duration // 0: every reading
	Align    bool
	OnChange []Change // empty: every reading
	AtLeast  time.Duration
	When     string // "" = always
	RowTime  bool   // timestamp = "row"
	Batch    Batch
	Format   string
	Flat     bool // payload = "flat"
	QoS      byte
	TooLarge TooLarge
	Suffix   string // chunk_suffix
	WithID   bool
}

// A Change is how far one point must move to be sent. Exactly one of By, Percent, Any.
type Change struct {
	Point   string
	By      string // in the point's unit
	Percent string
	Any     bool
}

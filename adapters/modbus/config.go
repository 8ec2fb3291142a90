package modbus

import (
	"context"
	"time"

	"legacybridge/adapters"
	"legacybridge/hardware/port"
)

// A Framing is how a PDU travels.
type Framing int

const (
	TCP        Framing = iota // MBAP header
	RTU                       // unit, PDU, CRC on a tty
	RTUOverTCP                // the same bytes through a transparent converter
)

// Config is one bus or host and the units on it. One request is in flight at a time.
type Config struct {
	Link    string // name of the link
	Port    port.Config
	Framing Framing
	Timeout time.Duration // per request; 0 = 500 ms
	Retries int           // further tries of a request that went unanswered
	MaxGap  int           // registers read for nothing to save a request
	MaxRead int           // registers per request; 0 = 120
	Gap     time.Duration // silence before each request; 0 = 3.5 characters, 1.75 ms above 19200 Bd
	Devices []Device
	Once    bool                                     // poll every device once, then return nil, or an error naming those that did not answer
	Report  func(adapters.State)                     // nil: nobody asks
	Dial    func(context.Context) (port.Port, error) // nil: port.Open(Port)
}

// A Device is one unit.
type Device struct {
	Name     string
	Unit     byte
	Every    time.Duration
	Align    *time.Location // polls on multiples of Every in local time there; nil: from the start
	Points   []Point
	Commands []Command // what may be written; empty: nothing
}

// A Table is one of the four Modbus data tables.
type Table int

const (
	Holding  Table = iota // FC 3
	Input                 // FC 4
	Coil                  // FC 1
	Discrete              // FC 2
)

// A Point is where one value stands and how its registers decode. Its text: integers in decimal, f32 and f64 as
// the shortest decimal that reads back equal ("NaN", "+Inf", "-Inf" too), coils "true" or "false", bits as an unsigned integer.
type Point struct {
	Name     string
	Table    Table
	Address  uint16 // on the wire
	Type     string // u16 i16 u32 i32 u64 i64 f32 f64 bits text; "" = u16; ignored for coils and discretes
	Order    string // ABCD CDAB BADC DCBA; "" = ABCD
	Length   int    // text: bytes
	Encoding string // text: "" = utf-8
}

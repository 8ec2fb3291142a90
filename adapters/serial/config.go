package serial

import (
	"context"
	"regexp"
	"time"

	"legacybridge/adapters"
	"legacybridge/hardware/port"
)

// Config is one serial line or raw TCP stream and the devices that speak on it.
type Config struct {
	Link     string // name of the link
	Port     port.Config
	Open     [][]byte // sent after each opening
	Frame    Frame
	Encoding []string // of text frames
	Devices  []Device
	Once     bool                                     // one frame, or each Ask once, then return nil
	Wait     time.Duration                            // Once: how long to listen for a frame; 0 = 3 s
	Report   func(adapters.State)                     // nil: nobody asks
	Dial     func(context.Context) (port.Port, error) // nil: port.Open(Port)
}

// A Frame says where one record ends and the next begins. At least one of End, Length, Idle is set.
type Frame struct {
	Start  []byte        // bytes before it are skipped; part of the frame
	End    []byte        // removed from the frame
	Length int           // bytes, counted from the start
	Idle   time.Duration // silence of that length ends a frame
	Max    int           // bytes; 0 = 4096
}

// A Device takes the frames that one of its Lines matches (without Lines, every frame).
type Device struct {
	Name   string
	Lines  []*regexp.Regexp // first match gives the named groups
	Ask    *Ask             // nil: it talks by itself
	Every  time.Duration    // with Ask: period
	Align  *time.Location   // with Ask: periods on multiples of local time there; nil: from the start
	Points []Point
	Uses   []string // groups that only an id or a read_unit uses; they come as "from.GROUP"
}

// An Ask is a query; its answer is the next frame within Timeout.
type Ask struct {
	Send    []byte
	Timeout time.Duration // 0 = 1 s
}

// A Point is where one value stands in a frame: in a group of Lines, or in bytes.
type Point struct {
	Name     string
	Group    string // named group; empty: At
	From, To int    // bytes From..To (To excluded); negative counts from the end of the frame
	Single   bool   // the one byte at From
	Type     string // for bytes: u8 i8 u16 i16 … f64 ascii-int decimal text bits; "" = u8
	Order    string // ABCD CDAB BADC DCBA; "" = ABCD
	Length   int    // text: bytes
	Encoding string // text: "" = the link's
}

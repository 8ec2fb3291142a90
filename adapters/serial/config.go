package serial

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
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
	Once     bool                                     // one frame, or each Ask once, then return nil, or an error naming those that did not answer
	Wait     time.Duration                            // Once: how long to listen for a frame, none is no error; 0 = 3 s
	Report   func(adapters.State)                     // nil: nobody asks
	Dial     func(context.Context) (port.Port, error) // nil: port.Open(Port)
}

// A Frame says where one record ends and the next begins. At least one of End, Length, Idle is set. With both Length
// and End, End must stand at the end of Length: this finds a frame that lost a byte. With Length alone a silence of
// 100 ms ends what came of a frame, and it is dropped.
type Frame struct {
	Start  []byte        // bytes before it are skipped; part of the frame
	End    []byte        // removed from the frame
	Length int           // bytes, counted from the start
	Idle   time.Duration // silence of that length ends a frame
	Max    int           // bytes; 0 = 4096
}

// A Device takes the frames that one of its Lines matches (without Lines, every frame). One with an Ask takes answers
// only: what it sends unasked is dropped and counted, it may be the late answer to a question given up.
type Device struct {
	Name     string
	Lines    []*regexp.Regexp // first match gives the named groups
	Ask      *Ask             // nil: it talks by itself
	Every    time.Duration    // with Ask: period
	Align    *time.Location   // with Ask: periods on multiples of local time there; nil: from the start
	Points   []Point
	Commands []Command // what may be sent; empty: nothing
	Uses     []string  // groups that only an id or a read_unit uses; they come as "from.GROUP"
}

// An Ask is a query; its answer is the next frame within Timeout.
type Ask struct {
	Send    []byte
	Timeout time.Duration // 0 = 1 s
}

// A Point is where one value stands in a frame: in a group of Lines, or in bytes. A point whose group is in other
// Lines than the one that matched is not part of the reading; a group that took no part in the match is the empty text.
//
// The text of bytes: integers in decimal, bits as an unsigned integer, f32 and f64 as the shortest decimal that reads
// back equal ("NaN", "+Inf", "-Inf" too), ascii-int without leading zeros, decimal and ascii-int without blanks around.
type Point struct {
	Name     string
	Group    string // named group; empty: At
	From, To int    // bytes From..To (To excluded); negative counts from the end of the frame, as To 0 is the end
	Single   bool   // starts at From; as many bytes as Type or Length has (ascii-int, decimal, bits: one)
	Type     string // for bytes: u8 i8 u16 i16 … f64 ascii-int decimal text bits; "" = u8
	Order    string // ABCD CDAB BADC DCBA; "" = ABCD
	Length   int    // text: bytes
	Encoding string // text: "" = the link's
}

const (
	defaultMax     = 4096
	defaultTimeout = time.Second
	defaultWait    = 3 * time.Second
)

func (f Frame) limit() int {
	if f.Max > 0 {
		return f.Max
	}
	return defaultMax
}

func (f Frame) check() error {
	switch {
	case len(f.End) == 0 && f.Length == 0 && f.Idle == 0:
		return errors.New("a frame needs an end, a length or an idle time")
	case f.Length < 0 || f.Idle < 0 || f.Max < 0:
		return errors.New("length, idle and max of a frame are not negative")
	case f.Length > f.limit():
		return fmt.Errorf("a frame of %d bytes is longer than max = %d", f.Length, f.limit())
	case f.Length > 0 && f.Length <= len(f.Start)+len(f.End):
		return fmt.Errorf("a frame of %d bytes has no room between its start and its end", f.Length)
	case len(f.Start) >= f.limit():
		return fmt.Errorf("the start of a frame is longer than max = %d", f.limit())
	}
	return nil
}

func (d Device) check() error {
	if d.Ask != nil && (len(d.Ask.Send) == 0 || d.Every <= 0 || d.Ask.Timeout < 0) {
		return fmt.Errorf("%s: ask needs something to send and a period", d.Name)
	}
	for _, group := range d.Uses {
		if !d.has(group) {
			return fmt.Errorf("%s: no line has a group %q", d.Name, group)
		}
	}
	for _, p := range d.Points {
		if p.Group != "" && !d.has(p.Group) {
			return fmt.Errorf("%s, point %s: no line has a group %q", d.Name, p.Name, p.Group)
		}
	}
	return nil
}

func (d Device) has(group string) bool {
	return slices.ContainsFunc(d.Lines, func(line *regexp.Regexp) bool { return line.SubexpIndex(group) >= 0 })
}

func (a Ask) timeout() time.Duration {
	if a.Timeout > 0 {
		return a.Timeout
	}
	return defaultTimeout
}

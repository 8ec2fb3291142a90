package serial

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"legacybridge/adapters"
)

// The codes of frames that do not become readings, as `legacybridge explain` knows them.
const (
	codeShort   = "FRM003" // too short for the byte ranges of its points
	codeNoMatch = "FRM004" // no line matches
	codeTorn    = "FRM005" // a long silence in the middle: perhaps two frames in one
	codeDamaged = "FRM006" // a character that came damaged stands in a value
)

// A Decoder turns frames into readings: a pure function of the configuration, the same for a live line and for a
// frame that a dead letter kept. It may be used concurrently.
type Decoder struct {
	link    string
	devices []device
	text    adapters.Encoding
}

// A device is a Device made ready.
type device struct {
	name   string
	asked  bool
	lines  []line
	points []bytesPoint
	names  []string // without lines: of points
}

// A line is one regular expression of a device and what its groups are.
type line struct {
	match  func(string) []int // positions of the match and of its groups, two each
	groups []int              // of the values that are text, in the order of names
	names  []string           // of the groups' values, then of the device's points in bytes
}

// NewDecoder checks the devices of a configuration and makes them ready.
func NewDecoder(cfg Config) (*Decoder, error) {
	text, err := adapters.NewEncoding(cfg.Encoding...)
	if err != nil {
		return nil, err
	}
	d := &Decoder{link: cfg.Link, text: text}
	for _, c := range cfg.Devices {
		if err := c.check(); err != nil {
			return nil, err
		}
		dev := device{name: c.Name, asked: c.Ask != nil}
		for _, p := range c.Points {
			if p.Group != "" {
				continue
			}
			at, err := newBytesPoint(p, text)
			if err != nil {
				return nil, fmt.Errorf("%s, point %s: %w", c.Name, p.Name, err)
			}
			dev.points = append(dev.points, at)
			dev.names = append(dev.names, p.Name)
		}
		for _, re := range c.Lines {
			l := line{match: re.FindStringSubmatchIndex}
			for _, p := range c.Points {
				if i := re.SubexpIndex(p.Group); p.Group != "" && i >= 0 {
					l.groups, l.names = append(l.groups, i), append(l.names, p.Name)
				}
			}
			for _, group := range c.Uses {
				if i := re.SubexpIndex(group); i >= 0 {
					l.groups, l.names = append(l.groups, i), append(l.names, "from."+group)
				}
			}
			l.names = append(l.names, dev.names...)
			dev.lines = append(dev.lines, l)
		}
		d.devices = append(d.devices, dev)
	}
	return d, nil
}

// Decode gives the readings of a frame, in the order of the devices: of the named device, or of every device that takes
// it if name is empty. There is at least one; a frame that nobody takes is a fault.
func (d *Decoder) Decode(name string, frame []byte, at time.Time) []adapters.Reading {
	f := d.frame(frame, at)
	var out []adapters.Reading
	for i := range d.devices {
		if name != "" && d.devices[i].name != name {
			continue
		}
		if r, ok := f.decode(i); ok {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		out = append(out, f.noMatch(name))
	}
	return out
}

// Decode is the Decoder's, for a single frame.
func (c Config) Decode(name string, frame []byte, at time.Time) ([]adapters.Reading, error) {
	d, err := NewDecoder(c)
	if err != nil {
		return nil, err
	}
	return d.Decode(name, frame, at), nil
}

// sole is the device of a line that has only one: whatever comes is its own.
func (d *Decoder) sole() string {
	if len(d.devices) == 1 {
		return d.devices[0].name
	}
	return ""
}

// A decoding is one frame on its way to the devices.
type decoding struct {
	*Decoder
	raw     []byte // our own copy
	at      time.Time
	text    string // of the frame, once somebody needs it
	decoded bool
}

func (d *Decoder) frame(frame []byte, at time.Time) *decoding {
	return &decoding{Decoder: d, raw: append([]byte(nil), frame...), at: at}
}

// decode is the reading of one device, false if the frame is not for it.
func (f *decoding) decode(i int) (adapters.Reading, bool) {
	dev := &f.devices[i]
	names, values := dev.names, []string(nil)
	if len(dev.lines) > 0 {
		l, groups := f.match(dev)
		if l == nil {
			return adapters.Reading{}, false
		}
		names, values = l.names, make([]string, 0, len(l.names))
		for n, g := range l.groups {
			v := ""
			if groups[2*g] >= 0 {
				v = f.text[groups[2*g]:groups[2*g+1]]
			}
			if strings.ContainsRune(v, utf8.RuneError) || strings.ContainsRune(v, 0) {
				return f.fault(dev.name, codeDamaged, fmt.Sprintf("%s is %q: a character came damaged (parity, noise), or the encoding of the link is another one", names[n], v)), true
			}
			values = append(values, v)
		}
	} else {
		values = make([]string, 0, len(names))
	}
	for n := range dev.points {
		v, err := dev.points[n].decode(f.raw)
		if err != nil {
			return f.fault(dev.name, err.code, dev.names[n]+" "+err.why), true
		}
		values = append(values, v)
	}
	return adapters.Reading{Device: dev.name, Time: f.at, Origin: f.link, Names: names, Values: values, Raw: f.raw}, true
}

// matches tells whether the frame looks like one of the device's.
func (f *decoding) matches(i int) bool {
	dev := &f.devices[i]
	if len(dev.lines) == 0 {
		return true
	}
	l, _ := f.match(dev)
	return l != nil
}

func (f *decoding) match(dev *device) (*line, []int) {
	if !f.decoded {
		f.text, _ = f.Decoder.text.Decode(f.raw)
		f.decoded = true
	}
	for i := range dev.lines {
		if groups := dev.lines[i].match(f.text); groups != nil {
			return &dev.lines[i], groups
		}
	}
	return nil, nil
}

func (f *decoding) noMatch(device string) adapters.Reading {
	if device == "" {
		device = f.sole()
	}
	return f.fault(device, codeNoMatch, fmt.Sprintf("no line matches %s", excerpt(f.raw)))
}

func (f *decoding) torn() adapters.Reading {
	return f.fault(f.sole(), codeTorn, fmt.Sprintf("nothing came for %v in the middle of %s: it may be two lines in one", linePause, excerpt(f.raw)))
}

func (f *decoding) fault(device, code, why string) adapters.Reading {
	return adapters.Reading{Device: device, Time: f.at, Origin: f.link, Raw: f.raw, Fault: &adapters.Fault{Code: code, Why: why}}
}

// excerpt quotes what came, at most a line of it.
func excerpt(b []byte) string {
	const most = 60
	if len(b) <= most {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q… (%d bytes)", b[:most], len(b))
}

package config

import (
	"encoding/json"
	"fmt"
	"strings"

	"legacybridge/mapping"
)

// A Summary is what check says of a configuration that is fine.
type Summary struct {
	Files, Links, Devices, Events, Commands int
	Payloads                                []Payload // one for each event, in the order of the files
}

// A Payload is about how long the payload of an event will be, as far as the configuration tells.
type Payload struct {
	Device, Event string
	Bytes         int // of one reading
	Batch         int // readings in a full message: batch.max, or what fits into max_payload; 1 without batch
}

// Summary counts what is configured and estimates the payloads.
func (c *Config) Summary() Summary {
	s := Summary{Files: len(c.Files), Links: len(c.Links)}
	for i := range c.Links {
		for j := range c.Links[i].Mapping.Devices {
			s.Devices++
			d := &c.Links[i].Mapping.Devices[j]
			s.Commands += len(d.Commands)
			texts := c.Links[i].textLengths(j)
			for _, e := range d.Events {
				s.Events++
				p := Payload{Device: d.Name, Event: e.Name, Bytes: estimate(d, e, texts), Batch: 1}
				if e.Batch.Max > 0 {
					p.Batch = max(min(e.Batch.Max, (c.Platform.MaxPayload-2)/(p.Bytes+1)), 1)
				}
				s.Payloads = append(s.Payloads, p)
			}
		}
	}
	return s
}

// Lengths of values that the configuration does not tell.
const (
	numberBytes = 7  // "1043.52"
	textBytes   = 16 // a part number
)

// textLengths are the texts of a device whose length is configured.
func (l *Link) textLengths(device int) map[string]int {
	lengths := map[string]int{}
	switch {
	case l.Modbus != nil:
		for _, p := range l.Modbus.Devices[device].Points {
			lengths[p.Name] = p.Length
		}
	case l.Serial != nil:
		for _, p := range l.Serial.Devices[device].Points {
			if lengths[p.Name] = p.Length; p.Length == 0 && p.To > p.From && p.From*p.To >= 0 {
				lengths[p.Name] = p.To - p.From
			}
		}
	}
	return lengths
}

// estimate is the length of {"d":{…},"ts":"…","id":"…"}.
func estimate(d *mapping.Device, e mapping.EventRule, texts map[string]int) int {
	n := len(`{,"ts":"2026-05-11T08:04:31.114Z"}`)
	if !e.Flat {
		n += len(`"d":{}`)
	}
	if e.WithID {
		n += len(`,"id":"7f3c21d0-1042000"`)
	}
	for i, name := range e.Points {
		if i > 0 {
			n++ // comma
		}
		n += len(name) + len(`"":`) + numberBytes // what a computed value is
		for _, p := range d.Points {
			if p.Name == name {
				n += valueBytes(&p, texts[name]) - numberBytes
			}
		}
	}
	return n
}

func valueBytes(p *mapping.Point, text int) int {
	longest := 0
	for _, e := range p.Enum {
		length := len(fmt.Sprint(e.Value))
		if _, isText := e.Value.(string); isText {
			length = quotedLength(e.Value.(string))
		}
		longest = max(longest, length)
	}
	switch {
	case longest > 0:
		return longest
	case p.Kind == mapping.Bool || p.Bit >= 0:
		return len("false")
	case p.Kind == mapping.Text:
		if text == 0 {
			text = textBytes
		}
		return text + 2
	case p.Kind == mapping.Bits:
		sum := len("[]")
		for _, b := range p.Names {
			sum += quotedLength(b.Name) + 1
		}
		return sum
	case p.Max != "":
		whole, _, _ := strings.Cut(p.Max, ".")
		return len(whole) + 1 + max(p.Decimals, 0)
	}
	return numberBytes
}

func quotedLength(s string) int {
	b, err := json.Marshal(s)
	if err != nil {
		return len(s) + 2
	}
	return len(b)
}

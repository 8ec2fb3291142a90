package csvfile

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"legacybridge/adapters"
)

// A decoder turns the text of rows into readings. It is pure but for the memory it uses again.
type decoder struct {
	cfg    Config
	enc    adapters.Encoding // as configured
	sep    string
	quote  byte
	clock  *clock     // nil: rows have no time
	names  [][]string // of each device: points, then row.COLUMN
	wanted [][]string // of each device: the columns of names

	row    []string // scratch: the cells of one row
	joined []byte   // scratch: several time columns
}

func newDecoder(cfg Config) (*decoder, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &decoder{cfg: cfg, sep: string(cfg.Format.Separator), quote: byte(cfg.Format.Quote)}
	if d.enc, err = adapters.NewEncoding(cfg.Encoding...); err != nil {
		return nil, err
	}
	if cfg.Format.Time != nil {
		if d.clock, err = newClock(cfg.Format.Time); err != nil {
			return nil, err
		}
	}
	for _, dev := range cfg.Devices {
		var names, wanted []string
		for _, c := range dev.Columns {
			names, wanted = append(names, c.Point), append(wanted, c.Header)
		}
		for _, u := range dev.Uses {
			names, wanted = append(names, "row."+u), append(wanted, u)
		}
		d.names, d.wanted = append(d.names, names), append(d.wanted, wanted)
	}
	return d, nil
}

// Decode reads one record again, as it stands in a dead letter: head and raw are the reading's, at is when it was read. It
// gives what Run would have given under that head, and nothing for lines that are no rows.
func (c Config) Decode(head, raw []byte, at time.Time) []adapters.Reading {
	d, err := newDecoder(c)
	if err != nil {
		return []adapters.Reading{{Time: at, Raw: raw, Head: head, Fault: &adapters.Fault{Code: "CSV005", Why: err.Error()}}}
	}
	start := head
	if len(start) == 0 {
		start = raw
	}
	enc, n := d.enc.Settle(start)
	line := head
	if len(head) > 0 {
		line = head[n:]
	} else {
		raw = raw[n:]
	}
	text, _ := enc.Decode(line)
	l := d.layout(head, trimMark(text))
	if d.cfg.Format.Header && len(line) == 0 {
		l.flaw = flaw{"CSV005", "the header line above the row is not known"}
	}
	b := &builder{d: d, at: at}
	text, _ = enc.Decode(raw)
	rec := record{raw: raw}
	if s := newSplitter(d.cfg.Format, enc); len(raw) > s.max {
		rec.flaw = flawLong
	}
	if !d.skips(trimMark(text), l) {
		b.add(l, rec, trimMark(text), nil)
	}
	return b.readings
}

// layoutOf is the layout of a stored header line.
func (d *decoder) layoutOf(head []byte) *layout {
	enc, n := d.enc.Settle(head)
	text, _ := enc.Decode(head[n:])
	return d.layout(head, trimMark(text))
}

// skips tells lines that are no rows: empty ones, comments, footers, and the header once more.
func (d *decoder) skips(text string, l *layout) bool {
	switch {
	case text == "":
		return true
	case d.cfg.Format.Comment != 0 && text[0] == byte(d.cfg.Format.Comment):
		return true
	case d.cfg.Format.Header && l != nil && text == l.text:
		return true
	case text[0] <= ' ' && d.blank(text):
		return true
	}
	return d.cfg.Format.Footer != nil && d.cfg.Format.Footer.MatchString(text)
}

// blank is a line of nothing but blanks, or the end mark of DOS.
func (d *decoder) blank(text string) bool {
	return strings.Trim(text, " \t\r\x1a") == "" && !strings.Contains(text, d.sep)
}

// trimMark removes a byte order mark, as files have in the middle that were put together from several.
func trimMark(text string) string {
	if text != "" && text[0] == 0xEF {
		return strings.TrimPrefix(text, "\uFEFF")
	}
	return text
}

// when reads the time of a row.
func (d *decoder) when(l *layout) (time.Time, flaw) {
	if len(l.time) == 1 {
		return d.clock.at(d.row[l.time[0]])
	}
	d.joined = d.joined[:0]
	for i, column := range l.time {
		if i > 0 {
			d.joined = append(d.joined, ' ')
		}
		d.joined = append(d.joined, d.row[column]...)
	}
	return d.clock.at(string(d.joined))
}

// A builder collects the readings of one batch. What it holds is used again after reset, so a sink keeps nothing of it.
type builder struct {
	d        *decoder
	at       time.Time // arrival, for rows without a time
	readings []adapters.Reading
	values   []string
	origins  []byte // "kiln.csv:1042" of all rows, one after the other
	spans    []span // of each reading, in origins
	good     uint64 // rows
	bad      uint64
}

// A span is a part of origins.
type span struct{ from, to int }

// add decodes one record. other is the header line above it if that is not l's.
func (b *builder) add(l *layout, rec record, text string, other []byte) (header bool) {
	d := b.d
	bad := rec.flaw
	if bad.code == "" {
		d.row, bad = fields(d.row[:0], text, d.sep, d.quote)
	}
	switch {
	case bad.code != "":
	case strings.IndexByte(text, 0) >= 0:
		bad = flawNUL
	case d.cfg.Format.Header && l.isOtherHeader(d.row):
		return true
	case other != nil:
		bad = flaw{"CSV004", "another header line than the file's first one stands above the row"}
	case l.flaw.code != "":
		bad = l.flaw
	case len(d.row) != len(l.columns):
		bad = flaw{"CSV001", fmt.Sprintf("the row has %d columns, the header %d", len(d.row), len(l.columns))}
	}
	at := b.at
	if bad.code == "" && d.clock != nil {
		at, bad = d.when(l)
	}
	head := l.head
	if other != nil {
		head = other
	}
	if bad.code != "" {
		b.bad++
		device := ""
		if len(l.devices) == 1 {
			device = l.devices[0].name
		}
		b.fault(device, head, rec.raw, bad)
		return false
	}
	sound := len(l.devices) == 0
	for i := range l.devices {
		p := &l.devices[i]
		if p.flaw.code != "" {
			b.fault(p.name, head, rec.raw, p.flaw)
			continue
		}
		sound = true
		from := len(b.values)
		for _, column := range p.index {
			b.values = append(b.values, d.row[column])
		}
		b.readings = append(b.readings, adapters.Reading{
			Device: p.name, Time: at, Names: p.names, Values: b.values[from:len(b.values):len(b.values)], Raw: rec.raw, Head: head})
	}
	if sound {
		b.good++
	} else {
		b.bad++
	}
	return false
}

func (b *builder) fault(device string, head, raw []byte, f flaw) {
	b.readings = append(b.readings, adapters.Reading{
		Device: device, Time: b.at, Raw: raw, Head: head, Fault: &adapters.Fault{Code: f.code, Why: f.why}})
}

// stamp says where the readings that were added last come from.
func (b *builder) stamp(file string, line int64) {
	if len(b.spans) == len(b.readings) {
		return
	}
	from := len(b.origins)
	b.origins = append(b.origins, file...)
	b.origins = append(b.origins, ':')
	b.origins = strconv.AppendInt(b.origins, line, 10)
	for len(b.spans) < len(b.readings) {
		b.spans = append(b.spans, span{from, len(b.origins)})
	}
}

// finish gives the readings their origins, all cut from one string.
func (b *builder) finish() []adapters.Reading {
	all := string(b.origins)
	for i, s := range b.spans {
		r := &b.readings[i]
		r.Origin = all[s.from:s.to]
		if r.Fault != nil {
			r.Fault.Why = r.Origin + ": " + r.Fault.Why
		}
	}
	return b.readings
}

// counts is how much the builder holds.
type counts struct {
	readings, values int
	good, bad        uint64
}

func (b *builder) counts() counts { return counts{len(b.readings), len(b.values), b.good, b.bad} }

// forget takes back what came after c.
func (b *builder) forget(c counts) {
	clear(b.readings[c.readings:])
	b.readings, b.values, b.good, b.bad = b.readings[:c.readings], b.values[:c.values], c.good, c.bad
}

// reset makes room for the next batch.
func (b *builder) reset() {
	clear(b.readings)
	clear(b.values)
	b.readings, b.values, b.origins, b.spans = b.readings[:0], b.values[:0], b.origins[:0], b.spans[:0]
}

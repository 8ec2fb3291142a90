package csvfile

import (
	"fmt"
	"strings"
	"time"
)

// A clock turns the time columns of a row into a time: it knows the format, the zone and what becomes of the doubled hour.
// It is not for concurrent use: it remembers the zone's offset for the quarter of an hour that it saw last.
type clock struct {
	format timeFormat
	layout string // as configured, for messages
	zone   *time.Location
	dst    string
	utc    bool

	quarter int64 // last seen quarter of an hour of the wall clock; offset and flaw hold for all of it
	known   bool
	offset  int64
	flaw    flaw
}

// CheckTime tells whether the format, zone and DST of a time column can be used.
func CheckTime(t Time) error {
	_, err := newClock(&t)
	return err
}

func newClock(t *Time) (*clock, error) {
	format, err := compileTime(t.Format)
	if err != nil {
		return nil, err
	}
	if len(t.Columns) == 0 {
		return nil, fmt.Errorf("the time has no column")
	}
	switch t.DST {
	case "", "first", "second", "reject":
	default:
		return nil, fmt.Errorf("dst %q: it is first, second or reject", t.DST)
	}
	c := &clock{format: format, layout: t.Format, zone: t.Zone, dst: t.DST}
	if c.zone == nil {
		c.zone = time.UTC
	}
	c.utc = c.zone == time.UTC
	return c, nil
}

// at parses text.
func (c *clock) at(text string) (time.Time, flaw) {
	w, ok := c.format.parse(strings.TrimSpace(text))
	if !ok {
		return time.Time{}, flaw{"CSV008", fmt.Sprintf("the time %q is not like %q", clip(text), c.layout)}
	}
	if w.hasEpoch {
		return time.Unix(w.epoch, int64(w.nano)).UTC(), flaw{}
	}
	seconds := daysFrom1970(w.year, w.month, w.day)*86400 + int64(w.hour*3600+w.minute*60+w.second)
	switch {
	case w.hasOffset:
		seconds -= int64(w.offset)
	case !c.utc:
		offset, flaw := c.settle(seconds)
		if flaw.code != "" {
			flaw.why = fmt.Sprintf("the time %q %s", clip(text), flaw.why)
			return time.Time{}, flaw
		}
		seconds -= offset
	}
	return time.Unix(seconds, int64(w.nano)).UTC(), flaw{}
}

// settle gives the zone's offset at a time of the wall clock, in seconds. Zones change on quarters of an hour.
func (c *clock) settle(seconds int64) (int64, flaw) {
	const quarter = 15 * 60
	if q := seconds / quarter; !c.known || q != c.quarter || seconds < 0 {
		c.quarter, c.known = q, true
		c.offset, c.flaw = c.lookup(seconds)
	}
	return c.offset, c.flaw
}

// lookup tries the offsets in force a day before and a day after: the ones that lead back to the same wall clock are right.
func (c *clock) lookup(seconds int64) (int64, flaw) {
	before, after := c.offsetAt(seconds-86400), c.offsetAt(seconds+86400)
	first := c.offsetAt(seconds-before) == before
	second := c.offsetAt(seconds-after) == after
	switch {
	case first && second && before != after && c.dst == "second":
		return after, flaw{}
	case first && second && before != after && c.dst != "first":
		return 0, flaw{"CSV010", fmt.Sprintf("occurs twice in %s: the clock was put back; dst = \"first\" or \"second\" decides", c.zone)}
	case first:
		return before, flaw{}
	case second:
		return after, flaw{}
	}
	return 0, flaw{"CSV009", fmt.Sprintf("does not occur in %s: the clock was put forward", c.zone)}
}

func (c *clock) offsetAt(unix int64) int64 {
	_, offset := time.Unix(unix, 0).In(c.zone).Zone()
	return int64(offset)
}

// daysFrom1970 counts the days of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
func daysFrom1970(year, month, day int) int64 {
	y := int64(year)
	if month <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yearOfEra := y - era*400
	dayOfYear := int64((153*((month+9)%12)+2)/5 + day - 1)
	return era*146097 + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear - 719468
}

// clip shortens what came from a file for a message.
func clip(s string) string { return clipTo(s, 64) }

func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

package queue

import (
	"encoding/binary"
	"slices"
	"time"
)

// A tally is what became of the events of one device; link-level dead letters, of no device, stand under their link.
// What was delivered is not counted but derived: Queued less Gone less what waits, so that it is exact after any crash.
type tally struct {
	Device   string
	Read     uint64 // events the readings could become
	Filtered uint64
	Absent   uint64 // point values left out
	Dead     uint64
	Dropped  uint64
	Queued   uint64 // a chunked event once
	Gone     uint64 // of Queued: dropped, set aside or damaged before they were delivered
}

// An Account is the ledger's line of one device: Read = Filtered + Delivered + Dead + Dropped + Waiting, since the folder
// was made. The unit is one event of one reading; a chunked event counts once.
type Account struct {
	Device    string // the link's name for dead letters of no device
	Read      uint64
	Filtered  uint64
	Delivered uint64
	Dead      uint64
	Dropped   uint64
	Waiting   uint64
	Absent    uint64 // point values left out; not part of the sum
}

// A ledger holds tallies in the order in which their devices came.
type ledger struct {
	rows []tally
	at   map[string]int
}

func (l *ledger) row(device string) *tally {
	i, ok := l.at[device]
	if !ok {
		if l.at == nil {
			l.at = make(map[string]int)
		}
		i = len(l.rows)
		l.at[device] = i
		l.rows = append(l.rows, tally{Device: device})
	}
	return &l.rows[i]
}

func (l *ledger) add(rows []tally) {
	for i := range rows {
		r, d := l.row(rows[i].Device), &rows[i]
		r.Read += d.Read
		r.Filtered += d.Filtered
		r.Absent += d.Absent
		r.Dead += d.Dead
		r.Dropped += d.Dropped
		r.Queued += d.Queued
		r.Gone += d.Gone
	}
}

// accounts closes the books: waiting is the events that wait, by device.
func (l *ledger) accounts(waiting *ledger) []Account {
	all := ledger{}
	all.add(l.rows)
	for i := range waiting.rows {
		all.row(waiting.rows[i].Device)
	}
	list := make([]Account, 0, len(all.rows))
	for _, t := range all.rows {
		w := waiting.get(t.Device).Queued
		a := Account{Device: t.Device, Read: t.Read, Filtered: t.Filtered, Absent: t.Absent, Dead: t.Dead, Dropped: t.Dropped, Waiting: w}
		if gone := t.Gone + w; t.Queued >= gone {
			a.Delivered = t.Queued - gone
		} else {
			a.Read += gone - t.Queued // the record that said so was damaged
		}
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Account) int {
		switch {
		case a.Device < b.Device:
			return -1
		case a.Device > b.Device:
			return 1
		}
		return 0
	})
	return list
}

func (l *ledger) get(device string) tally {
	if i, ok := l.at[device]; ok {
		return l.rows[i]
	}
	return tally{Device: device}
}

func putRows(b []byte, rows []tally) []byte {
	b = binary.AppendUvarint(b, uint64(len(rows)))
	for i := range rows {
		r := &rows[i]
		b = putString(b, r.Device)
		for _, v := range [...]uint64{r.Read, r.Filtered, r.Absent, r.Dead, r.Dropped, r.Queued, r.Gone} {
			b = binary.AppendUvarint(b, v)
		}
	}
	return b
}

func (p *parser) rows() []tally {
	n := p.count()
	rows := make([]tally, 0, min(n, 1024))
	for range n {
		r := tally{Device: p.string()}
		for _, v := range [...]*uint64{&r.Read, &r.Filtered, &r.Absent, &r.Dead, &r.Dropped, &r.Queued, &r.Gone} {
			*v = p.uvarint()
		}
		if p.bad {
			return nil
		}
		rows = append(rows, r)
	}
	return rows
}

// A stored checkpoint.
type position struct {
	link string
	at   []byte
}

// books is what the records add up to; every segment begins with it.
type books struct {
	ledger      ledger
	checkpoints []position // in the order in which the links came
	since       time.Time  // when the folder was made
	damaged     uint64     // records that were damaged
	lost        uint64     // events that were in them
	commands    commands
}

func (b *books) checkpoint(link string) []byte {
	for i := range b.checkpoints {
		if b.checkpoints[i].link == link {
			return b.checkpoints[i].at
		}
	}
	return nil
}

func (b *books) moveTo(link string, at []byte) {
	for i := range b.checkpoints {
		if b.checkpoints[i].link == link {
			b.checkpoints[i].at = append(b.checkpoints[i].at[:0:0], at...)
			return
		}
	}
	b.checkpoints = append(b.checkpoints, position{link, slices.Clone(at)})
}

// apply takes in what a batch says.
func (b *books) apply(c change) {
	b.ledger.add(c.rows)
	if c.lost > 0 {
		b.damaged++
		b.lost += c.lost
	}
}

func (b *books) encode(done *ranges) []byte {
	out := make([]byte, frameHead, 1<<10)
	out = binary.AppendVarint(out, b.since.UnixNano())
	out = binary.AppendUvarint(out, b.damaged)
	out = binary.AppendUvarint(out, b.lost)
	out = binary.AppendUvarint(out, uint64(len(b.checkpoints)))
	for _, p := range b.checkpoints {
		out = putBytes(putString(out, p.link), p.at)
	}
	out = putRows(out, b.ledger.rows)
	out = binary.AppendUvarint(out, done.first)
	out = putSpans(out, done.above)
	out = b.commands.encode(out)
	return finish(out, 0, kindState)
}

// decode replaces the books and gives the numbers that do not wait.
func (b *books) decode(body []byte) (done []span, err error) {
	p := parser{b: body}
	n := books{since: time.Unix(0, p.varint()).UTC(), damaged: p.uvarint(), lost: p.uvarint()}
	for range p.count() {
		n.checkpoints = append(n.checkpoints, position{p.string(), slices.Clone(p.bytes())})
	}
	n.ledger.add(p.rows())
	first := p.uvarint()
	done = p.spans()
	n.commands = p.commands()
	if p.bad || len(p.b) != 0 {
		return nil, errShort
	}
	*b = n
	if first > 0 {
		done = append([]span{{0, first}}, done...)
	}
	return done, nil
}

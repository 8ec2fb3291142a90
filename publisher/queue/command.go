package queue

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"legacybridge/mapping"
)

const (
	// RememberCommands is how long an accepted command is known.
	RememberCommands = 24 * time.Hour
	// maxCommands bounds what is remembered: one in ten seconds, all day long. Every segment begins with it.
	maxCommands = 8192
)

// ErrManyCommands means that no further command can be told from a repeated one.
var ErrManyCommands = errors.New("more commands in 24 h than can be remembered")

// A CommandKey tells commands apart.
type CommandKey [16]byte

// KeyOf is the key of a command: the same for one that is repeated. Without an id no two are the same.
func KeyOf(device, id string) (k CommandKey) {
	if id == "" {
		_, _ = rand.Read(k[:]) // it never fails
		return k
	}
	sum := sha256.Sum256([]byte(device + "\x00" + id))
	copy(k[:], sum[:])
	return k
}

// A Command is one that was accepted. It is the reverse of an event: remembered before it is carried out, and never
// carried out twice.
type Command struct {
	Key          CommandKey
	Device, Name string
	ID           string // of the sender; may be empty
	Topic        string
	Args         string // JSON
	Value        string // what is written
	Time         time.Time
}

// What a record of a command says.
const (
	commandAccepted = 1
	commandEnded    = 2
)

// A seen is a command with an id that was accepted not long ago.
type seen struct {
	key CommandKey
	at  int64 // Unix seconds
}

// A lastWrite is when a command was last accepted.
type lastWrite struct {
	device, name string
	at           int64 // Unix nanoseconds
}

// commands are part of the books.
type commands struct {
	seen     []seen // the oldest first
	last     []lastWrite
	underWay []Command
}

func (m *commands) accept(c Command) {
	limit := c.Time.Add(-RememberCommands)
	old := 0
	for old < len(m.seen) && m.seen[old].at < limit.Unix() {
		old++
	}
	m.seen = slices.Delete(m.seen, 0, old)
	if c.ID != "" { // without one nothing can be told from it
		m.seen = append(m.seen, seen{c.Key, c.Time.Unix()})
	}
	m.last = slices.DeleteFunc(m.last, func(l lastWrite) bool {
		return l.at < limit.UnixNano() || l.device == c.Device && l.name == c.Name
	})
	m.last = append(m.last, lastWrite{c.Device, c.Name, c.Time.UnixNano()})
	m.underWay = append(m.underWay, c)
}

func (m *commands) end(k CommandKey) {
	m.underWay = slices.DeleteFunc(m.underWay, func(c Command) bool { return c.Key == k })
}

// apply takes in what a record says.
func (m *commands) apply(what byte, c Command) {
	if what == commandEnded {
		m.end(c.Key)
		return
	}
	m.accept(c)
}

// encode appends nothing where there is nothing: such a state is that of a queue without commands.
func (m *commands) encode(b []byte) []byte {
	if len(m.seen)+len(m.last)+len(m.underWay) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(m.seen)))
	for i := range m.seen {
		b = binary.AppendVarint(append(b, m.seen[i].key[:]...), m.seen[i].at)
	}
	b = binary.AppendUvarint(b, uint64(len(m.last)))
	for i := range m.last {
		b = putString(putString(b, m.last[i].device), m.last[i].name)
		b = binary.AppendVarint(b, m.last[i].at)
	}
	b = binary.AppendUvarint(b, uint64(len(m.underWay)))
	for i := range m.underWay {
		b = putCommand(b, &m.underWay[i])
	}
	return b
}

// commands reads what encode wrote, at the end of a state.
func (p *parser) commands() (m commands) {
	if p.bad || len(p.b) == 0 {
		return m
	}
	for range p.count() {
		m.seen = append(m.seen, seen{p.key(), p.varint()})
	}
	for range p.count() {
		m.last = append(m.last, lastWrite{p.string(), p.string(), p.varint()})
	}
	for range p.count() {
		m.underWay = append(m.underWay, p.command())
	}
	return m
}

func (p *parser) key() (k CommandKey) {
	if len(p.b) < len(k) {
		p.fail()
		return k
	}
	p.b = p.b[copy(k[:], p.b):]
	return k
}

func putCommand(b []byte, c *Command) []byte {
	b = append(b, c.Key[:]...)
	b = binary.AppendVarint(b, c.Time.UnixNano())
	for _, s := range []string{c.Device, c.Name, c.ID, c.Topic, c.Args, c.Value} {
		b = putString(b, s)
	}
	return b
}

func (p *parser) command() Command {
	c := Command{Key: p.key(), Time: time.Unix(0, p.varint()).UTC()}
	for _, s := range []*string{&c.Device, &c.Name, &c.ID, &c.Topic, &c.Args, &c.Value} {
		*s = p.string()
	}
	return c
}

// putCommandRecord appends a record, its number still to come.
func putCommandRecord(b []byte, what byte, c *Command) []byte {
	at := len(b)
	b = append(b, make([]byte, frameHead+8)...)
	if b = append(b, what); what == commandEnded {
		b = append(b, c.Key[:]...)
	} else {
		b = putCommand(b, c)
	}
	return finish(b, at, kindCommand)
}

func parseCommand(body []byte) (what byte, c Command, err error) {
	p := parser{b: body}
	p.u64()
	switch what = p.byte(); what {
	case commandAccepted:
		c = p.command()
	case commandEnded:
		c.Key = p.key()
	default:
		p.fail()
	}
	if p.bad || len(p.b) != 0 {
		return 0, c, errShort
	}
	return what, c, nil
}

// ErrOverfull means that there is no room for a command and what becomes of it.
var ErrOverfull = errors.New("the disk or the queue is full")

// beyond is the part of Config.MaxBytes that commands and their replies may take beyond it: they do not wait for room, and a
// platform that sends commands, but takes no events, must not fill the disk.
const beyond = 8

// Overfull says whether they have taken that, or the disk is full.
func (q *Queue) Overfull() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.full == diskFull || q.log.bytes() > q.cfg.MaxBytes+q.cfg.MaxBytes/beyond
}

// AcceptCommand remembers a command, at once. Only after a nil error may it be carried out. Whoever accepts asks
// KnowsCommand before, and is one goroutine.
func (q *Queue) AcceptCommand(ctx context.Context, c Command) error {
	if q.Overfull() {
		return ErrOverfull
	}
	q.mu.Lock()
	full := c.ID != "" && len(q.books.commands.seen) >= maxCommands && q.books.commands.seen[0].at >= c.Time.Add(-RememberCommands).Unix()
	q.mu.Unlock()
	if full {
		return ErrManyCommands
	}
	return q.submit(ctx, q.commandRequest("", commandAccepted, c, nil))
}

// EndCommand stores that a command is not under way any more, with the events that say what became of it, in one write.
// A nil error means on disk.
func (q *Queue) EndCommand(ctx context.Context, k CommandKey, link string, out mapping.Output) error {
	return q.submit(ctx, q.commandRequest(link, commandEnded, Command{Key: k}, &out))
}

func (q *Queue) commandRequest(link string, what byte, c Command, out *mapping.Output) *request {
	r := q.newRequest(link)
	r.urgent, r.enc.rec, r.enc.rows = true, r.enc.rec[:0], r.enc.rows[:0]
	if out != nil && len(out.Events) > 0 {
		r.enc.tally(link, out)
		r.events = len(out.Events)
		r.enc.encode(r.now, link, nil, out.Events, nil)
	}
	if out != nil {
		for i := range out.Dead {
			r.letters = putLetter(r.letters, r.now, link, &out.Dead[i], q.cfg.Dead.MaxBytes)
		}
		r.count = len(out.Dead)
	}
	r.enc.rec = putCommandRecord(r.enc.rec, what, &c)
	r.what, r.command = what, c
	return r
}

// KnowsCommand says whether such a command was accepted within RememberCommands.
func (q *Queue) KnowsCommand(k CommandKey, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := now.Add(-RememberCommands).Unix()
	return slices.ContainsFunc(q.books.commands.seen, func(s seen) bool { return s.key == k && s.at >= limit })
}

// LastCommand is when a command of a device was last accepted; zero if it was not within RememberCommands.
func (q *Queue) LastCommand(device, name string) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.books.commands.last {
		if l.device == device && l.name == name {
			return time.Unix(0, l.at).UTC()
		}
	}
	return time.Time{}
}

// CommandsUnderWay are those that were accepted and have not ended. After Open they are those that a crash cut off: what
// became of them is not known, and they must not be carried out.
func (q *Queue) CommandsUnderWay() []Command {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.books.commands.underWay)
}

package queue_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing/synctest"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// A model is what the queue must hold, as its callers know it: sources that read numbered batches, go on behind the
// stored checkpoint after a crash, and never believe anything but a nil error. Its promises are those of doc.go:
//
//	I1  what was promised waits, was delivered, is a dead letter, or is in a counted drop
//	I2  byte for byte
//	I3  nothing else is there
//	I4  in order of each link
//	I5  what was delivered comes again only if its acknowledgement was younger than the last write of the cursor (after a
//	    kill: 64 acknowledgements and 100 ms at most), or than its last sync (after a power cut: about a second)
//	I6  nothing counts as delivered that was not acknowledged
//	I7  a number stands for one event for ever
type model struct {
	t    interface{ Fatalf(string, ...any) }
	pick func(what string, lo, hi int) int // the choices: all of them, so that a run can be repeated
	fs   *fakeFS
	cfg  queue.Config
	q    *queue.Queue
	r    *queue.Reader
	read []queue.Entry // not acknowledged

	links   []*modelLink
	payload map[uint64]string    // of every number ever seen
	acked   map[string]time.Time // payloads that were acknowledged and have not come again
	out     map[string]bool      // payloads that were ever acknowledged
	aside   map[string]bool      // payloads that were to be set aside: they wait or are in a dead letter
	dropped map[uint64]bool      // dead letters that were taken away
	gone    map[string]bool      // what was in them
	since   time.Time            // acknowledgements from then on may be undone by how the process ended
	again   int                  // most of them that may be
	tally   *tally
	tight   bool // the disk was full: what is torn stays until there is room to cut it
	harm    harm
}

type modelLink struct {
	name     string
	next     uint64   // batch that is read next
	promised uint64   // the last whose Append returned nil
	failed   bool     // its last Append failed: it reads no more before the next start
	lossy    bool     // a record of its was damaged: its counts are not known exactly any more
	batches  []*batch // all that were ever tried; of one number the last that was stored
}

type batch struct {
	number   uint64
	payloads []string // of events, those of a chunked one with the same unit
	units    int
	filtered int
	dead     []string
}

func startModel(t interface{ Fatalf(string, ...any) }, pick func(string, int, int) int, tally *tally, cfg queue.Config, links ...string) *model {
	m := &model{t: t, pick: pick, tally: tally, fs: newFakeFS(), cfg: cfg, payload: map[uint64]string{}, out: map[string]bool{},
		acked: map[string]time.Time{}, aside: map[string]bool{}, dropped: map[uint64]bool{}, gone: map[string]bool{}, harm: newHarm()}
	m.cfg.Path, m.cfg.Dead.Path, m.cfg.FS = "/q", "/d", m.fs
	if m.cfg.Segment == 0 {
		m.cfg.Segment = 600
	}
	for _, name := range links {
		m.links = append(m.links, &modelLink{name: name, next: 1, batches: []*batch{{}}})
	}
	m.open()
	return m
}

func (m *model) open() {
	q, err := queue.Open(m.cfg)
	if err != nil && m.fs.isSmall() { // too full to begin: the service manager tries again, and somebody makes room
		m.fs.setSize(0)
		q, err = queue.Open(m.cfg)
	}
	if err != nil {
		m.t.Fatalf("open: %v; files %v", err, m.fs)
	}
	m.q, m.r, m.read = q, q.NewReader(), nil
	synctest.Wait() // for what the committer does first
}

// second is another process that wants the folder too.
func (m *model) second() {
	ops := m.fs.changes()
	if _, err := queue.Open(m.cfg); !errors.Is(err, queue.ErrBusy) {
		m.t.Fatalf("a second process opens the folder: got %v, want that it is busy", err)
	}
	if m.fs.changes() != ops {
		m.t.Fatalf("a second process changed something")
	}
}

// shut ends the process: cleanly, killed, or with the power cut.
func (m *model) shut(how string) {
	synctest.Wait()
	_ = m.r.Close()
	written, synced := m.fs.cursorTimes()
	ended := m.fs.endedAt()
	switch how {
	case "close":
		if err := m.q.Close(); err != nil {
			m.t.Fatalf("close: %v", err)
		}
		if m.fs.leftOpen() != 0 {
			m.t.Fatalf("%d files are open after Close", m.fs.leftOpen())
		}
		rep, err := queue.Verify(m.cfg)
		for _, f := range rep.Faults {
			if !m.harm.done && !(f.Torn && m.tight) {
				m.t.Fatalf("verify after Close: %+v", f)
			}
		}
		if err != nil {
			m.t.Fatalf("verify after Close: %v", err)
		}
		m.since, m.again = ended.Add(1), 0
	case "kill":
		failed := m.q.Err()
		m.fs.powerOff()
		_ = m.q.Close() // its goroutine must end; it cannot write
		m.fs.kill()
		m.since, m.again = latest(written, ended.Add(-100*time.Millisecond)), 64
		if failed != nil && strings.Contains(failed.Error(), "cursor") { // its slot is torn: as after a power cut, the other one serves
			m.since, m.again = latest(synced, ended.Add(-1100*time.Millisecond)), math.MaxInt
		}
		m.tally.kills++
	default:
		m.fs.powerOff()
		_ = m.q.Close()
		m.fs.crash(func(n int) int { return m.pick("kept", 0, n-1) })
		m.since, m.again = latest(synced, ended.Add(-1100*time.Millisecond)), math.MaxInt
		m.tally.cuts++
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// restart ends the process in some way, begins it anew and looks at everything.
func (m *model) restart(how string) {
	m.shut(how)
	m.open()
	m.verify()
}

// end lets go of everything, also after a failure.
func (m *model) end() {
	m.fs.powerOff()
	_ = m.r.Close()
	_ = m.q.Close()
}

// padding makes payloads of different lengths.
var padding = strings.Repeat("x", 60)

func (m *model) append(l *modelLink) {
	if l.failed {
		return
	}
	b := &batch{number: l.next}
	out := mapping.Output{}
	device := l.name + "-d"
	for i := range m.pick("events", 0, 4) {
		p := fmt.Sprintf("%s/%d/%d %s", l.name, b.number, i, padding[:m.pick("size", 0, len(padding))])
		parts := 0
		if m.pick("chunked", 0, 5) == 0 {
			parts = 2
		}
		b.units++
		for part := range max(parts, 1) {
			ev := mapping.Event{Device: device, Type: "t", ID: device, Name: "e", Format: "json", QoS: 1, Time: time.Now(),
				Payload: fmt.Appendf(nil, "%s#%d", p, part)}
			if parts > 0 {
				ev.Part, ev.Parts, ev.Number = part+1, parts, mapping.AsChunkID
			}
			out.Events = append(out.Events, ev)
			b.payloads = append(b.payloads, string(ev.Payload))
		}
	}
	for i := range m.pick("dead", 0, 5) - 3 {
		raw := fmt.Sprintf("%s/%d/dead%d", l.name, b.number, i)
		b.dead = append(b.dead, raw)
		out.Dead = append(out.Dead, mapping.Dead{Device: device, Code: "MAP011", Why: "test", Raw: []byte(raw), Units: 1})
	}
	b.filtered = m.pick("filtered", 0, 2)
	out.Counts = []mapping.Count{{Device: device, Read: b.units + b.filtered + len(b.dead), Filtered: b.filtered}}
	for len(l.batches) <= int(b.number) {
		l.batches = append(l.batches, nil)
	}
	l.batches[b.number] = b
	for _, p := range b.payloads { // of a batch that is read again, for the record of it was damaged, events are new ones
		delete(m.acked, p)
	}
	ctx, stop := context.WithTimeout(context.Background(), 2700*time.Millisecond) // not when a second is full: that would be left to chance
	defer stop()
	err := m.q.Append(ctx, l.name, binary.BigEndian.AppendUint64(nil, b.number), out)
	switch {
	case err == nil:
		l.promised = b.number
		l.next++
	case errors.Is(err, context.DeadlineExceeded):
		if !m.fs.isSmall() && m.cfg.MaxBytes == 0 {
			m.t.Fatalf("append waits although there is room: %+v", m.q.State())
		}
	case !m.fs.expected():
		m.t.Fatalf("append: %v", err)
	default:
		l.failed = true
	}
}

func (m *model) seen(e queue.Entry) {
	p := string(e.Event.Payload)
	if old, ok := m.payload[e.Number]; ok && old != p {
		m.t.Fatalf("I7: number %d is %q, and was %q", e.Number, p, old)
	}
	m.payload[e.Number] = p
	if e.Event.Part > 0 && e.First != e.Number-uint64(e.Event.Part-1) {
		m.t.Fatalf("part %d has number %d and first %d", e.Event.Part, e.Number, e.First)
	}
}

func (m *model) readSome(n int) {
	for range n {
		e, ok, err := m.r.Next()
		if err != nil && !m.fs.expected() {
			m.t.Fatalf("next: %v", err)
		}
		if !ok {
			return
		}
		m.seen(e)
		m.read = append(m.read, e)
	}
}

// ack acknowledges n runs of what was read, in any order.
func (m *model) ack(n int) {
	for range n {
		if len(m.read) == 0 {
			return
		}
		i := m.pick("ack", 0, min(7, len(m.read)-1))
		j := min(len(m.read), i+m.pick("run", 1, 3))
		var numbers []uint64
		for _, e := range m.read[i:j] {
			numbers = append(numbers, e.Number)
		}
		err := m.q.Ack(numbers...)
		synctest.Wait() // else the committer's next step were left to chance
		for _, e := range m.read[i:j] {
			m.out[string(e.Event.Payload)] = true // also if it failed: the cursor may hold it
		}
		if err != nil {
			if !m.fs.expected() {
				m.t.Fatalf("ack: %v", err)
			}
			return
		}
		for _, e := range m.read[i:j] {
			m.acked[string(e.Event.Payload)] = time.Now()
		}
		m.read = append(m.read[:i:i], m.read[j:]...)
	}
}

func (m *model) setAside() {
	if len(m.read) == 0 || m.fs.isSmall() || m.cfg.MaxBytes > 0 { // it waits while the disk is full
		return
	}
	e := m.read[0]
	err := m.q.SetAside(context.Background(), e, "PLT009", "refused")
	if err != nil && !m.fs.expected() {
		m.t.Fatalf("set aside: %v", err)
	}
	kept := m.read[:0:0]
	for _, o := range m.read {
		if o.First != e.First {
			kept = append(kept, o)
		}
	}
	m.read = kept
	for _, l := range m.links { // parts that were not read yet go too; after an error they may have gone or not
		for _, b := range l.batches {
			for _, p := range b.unitsOf(string(e.Event.Payload)) {
				m.aside[p] = true
			}
		}
	}
}

// dropLetter takes a dead letter away.
func (m *model) dropLetter() {
	for l, err := range queue.Letters(m.cfg) {
		if err != nil || m.fs.isSmall() {
			return
		}
		if m.pick("letter", 0, 2) > 0 {
			continue
		}
		for line := range strings.SplitSeq(string(l.Dead.Raw), "\n") {
			m.gone[line] = true
		}
		if err := m.q.DropLetter(context.Background(), l.Number); err == nil {
			m.dropped[l.Number] = true
		} else if !m.fs.expected() {
			m.t.Fatalf("drop letter %d: %v", l.Number, err)
		}
		return
	}
}

// unitsOf are the payloads of the event that p belongs to.
func (b *batch) unitsOf(p string) (list []string) {
	if b == nil {
		return nil
	}
	stem, _, _ := strings.Cut(p, "#")
	for _, o := range b.payloads {
		if s, _, _ := strings.Cut(o, "#"); s == stem {
			list = append(list, o)
		}
	}
	return list
}

package queue_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing/synctest"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"

	"pgregory.net/rapid"
)

// A model is what the queue must hold, as its callers know it: sources that read numbered batches, go on behind the
// stored checkpoint after a crash, and never believe anything but a nil error.
type model struct {
	t    interface{ Fatalf(string, ...any) }
	pick func(what string, lo, hi int) int // the choices: all of them, so that a run can be repeated
	fs   *fakeFS
	cfg  queue.Config
	q    *queue.Queue
	r    *queue.Reader
	read []queue.Entry // not acknowledged

	links   []*modelLink
	payload map[uint64]string // of every number ever seen
	out     map[string]bool   // payloads that were acknowledged
	when    map[string]time.Time
	ended   time.Time       // when the process ended last
	undone  time.Duration   // acknowledgements of the time before that may be undone
	aside   map[string]bool // payloads that were to be set aside: they wait or are in a dead letter
	tight   bool            // the disk was full: what is torn stays until there is room to cut it
	lossy   bool            // bytes were damaged: sources may read again, and what is lost must be counted
	said    uint64          // lost, as the queue said last
	lost    uint64          // and before that was forgotten
}

type modelLink struct {
	name     string
	next     uint64   // batch that is read next
	promised uint64   // the last whose Append returned nil
	failed   bool     // its last Append failed: it reads no more before the next start
	batches  []*batch // all that were ever tried; of one number the last that was stored
}

type batch struct {
	number   uint64
	payloads []string // of events, those of a chunked one with the same unit
	units    int
	filtered int
	dead     []string
}

func (m *model) open() {
	m.cfg.FS = m.fs
	q, err := queue.Open(m.cfg)
	if err != nil {
		m.t.Fatalf("open: %v; files %v", err, m.fs)
	}
	m.q, m.r, m.read = q, q.NewReader(), nil
	synctest.Wait() // for what the committer does first
}

// shut ends the process: cleanly, killed, or with the power cut.
func (m *model) shut(how string) {
	synctest.Wait()
	_ = m.r.Close()
	m.ended, m.undone = m.fs.endedAt(), 1100*time.Millisecond // a write of the cursor, and its sync
	switch how {
	case "close":
		m.undone = 0
		if err := m.q.Close(); err != nil {
			m.t.Fatalf("close: %v", err)
		}
		if m.fs.leftOpen() != 0 {
			m.t.Fatalf("%d files are open after Close", m.fs.leftOpen())
		}
		rep, err := queue.Verify(m.cfg)
		for _, f := range rep.Faults {
			if !m.lossy && !(f.Torn && m.tight) {
				m.t.Fatalf("verify after Close: %+v", f)
			}
		}
		if err != nil {
			m.t.Fatalf("verify after Close: %v", err)
		}
	default:
		m.fs.powerOff()
		_ = m.q.Close() // its goroutine must end; it cannot write
		if how == "kill" {
			m.undone = 100 * time.Millisecond
			m.fs.kill()
		} else {
			m.fs.crash(func(n int) int { return m.pick("kept", 0, n-1) })
		}
	}
}

func (m *model) append(l *modelLink) {
	if l.failed {
		return
	}
	b := &batch{number: l.next}
	out := mapping.Output{}
	device := l.name + "-d"
	for i := range m.pick("events", 0, 4) {
		p := fmt.Sprintf("%s/%d/%d ", l.name, b.number, i) + strings.Repeat("x", m.pick("size", 0, 60))
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
	ctx, stop := context.WithTimeout(context.Background(), 2700*time.Millisecond) // not when a second is full: that would be left to chance
	defer stop()
	err := m.q.Append(ctx, l.name, binary.BigEndian.AppendUint64(nil, b.number), out)
	switch {
	case err == nil:
		l.promised = b.number
		l.next++
	case errors.Is(err, context.DeadlineExceeded):
		if m.fs.size == 0 && m.cfg.MaxBytes > 1<<20 {
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
		m.t.Fatalf("number %d is %q, and was %q", e.Number, p, old)
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

func (m *model) ack(n int) {
	for range n {
		if len(m.read) == 0 {
			return
		}
		i := m.pick("ack", 0, min(3, len(m.read)-1))
		e := m.read[i]
		err := m.q.Ack(e.Number)
		synctest.Wait() // else the committer's next step were left to chance
		if err == nil {
			m.out[string(e.Event.Payload)] = true
			m.when[string(e.Event.Payload)] = time.Now()
			m.read = append(m.read[:i:i], m.read[i+1:]...)
		} else if !m.fs.expected() {
			m.t.Fatalf("ack: %v", err)
		}
	}
}

func (m *model) setAside() {
	if len(m.read) == 0 || m.fs.size > 0 { // it waits while the disk is full
		return
	}
	e := m.read[0]
	err := m.q.SetAside(e, "PLT009", "refused")
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

// verify compares all that the queue holds with all that it must.
func (m *model) verify() {
	r := m.q.NewReader()
	defer r.Close()
	waiting := map[string]bool{}
	units := map[string]uint64{} // waiting, by device
	last := map[string]uint64{}
	lastNumber, lastFirst := uint64(0), uint64(0)
	for {
		e, ok, err := r.Next()
		if err != nil {
			m.t.Fatalf("next: %v", err)
		}
		if !ok {
			break
		}
		m.seen(e)
		p := string(e.Event.Payload)
		if e.Number <= lastNumber {
			m.t.Fatalf("number %d comes after %d", e.Number, lastNumber)
		}
		lastNumber = e.Number
		if waiting[p] && !m.lossy {
			m.t.Fatalf("%q is there twice", p)
		}
		waiting[p] = true
		if at, acked := m.when[p]; acked && !m.lossy && !m.ended.IsZero() && m.ended.Sub(at) > m.undone {
			m.t.Fatalf("%q comes again, acknowledged %v before the end", p, m.ended.Sub(at))
		}
		delete(m.when, p) // undone, if it was
		if e.First != lastFirst {
			units[e.Event.Device]++
		}
		lastFirst = e.First
		var link string
		var number, i uint64
		if n, _ := fmt.Sscanf(strings.ReplaceAll(p, "/", " "), "%s %d %d", &link, &number, &i); n != 3 {
			m.t.Fatalf("%q was never appended", p)
		}
		if at := number<<16 | i; at < last[link] && !m.lossy {
			m.t.Fatalf("%q is out of order", p)
		} else {
			last[link] = at
		}
	}
	if m.lossy {
		synctest.Wait() // the committer hears of damage that the reader has found
	}
	accounts, err := m.q.Stats()
	if err != nil {
		m.t.Fatalf("stats: %v", err)
	}
	letters := map[string]bool{}
	for l, err := range queue.Letters(m.cfg) {
		if err != nil {
			m.t.Fatalf("letters: %v", err)
		}
		for line := range strings.SplitSeq(string(l.Dead.Raw), "\n") { // parts that do not join are lines
			letters[line] = true
		}
	}
	missing := uint64(0)
	var names []string
	for _, l := range m.links {
		at := uint64(0)
		if c := m.q.Checkpoint(l.name); c != nil {
			at = binary.BigEndian.Uint64(c)
		}
		if at < l.promised && !m.lossy {
			m.t.Fatalf("checkpoint of %s is %d, and %d was promised", l.name, at, l.promised)
		}
		want := queue.Account{Device: l.name + "-d"}
		for _, b := range l.batches[1:] {
			if b.number > at {
				for _, p := range b.payloads {
					if waiting[p] && !m.lossy {
						m.t.Fatalf("%q is there, but the checkpoint is %d", p, at)
					}
				}
				continue
			}
			want.Read += uint64(b.units + b.filtered + len(b.dead))
			want.Filtered += uint64(b.filtered)
			for _, p := range b.payloads {
				if !waiting[p] && !m.out[p] && !(m.aside[p] && (letters[p] || m.lossy)) {
					missing++
					names = append(names, p)
					if !m.lossy && m.cfg.WhenFull[l.name] == queue.StopReading {
						m.t.Fatalf("%q is lost (checkpoint %d); files %v", p, at, m.fs)
					}
				}
			}
			for _, raw := range b.dead {
				if !letters[raw] && !m.lossy {
					m.t.Fatalf("dead letter %q is lost", raw)
				}
			}
		}
		for _, a := range accounts {
			if a.Device != want.Device {
				continue
			}
			if a.Read != a.Filtered+a.Delivered+a.Dead+a.Dropped+a.Waiting {
				m.t.Fatalf("the ledger does not add up: %+v", a)
			}
			if a.Waiting != units[a.Device] {
				m.t.Fatalf("ledger of %s: %d wait, and %d are there", a.Device, a.Waiting, units[a.Device])
			}
			if !m.lossy && (a.Read != want.Read || a.Filtered != want.Filtered) {
				m.t.Fatalf("ledger of %s: read %d, filtered %d, want %d, %d", a.Device, a.Read, a.Filtered, want.Read, want.Filtered)
			}
		}
		l.next, l.promised, l.failed = at+1, at, false
	}
	st := m.q.State()
	if st.Lost < m.said { // the record that said so was damaged too
		m.lost += m.said
	}
	m.said = st.Lost
	if m.lossy && missing > st.Lost+m.lost {
		m.t.Fatalf("%d events are missing, and only %d are said to be lost: %q", missing, st.Lost, names)
	}
}

// end lets go of everything, also after a failure.
func (m *model) end() {
	m.fs.powerOff()
	_ = m.r.Close()
	_ = m.q.Close()
}

// restart ends the process in some way, begins it anew and looks at everything.
func (m *model) restart(how string) {
	m.shut(how)
	m.open()
	m.verify()
}

func newModel(t *rapid.T, cfg queue.Config, links ...string) *model {
	pick := func(what string, lo, hi int) int { return rapid.IntRange(lo, hi).Draw(t, what) }
	return startModel(t, pick, cfg, links...)
}

func startModel(t interface{ Fatalf(string, ...any) }, pick func(string, int, int) int, cfg queue.Config, links ...string) *model {
	m := &model{t: t, pick: pick, fs: newFakeFS(), cfg: cfg, payload: map[uint64]string{}, out: map[string]bool{}, when: map[string]time.Time{}, aside: map[string]bool{}}
	m.cfg.Path, m.cfg.Dead.Path = "/q", "/d"
	m.cfg.Segment = 600
	for _, name := range links {
		m.links = append(m.links, &modelLink{name: name, next: 1, batches: []*batch{{}}})
	}
	m.open()
	return m
}

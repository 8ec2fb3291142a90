package queue_test

import (
	"encoding/binary"
	"strconv"
	"strings"
	"testing/synctest"

	"legacybridge/publisher/queue"
)

// A holding is all that a queue shows of itself.
type holding struct {
	waiting  map[string]bool
	units    map[string]uint64 // waiting, by device
	letters  map[string]bool   // lines of them
	accounts map[string]queue.Account
}

// verify compares all that the queue holds with all that it must.
func (m *model) verify() {
	h := m.look()
	for _, l := range m.links {
		m.verifyLink(l, h)
	}
	m.harm.said(m)
}

// look reads everything, and finds what should not be there.
func (m *model) look() holding {
	h := holding{waiting: map[string]bool{}, units: map[string]uint64{}, letters: map[string]bool{}, accounts: map[string]queue.Account{}}
	r := m.q.NewReader()
	defer r.Close()
	last := map[string]uint64{}
	lastNumber, lastFirst, again := uint64(0), uint64(0), 0
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
			m.t.Fatalf("I7: number %d comes after %d", e.Number, lastNumber)
		}
		lastNumber = e.Number
		if h.waiting[p] {
			m.t.Fatalf("I3: %q is there twice", p)
		}
		h.waiting[p] = true
		if at, ok := m.acked[p]; ok {
			if again++; !at.After(m.since) && !at.Equal(m.since) && !m.harm.cursor {
				m.t.Fatalf("I5: %q comes again, acknowledged %v before that could be undone", p, m.since.Sub(at))
			}
		}
		delete(m.acked, p) // undone
		if e.First != lastFirst {
			h.units[e.Event.Device]++
		}
		lastFirst = e.First
		link, at := m.appended(p)
		if at < last[link] {
			m.t.Fatalf("I4: %q is out of order", p)
		}
		last[link] = at
	}
	if again > m.again && !m.harm.cursor {
		m.t.Fatalf("I5: %d events come again, want %d at most", again, m.again)
	}
	m.tally.again += again
	m.tally.mostAgain = max(m.tally.mostAgain, again)
	synctest.Wait() // the committer hears of damage that the reader has found
	accounts, err := m.q.Stats()
	if err != nil {
		m.t.Fatalf("stats: %v", err)
	}
	for _, a := range accounts {
		h.accounts[a.Device] = a
		if a.Read != a.Filtered+a.Delivered+a.Dead+a.Dropped+a.Waiting {
			m.t.Fatalf("the ledger does not add up: %+v", a)
		}
		if a.Waiting != h.units[a.Device] {
			m.t.Fatalf("ledger of %s: %d wait, and %d are there", a.Device, a.Waiting, h.units[a.Device])
		}
	}
	for l, err := range queue.Letters(m.cfg) {
		if err != nil {
			m.t.Fatalf("letters: %v", err)
		}
		if m.dropped[l.Number] && !m.harm.letters {
			m.t.Fatalf("dead letter %d is back", l.Number)
		}
		for line := range strings.SplitSeq(string(l.Dead.Raw), "\n") { // parts that do not join are lines
			h.letters[line] = true
		}
	}
	return h
}

// appended is the link of a payload, and its place in that.
func (m *model) appended(p string) (link string, at uint64) {
	f := strings.SplitN(p, "/", 3)
	if len(f) == 3 {
		number, err := strconv.Atoi(f[1])
		for _, l := range m.links {
			if err != nil || l.name != f[0] || number >= len(l.batches) {
				continue
			}
			for i, o := range l.batches[number].payloads {
				if o == p {
					return l.name, uint64(number)<<16 | uint64(i)
				}
			}
		}
	}
	m.t.Fatalf("I2, I3: %q was never appended", p)
	return "", 0
}

// verifyLink looks for all that a link was promised.
func (m *model) verifyLink(l *modelLink, h holding) {
	at := uint64(0)
	if c := m.q.Checkpoint(l.name); c != nil {
		at = binary.BigEndian.Uint64(c)
	}
	if at < l.promised && !m.harm.position(l, at) {
		m.t.Fatalf("I1: checkpoint of %s is %d, and %d was promised", l.name, at, l.promised)
	}
	want := queue.Account{Device: l.name + "-d"}
	missing := uint64(0)
	for _, b := range l.batches[1:] {
		if b.number > at {
			for _, p := range b.payloads {
				if h.waiting[p] {
					m.t.Fatalf("I3: %q is there, but the checkpoint is %d", p, at)
				}
			}
			continue
		}
		want.Read += uint64(b.units + b.filtered + len(b.dead))
		want.Filtered += uint64(b.filtered)
		lastUnit := ""
		for _, p := range b.payloads {
			if h.waiting[p] || m.out[p] || m.aside[p] && (h.letters[p] || m.gone[p] || m.harm.lost[p]) {
				continue
			}
			if m.harm.lost[p] {
				continue
			}
			if m.cfg.WhenFull[l.name] == queue.StopReading {
				m.t.Fatalf("I1: %q is lost (checkpoint %d); files %v", p, at, m.fs)
			}
			if unit, _, _ := strings.Cut(p, "#"); unit != lastUnit {
				missing++
				lastUnit = unit
			}
		}
		for _, raw := range b.dead {
			if !h.letters[raw] && !m.gone[raw] && !m.harm.lost[raw] {
				m.t.Fatalf("I1: dead letter %q is lost", raw)
			}
		}
	}
	a := h.accounts[want.Device]
	if missing > a.Dropped && !l.lossy {
		m.t.Fatalf("I1: %d events of %s are missing, and %d are counted as dropped", missing, l.name, a.Dropped)
	}
	if !l.lossy && (a.Read != want.Read || a.Filtered != want.Filtered) {
		m.t.Fatalf("ledger of %s: read %d, filtered %d, want %d, %d", a.Device, a.Read, a.Filtered, want.Read, want.Filtered)
	}
	l.next, l.promised, l.failed = at+1, at, false
}

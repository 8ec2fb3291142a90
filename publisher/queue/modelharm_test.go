package queue_test

import (
	"encoding/binary"
	"slices"
	"strings"

	"legacybridge/publisher/queue"
)

// A harm is what damaged bytes may cost: the record that they are in, and nothing else.
type harm struct {
	done    bool
	files   map[string]bool // segments that were damaged; once each, for their headers and state stand there twice
	lost    map[string]bool // payloads and dead letters of damaged records
	hit     queue.Hit       // the last
	want    [2]uint64       // how many events more, at least and at most, must be said to be lost; [1] 0: none
	before  uint64          // said before
	pending bool            // it is to be looked at
	cursor  bool            // the cursor was hit: what was acknowledged may come again
	letters bool            // dead letters that were dropped may be back
}

func newHarm() harm { return harm{files: map[string]bool{}, lost: map[string]bool{}} }

// damage changes one byte of one file while nobody has it open.
func (m *model) damage() {
	m.harm.before = m.q.State().Lost
	m.shut("close")
	var files []string
	for _, name := range append(m.fs.files(".log"), "/q/cursor", "/q/reserve") {
		if !m.harm.files[name] && m.fs.has(name) {
			files = append(files, name)
		}
	}
	name := files[m.pick("file", 0, len(files)-1)]
	off := m.pick("byte", 0, m.fs.length(name)-1)
	segment := strings.HasSuffix(name, ".log")
	hit := queue.Hit{}
	if segment {
		hit = queue.At(m.fs.content(name), int64(off))
	}
	m.harm.files[name] = name != "/q/cursor" // which is written anew
	m.fs.flip(name, off, byte(m.pick("mask", 1, 255)))
	rep, err := queue.Verify(m.cfg)
	if err != nil || !slices.ContainsFunc(rep.Faults, func(f queue.Fault) bool {
		return f.File == name && (name == "/q/cursor" || f.Offset <= int64(off) && int64(off) < f.Offset+max(f.Bytes, 1))
	}) {
		m.t.Fatalf("byte %d of %s was damaged, and verify says %+v, %v", off, name, rep.Faults, err)
	}
	m.harm.done, m.harm.pending, m.harm.hit, m.harm.cursor = true, true, hit, name == "/q/cursor"
	m.harm.want = [2]uint64{}
	for n := hit.Lo; n < hit.Hi; n++ {
		if p, ok := m.payload[n]; ok {
			m.harm.lost[p] = true
		}
	}
	if hit.Raw != "" {
		for line := range strings.SplitSeq(hit.Raw, "\n") {
			m.harm.lost[line] = true
		}
	}
	m.harm.letters = m.harm.letters || hit.Own && strings.HasPrefix(name, "/d/") // what it said is forgotten
	for _, l := range m.links {
		l.lossy = l.lossy || hit.Off > 0 && strings.HasPrefix(name, "/q/")
		if l.name != hit.Link || hit.Checkpoint == nil {
			continue
		}
		for _, p := range l.batches[binary.BigEndian.Uint64(hit.Checkpoint)].payloads {
			m.harm.lost[p] = true // never read yet, it may be: then its number is not known here
			_, delivered := m.acked[p]
			if !delivered && !m.aside[p] {
				m.harm.want[0]++
			}
		}
		m.harm.want[1] = m.harm.want[0]
		if m.cfg.WhenFull[l.name] != queue.StopReading {
			m.harm.want[0] = 0 // they may have been dropped
		}
	}
	m.tally.damages++
	m.open()
	m.verify()
	m.harm.cursor = false
}

// position says whether a link may be back at a checkpoint for the record of the last one was damaged.
func (h *harm) position(l *modelLink, at uint64) bool {
	return h.pending && h.hit.Link == l.name && h.hit.Checkpoint != nil &&
		binary.BigEndian.Uint64(h.hit.Checkpoint) == l.promised && at+1 == l.promised
}

// said compares what the queue says that it lost.
func (h *harm) said(m *model) {
	lost := m.q.State().Lost
	switch {
	case !h.done:
		if lost > 0 {
			m.t.Fatalf("%d events are said to be lost, and nothing was damaged", lost)
		}
	case h.pending && !h.hit.Own:
		if more := lost - h.before; more < h.want[0] || more > h.want[1] {
			m.t.Fatalf("%d events are said to be lost, want %d to %d; hit %+v", more, h.want[0], h.want[1], h.hit)
		}
	}
	h.pending = false
}

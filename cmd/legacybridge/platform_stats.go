package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"legacybridge/publisher/localplatform"
)

// A statsPrinter prints what the embedded platform does, each second.
type statsPrinter struct {
	out  io.Writer
	json bool

	lines int // since the heading
	last  localplatform.Stats
	sent  map[string]uint64 // to each member
	at    time.Time
}

// statsLine is the promised form of `platform --stats --json`.
type statsLine struct {
	Time        time.Time    `json:"time"`
	Events      float64      `json:"events_per_s"`
	Commands    float64      `json:"commands_per_s"`
	Sent        float64      `json:"sent_per_s"`
	Connections int          `json:"connections"`
	Kept        int          `json:"kept"`
	Waiting     int          `json:"waiting"`
	Dropped     uint64       `json:"dropped"` // this and the next since the start
	Refused     uint64       `json:"refused"`
	Members     []memberLine `json:"members"`
	More        int          `json:"more_members,omitempty"`
}

type memberLine struct {
	Member    string  `json:"member"`
	Client    string  `json:"client"`
	Connected bool    `json:"connected"`
	Rate      float64 `json:"sent_per_s"`
	Sent      uint64  `json:"sent"`
	Unacked   int     `json:"unacknowledged"`
	Waiting   int     `json:"waiting"`
}

const (
	headingEvery = 20 // lines: one is always on the screen
	maxOnScreen  = 40 // members; --json has more
)

// run prints until ended is closed.
func (p *statsPrinter) run(stats func() localplatform.Stats, ended <-chan struct{}) {
	p.at = time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			p.print(now, stats())
		case <-ended:
			return
		}
	}
}

func (p *statsPrinter) print(now time.Time, s localplatform.Stats) {
	spent := now.Sub(p.at).Seconds()
	if spent <= 0 {
		return
	}
	rate := func(n, before uint64) float64 { return math.Round(float64(n-before)/spent*10) / 10 }
	line := statsLine{Time: now.UTC(), Events: rate(s.Events, p.last.Events), Commands: rate(s.Commands, p.last.Commands), Sent: rate(s.Sent, p.last.Sent),
		Connections: s.Connections, Kept: s.Kept, Waiting: s.Waiting, Dropped: s.Dropped, Refused: s.Refused, Members: []memberLine{}, More: s.MoreMembers}
	sent := map[string]uint64{}
	for _, m := range s.Members {
		before := p.sent[m.Name]
		if before > m.Sent { // another one of this name
			before = 0
		}
		sent[m.Name] = m.Sent
		line.Members = append(line.Members, memberLine{m.Name, m.Client, m.Connected, rate(m.Sent, before), m.Sent, m.Unacked, m.Waiting})
	}
	p.last, p.sent, p.at = s, sent, now
	if p.json {
		_ = json.NewEncoder(p.out).Encode(line) // a reader that has gone is noticed by the signal
		return
	}
	p.table(line)
}

func (p *statsPrinter) table(l statsLine) {
	if p.lines == 0 {
		fmt.Fprintln(p.out, "    time  events/s  commands/s    sent/s  connections    kept  waiting  dropped  refused")
	}
	fmt.Fprintf(p.out, "%s %9.0f %11.0f %9.0f %12d %7d %8d %8d %8d\n", l.Time.Local().Format(time.TimeOnly), l.Events, l.Commands, l.Sent,
		l.Connections, l.Kept, l.Waiting, l.Dropped, l.Refused)
	p.lines++
	for i, m := range l.Members {
		if i == maxOnScreen {
			fmt.Fprintf(p.out, "          and %d members more\n", len(l.Members)-i+l.More)
			break
		}
		state := ""
		if !m.Connected {
			state = "  away"
		}
		fmt.Fprintf(p.out, "          %-32s %8.0f/s  sent %9d  unacknowledged %5d  waiting %5d%s\n", m.Member, m.Rate, m.Sent, m.Unacked, m.Waiting, state)
		p.lines++
	}
	if p.lines >= headingEvery {
		p.lines = 0
	}
}

package csvfile

import (
	"time"

	"legacybridge/adapters"
)

// A status is what the link's State is made of. It lives as long as the Source.
type status struct {
	report func(adapters.State)
	state  adapters.State
	sent   time.Time
	streak int // bad rows since the last good one
}

const garbledAfter = 20 // bad rows without a good one

// is reports a condition if it is a new one.
func (s *status) is(h adapters.Health, code, why string) {
	if s.state.Health == h && s.state.Code == code && s.state.Why == why {
		return
	}
	if s.state.Health != h {
		s.state.Since = time.Now()
	}
	s.state.Health, s.state.Code, s.state.Why = h, code, why
	s.send()
}

// count adds what was stored.
func (s *status) count(good, bad uint64) {
	s.state.Counts.Frames += good
	s.state.Counts.Bad += bad
	if good > 0 {
		s.streak = 0
	} else if s.streak < garbledAfter {
		s.streak += int(min(bad, garbledAfter))
	}
	if time.Since(s.sent) >= time.Second {
		s.send()
	}
}

// found ends the conditions of a file that was not there or could not be opened.
func (s *status) found() {
	switch s.state.Code {
	case "CSV011", "CSV012", "CSV013":
		if s.state.Counts.Frames == 0 {
			s.is(adapters.Starting, "", "")
			return
		}
		s.is(adapters.Up, "", "")
	}
}

func (s *status) send() {
	s.sent = time.Now()
	if s.report != nil {
		s.report(s.state)
	}
}

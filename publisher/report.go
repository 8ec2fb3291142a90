package publisher

import (
	"context"
	"log/slog"
	"time"
)

// reporter tells how the connection is doing: the whole state to whoever asked for it, and log lines of which a
// repeated one is written once in a while, with how often it was left out.
type reporter struct {
	log    *slog.Logger
	report func(State)
	t      timing
	state  State

	reported time.Time
	said     map[string]*line
}

// line is a log line that may repeat.
type line struct {
	at      time.Time // when it was written
	missing int       // how often it was not, since
}

// manyLines bounds what is remembered of log lines.
const manyLines = 1000

// say writes a log line, unless one with the same code and subject was written a short while ago.
func (r *reporter) say(level slog.Level, code, subject, msg string, args ...any) {
	r.remind(r.t.fold, level, code, subject, msg, args...)
}

// remind writes a log line, unless it was written within the time given.
func (r *reporter) remind(fold time.Duration, level slog.Level, code, subject, msg string, args ...any) {
	if !r.log.Enabled(context.Background(), level) {
		return
	}
	now := time.Now()
	key := code + msg + subject
	before := r.said[key]
	if before != nil && now.Sub(before.at) < fold {
		before.missing++
		return
	}
	if r.said == nil || len(r.said) >= manyLines {
		r.said = map[string]*line{}
	}
	r.said[key] = &line{at: now}
	if code != "" {
		args = append(args, "code", code)
	}
	if before != nil && before.missing > 0 {
		args = append(args, "repeated", before.missing)
	}
	r.log.Log(context.Background(), level, msg, args...)
}

// forget lets a line be written at once the next time.
func (r *reporter) forget(code, subject, msg string) { delete(r.said, code+msg+subject) }

func (r *reporter) connected(s *session) {
	r.state.Connected, r.state.Server, r.state.Since, r.state.CertEnds = true, s.server.addr, time.Now(), s.ends
	r.state.Code, r.state.Why = "", ""
	r.tell()
}

func (r *reporter) disconnected(code, why string) {
	if r.state.Connected || r.state.Since.IsZero() {
		r.state.Since = time.Now()
	}
	r.state.Connected, r.state.Code, r.state.Why = false, code, why
	r.tell()
}

// progress counts acknowledged events; it is told now and then, and when nothing is under way.
func (r *reporter) progress(now time.Time, events int, rest bool) {
	r.state.Acked += uint64(events)
	if rest || now.Sub(r.reported) >= r.t.report {
		r.tell()
	}
}

func (r *reporter) tell() {
	r.reported = time.Now()
	if r.report != nil {
		r.report(r.state)
	}
}

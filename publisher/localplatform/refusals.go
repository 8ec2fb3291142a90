package localplatform

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"legacybridge/publisher/wiotp"
)

// foldFor is how long repeats of a logged refusal are only counted: a client that tries once a second makes one line
// a minute.
const foldFor = time.Minute

// maxFolded bounds the kinds of refusals remembered, and with it the lines a minute that strangers can provoke. A kind
// is a rule and a client or address.
const maxFolded = 200

// refusals logs each kind of refusal at once and then its repeats once a minute.
type refusals struct {
	log *slog.Logger

	mu     sync.Mutex
	kinds  map[kind]*folded
	others int
}

type kind struct{ rule, id, detail string }

type folded struct {
	level slog.Level
	msg   string
	attrs []any
	n     int  // repeats not logged yet
	fresh bool // seen since the last report
}

// A who is the other side, as far as it is known.
type who struct {
	id   string // client id, "" before the login
	addr string // host

	crowd bool // one of many refused ones of its address: folded with them
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, kinds: map[kind]*folded{}}
}

// add logs r, or counts it if the same client broke the same rule within a minute.
func (f *refusals) add(w who, r *wiotp.Refusal) {
	name, detail := w.id, ""
	if name == "" || w.crowd {
		name = w.addr
	}
	if r.Rule == ruleUnregistered { // each device is news
		detail = r.Why
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.note(kind{r.Rule, name, detail})
	if e == nil {
		return
	}
	e.level, e.msg = slog.LevelWarn, "connection closed"
	e.attrs = []any{"rule", r.Rule, "code", int(r.Code), "id", w.id, "addr", w.addr, "err", cutText(r.Why)}
	if r.Connack != 0 {
		e.msg, e.attrs = "login refused", append(e.attrs, "connack", int(r.Connack))
	}
	f.say(e)
}

// slowed tells that an address is served slowly from now on.
func (f *refusals) slowed(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.note(kind{"slowdown", addr, "begins"})
	if e == nil {
		return
	}
	e.level, e.msg = slog.LevelWarn, "many wrong logins within a minute, the address is served slowly until it has been quiet for one"
	e.attrs = []any{"rule", "slowdown", "code", int(wiotp.AuthDelayed), "addr", addr}
	f.say(e)
}

// silent counts a connection that ended before its login. It has no line of its own, only one a minute per address. One
// that speaks TLS to a port without it, or the reverse, has: someone looks for the reason.
func (f *refusals) silent(addr string, r *wiotp.Refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.note(kind{r.Rule, addr, ""})
	if e == nil {
		return
	}
	e.level, e.msg, e.n = slog.LevelInfo, "connections without a login", 1
	e.attrs = []any{"rule", r.Rule, "code", int(r.Code), "addr", addr, "err", cutText(r.Why)}
	if r.Rule == ruleTLS {
		e.level, e.n = slog.LevelWarn, 0
		f.say(e)
	}
}

// request logs an HTTP request that was turned down.
func (f *refusals) request(addr string, status int, r *wiotp.Refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.note(kind{r.Rule, addr, ""})
	if e == nil {
		return
	}
	e.level, e.msg = slog.LevelWarn, "HTTP request refused"
	e.attrs = []any{"rule", r.Rule, "code", int(r.Code), "status", status, "addr", addr, "err", r.Why}
	f.say(e)
}

// lost counts messages that a subscriber does not get.
func (f *refusals) lost(w who, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.note(kind{"buffer", w.id, ""})
	if e == nil {
		if e := f.kinds[kind{"buffer", w.id, ""}]; e != nil {
			e.n += n - 1
		}
		return
	}
	e.level, e.msg, e.attrs = slog.LevelWarn, "subscriber too slow or away too long, oldest messages dropped", []any{"rule", "buffer", "id", w.id, "addr", w.addr}
	f.say(e)
	e.n = n - 1
}

// maxText bounds what a client can put into a line: topics and filters have up to 64 KiB.
const maxText = 512

func cutText(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// note counts k. It returns an empty entry to fill if k is new.
func (f *refusals) note(k kind) *folded {
	if e, ok := f.kinds[k]; ok {
		e.n++
		e.fresh = true
		return nil
	}
	if len(f.kinds) >= maxFolded {
		f.others++
		return nil
	}
	e := &folded{fresh: true}
	f.kinds[k] = e
	return e
}

// say logs under the lock, so that a first line is never overtaken by its repeats.
func (f *refusals) say(e *folded, more ...any) {
	f.log.Log(context.Background(), e.level, e.msg, append(e.attrs[:len(e.attrs):len(e.attrs)], more...)...)
}

// run reports repeats every minute, and what is left when ctx is done.
func (f *refusals) run(ctx context.Context) {
	tick := time.NewTicker(foldFor)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.report()
		case <-ctx.Done():
			f.report()
			return
		}
	}
}

func (f *refusals) report() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, e := range f.kinds {
		if e.n > 0 {
			f.say(e, "n", e.n)
		}
		if !e.fresh {
			delete(f.kinds, k)
		}
		e.n, e.fresh = 0, false
	}
	if f.others > 0 {
		f.log.Warn("more refusals of other clients", "n", f.others)
		f.others = 0
	}
}

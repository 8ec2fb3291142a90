package localplatform

import (
	"errors"
	"sync"
	"syscall"
	"time"
)

// SetLoginWait shortens the wait for a login, so that a test need not last as long.
func (p *Platform) SetLoginWait(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loginWait = d
}

// Limits of connections and buffers, for the tests that reach them.
const (
	MaxWaiting  = maxWaiting
	MaxSessions = maxSessions
	MaxBehind   = maxBehind
	MaxHTTP     = maxHTTP
	MaxQuick    = maxQuick
	MaxKept     = maxKept
	MaxLarge    = maxLarge
	MaxUnacked  = maxUnacked
	MaxHeldFree = maxHeldFree
)

// FailDisk makes every later fsync of the store fail, and writes something to sync.
func (p *Platform) FailDisk() {
	d := &disk{syncErr: syscall.EIO}
	p.journal.fileMu.Lock()
	p.journal.f = d.file(p.journal.f)
	p.journal.fileMu.Unlock()
	_, _ = p.registry.adopt("late", "comer", "")
}

// Register registers a device or gateway with a token.
func (p *Platform) Register(typ, id, token string, gateway bool) error {
	t := &deviceType{ID: typ, Class: classDevice}
	if gateway {
		t.Class = classGateway
	}
	if _, err := p.registry.createType(t); err != nil && !errors.Is(err, errExists) {
		return err
	}
	d := &device{Type: typ, ID: id}
	d.setToken(token)
	_, err := p.registry.createDevice(d)
	return err
}

// Expire is what happens as time passes.
func (p *Platform) Expire(now time.Time) { p.hub.expire(now) }

// Keepalive is what holds for a client that is connected.
func (p *Platform) Keepalive(id string) time.Duration {
	p.hub.lock()
	defer p.hub.unlock()
	for _, s := range p.hub.sessions {
		if s.id.String() == id && s.conn != nil {
			return s.conn.keepalive
		}
	}
	return -1
}

// Compact rewrites the journal now.
func (p *Platform) Compact() error { return p.journal.compact(p.snapshot) }

// HoldDisk makes the disk stand still until release is called.
func (p *Platform) HoldDisk() (release func()) {
	p.journal.fileMu.Lock()
	return sync.OnceFunc(p.journal.fileMu.Unlock)
}

// Slowdown is how long the next login from host has to wait.
func (p *Platform) Slowdown(host string) time.Duration { return p.slow.delay(addressOf(host)) }

// WrongLogin is one from host.
func (p *Platform) WrongLogin(host string) { p.wrongLogin(host, addressOf(host)) }

// Forgive forgets wrong logins.
func (p *Platform) Forgive() {
	p.slow.mu.Lock()
	defer p.slow.mu.Unlock()
	clear(p.slow.tries)
}

// SetPatience makes publishers wait so long for subscribers: for tests that must hold on a machine with much else to do.
func (p *Platform) SetPatience(d time.Duration) {
	p.hub.lock()
	defer p.hub.unlock()
	p.hub.patience = patience{d, d, d, d}
}

// Held is the bytes of messages of the organisation and of Quickstart.
func (p *Platform) Held() (org, quick int) {
	p.hub.lock()
	defer p.hub.unlock()
	return p.hub.held, p.hub.heldFree
}

// LimitHeld lowers the bound on all messages of the organisation.
func (p *Platform) LimitHeld(bytes int) {
	p.hub.lock()
	defer p.hub.unlock()
	p.hub.most = bytes
}

// ForgetRefusals makes the next refusal a line again.
func (p *Platform) ForgetRefusals() {
	p.refusals.mu.Lock()
	defer p.refusals.mu.Unlock()
	clear(p.refusals.kinds)
}

// LargeLogins is how many are being read.
func (p *Platform) LargeLogins() int { return len(p.large) }

package localplatform

import (
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
)

// FailDisk makes every later fsync of the store fail, and writes something to sync.
func (p *Platform) FailDisk() {
	d := &disk{syncErr: syscall.EIO}
	p.journal.fileMu.Lock()
	p.journal.f = d.file(p.journal.f)
	p.journal.fileMu.Unlock()
	_, _ = p.registry.adopt("late", "comer", "")
}

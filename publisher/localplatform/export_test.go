package localplatform

import "time"

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

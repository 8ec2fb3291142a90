package localplatform

import (
	"context"
	"sync"

	"legacybridge/publisher/wiotp"
)

// An acker sends the answers that promise something: only after the record behind the promise is on disk. One
// goroutine does it for all connections, so that many promises share one fsync, and each client gets its answers in
// their order.
type acker struct {
	journal *journal

	mu   sync.Mutex
	due  []promise
	wake chan struct{}
}

type promise struct {
	c      *conn
	record uint64
	answer []byte
}

func newAcker() *acker { return &acker{wake: make(chan struct{}, 1)} }

// promise sends answer to c once record is durable; 0 waits for none but the answers before it.
func (a *acker) promise(c *conn, record uint64, answer []byte) {
	if record == 0 && !c.owes() { // nobody but the reader of c makes promises
		c.send(answer)
		return
	}
	c.owe()
	a.mu.Lock()
	a.due = append(a.due, promise{c, record, answer})
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run keeps promises until ctx is done.
func (a *acker) run(ctx context.Context) {
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return
		}
		a.mu.Lock()
		due := a.due
		a.due = nil
		a.mu.Unlock()
		last := uint64(0)
		for _, p := range due {
			last = max(last, p.record)
		}
		if err := a.journal.wait(ctx, last); err != nil {
			broken := &wiotp.Refusal{Rule: "store", Code: wiotp.ServerProblem, Why: "the platform cannot keep messages: " + err.Error()}
			for _, p := range due { // never acknowledged, so their publishers send again
				p.c.end(broken)
			}
			continue
		}
		for _, p := range due {
			p.c.pay(p.answer)
		}
	}
}

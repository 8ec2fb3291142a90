package publisher

import (
	"context"
	"fmt"
	"sync"
	"time"

	"legacybridge/publisher/wiotp"
)

const (
	inquiryTime = 10 * time.Minute // without a drop, nobody listens for reasons any more
	maxUntold   = 2                // drops without a reason, while we listened: this server does not tell
)

// An inquiry finds out why the platform closes our connection: from the first drop on a further session hears the
// reasons, until there was none for a while. The zero value never asks. It is Run's.
type inquiry struct {
	cfg    Config
	dial   dialer
	untold int

	reasons   *reasons // nil: nobody listens
	stop      context.CancelFunc
	listening sync.WaitGroup
	until     time.Time
}

// begins says that a session begins.
func (q *inquiry) begins(ctx context.Context, now time.Time) {
	if q.reasons == nil {
		return
	}
	q.reasons.forget()
	if now.After(q.until) {
		q.close()
	} else if over, refused := q.reasons.ended(); refused {
		q.untold = maxUntold
		q.close()
	} else if over { // the server was away when we began to listen, and is back
		q.close()
		q.listen(ctx)
	}
}

// why the server closed the connection just now, if it says so. From now on we listen.
func (q *inquiry) why(ctx context.Context) (code wiotp.CloseCode, known bool) {
	if q.reasons == nil {
		q.listen(ctx)
		return 0, false
	}
	q.until = time.Now().Add(inquiryTime)
	if !q.reasons.hears() {
		return 0, false // its own connection has ended with ours
	}
	if code, known = q.reasons.why(ctx); known {
		q.untold = 0
	} else if q.untold++; q.untold >= maxUntold {
		q.close()
	}
	return code, known
}

func (q *inquiry) listen(ctx context.Context) {
	if q.untold >= maxUntold {
		return
	}
	if q.reasons = newReasons(q.cfg); q.reasons == nil {
		return
	}
	q.reasons.dial = q.dial
	q.until = time.Now().Add(inquiryTime)
	ctx, q.stop = context.WithCancel(ctx)
	q.listening.Go(func() { q.reasons.listen(ctx) })
}

func (q *inquiry) close() {
	if q.reasons != nil {
		q.stop()
		q.listening.Wait()
		q.reasons = nil
	}
}

// inquire narrows down what a drop means by the platform's own reason. Whether the head is to blame stays the breaker's to
// decide, for 180 and 276 can mean one device or the whole key; but a reason that has nothing to do with what was
// sent blames nothing. rival says that another client has our id.
func (p *Publisher) inquire(ctx context.Context, end *drop, addr string) (rival bool) {
	if !end.byPeer {
		return false
	}
	code, known := p.inquiry.why(ctx)
	if !known {
		return false
	}
	switch code.Advice() {
	case wiotp.NotThis, wiotp.Configure:
	default:
		end.byPeer = false
	}
	end.code = code
	end.cause = &Failure{Code: codeClosed, Server: addr, Why: fmt.Sprintf("the platform closed the connection: %v: %v", code, code.Advice())}
	return code == wiotp.ClientIDReused
}

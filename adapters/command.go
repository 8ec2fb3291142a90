package adapters

import (
	"context"
	"errors"
	"time"
)

// An Order is one write for one device, checked by the device's rules before it came here.
type Order struct {
	Device  string
	Command string
	Value   string // registers and coils: a number, "true" or "false"; lines: the text to send
	// Veto is asked by the owner of the link right before the first byte goes out, for the order may have waited for its
	// turn. A code other than "" says that it must not be written any more, and why. nil: it may.
	Veto func() (code, why string)
}

// Vetoed is the answer to an order that must not be written any more, and whether it is one.
func (o Order) Vetoed() (Answer, bool) {
	if o.Veto == nil {
		return Answer{}, false
	}
	code, why := o.Veto()
	return Answer{Code: code, Why: why}, code != ""
}

// An Outcome is what is known of a write. The zero value is the safe one to forget: nothing was written.
type Outcome byte

const (
	NotWritten Outcome = iota // nothing was sent, or the equipment has said that it took nothing
	Written                   // the equipment has confirmed it, or takes it without a word
	Unknown                   // it was sent, and what became of it nobody has said: it must not be repeated
	Denied                    // it was sent, and the answer is not the one expected: it has failed, if not without effect
)

// An Answer is what became of an order.
type Answer struct {
	Outcome Outcome
	Said    string    // what the equipment said, as it came; may be empty
	Code    string    // unless Written
	Why     string    // one sentence for a technician, unless Written
	At      time.Time // when it went out on the wire; zero if it did not
}

// Codes of answers.
const (
	CodeNotSent  = "CMD015" // link down, busy for too long, or no such command
	CodeRefused  = "CMD016" // the equipment answered that it does not, or otherwise than expected
	CodeNoAnswer = "CMD017" // sent, and what became of it is not known
)

// A Writer is a source that also writes: by the goroutine that owns the link, between two polls, over the connection
// that it reads with. Both methods may be called concurrently, also while Run does not run; they wait for their turn
// until ctx is done. An order is sent at most once, whatever happens.
type Writer interface {
	Source
	// Write carries out one order. Once it has begun it goes on when ctx is done, until the equipment has
	// answered or its timeout is over.
	Write(ctx context.Context, o Order) Answer
	// Read brings a reading of the device that was taken after the call, with the named point if the equipment gives
	// it. It is not put into the sink.
	Read(ctx context.Context, device, point string) (Reading, error)
}

// maxJobs is how many callers may wait for one link.
const maxJobs = 16

// Why a job was not done.
var (
	errCrowded = errors.New("too many commands wait for this link")
	errNoTurn  = errors.New("it is down or busy, and the turn did not come in time")
	errGone    = errors.New("whoever wanted it has gone, or the service is stopping")
)

func whyGone(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errNoTurn
	}
	return errGone
}

// A Desk hands jobs to the goroutine that owns a link. The owner looks at Jobs between two polls and calls what comes.
type Desk struct{ jobs chan *job }

// NewDesk is ready to be used.
func NewDesk() *Desk { return &Desk{jobs: make(chan *job, maxJobs)} }

type job struct {
	do    func()
	claim chan struct{} // holds one token: who takes it decides whether the job is done
	done  chan struct{}
}

// Do has do called by the owner and returns when that is over. If ctx is done before the owner has begun, do is never
// called and the error says so.
func (d *Desk) Do(ctx context.Context, do func()) error {
	j := &job{do: do, claim: make(chan struct{}, 1), done: make(chan struct{})}
	j.claim <- struct{}{}
	select {
	case d.jobs <- j:
	case <-ctx.Done():
		return whyGone(ctx)
	default:
		return errCrowded
	}
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-j.claim:
		return whyGone(ctx)
	default: // the owner has begun
		<-j.done
		return nil
	}
}

// Waiting is what the owner selects on while it has nothing else to do. What it receives, it must give to Serve.
func (d *Desk) Waiting() <-chan *job { return d.jobs }

// Serve does one job, unless its caller has gone.
func (d *Desk) Serve(j *job) {
	select {
	case <-j.claim:
		j.do()
		close(j.done)
	default:
	}
}

// ServeOne does the job that waits longest, if there is one.
func (d *Desk) ServeOne() bool {
	select {
	case j := <-d.jobs:
		d.Serve(j)
		return true
	default:
		return false
	}
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"legacybridge/adapters"
	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// DownlinkConfig is what the commands of our devices need.
type DownlinkConfig struct {
	Platform Config // with a client id of its own
	Topics   *CommandTopics
	Links    []CommandLink
	Queue    *queue.Queue
	Gate     *Gate
	Audit    *queue.Audit
	Log      *slog.Logger
}

// A CommandLink is a link of which devices take commands.
type CommandLink struct {
	Name    string
	Rules   *mapping.Commander
	Devices []string
	Stale   map[string]time.Duration // by device: older readings say nothing about an interlock
}

const (
	// maxWaiting is how many accepted commands may wait for one link. A platform that sends faster than a line of 9600 baud
	// takes is told so at once, not after a minute.
	maxWaiting = 16
	// remember is how long a command may take to be on disk. Beyond it, it is refused.
	remember = 2 * time.Second
	// writeWithin is how long an accepted command may wait for its link. It is never carried out later.
	writeWithin = 10 * time.Second
	// stopWrites is how long what became of commands may still be stored when the service stops.
	stopWrites = 2 * time.Second
	// usualStale is for devices that talk when they like.
	usualStale = time.Minute
)

// A Downlink receives the commands of our devices, in a session of its own, and has them carried out: at most once, the
// reverse of events. A command is acknowledged to the server once it is refused, or accepted and on disk; only then it is
// written. What was under way when the process died is reported as unknown at the next start and never repeated.
//
// Run is one goroutine for the session and one for each device, which have ended when it returns.
type Downlink struct {
	cfg     DownlinkConfig
	log     *slog.Logger
	watch   *watcher
	lanes   map[string]*lane // by device
	refusal bucket           // what is said of refusals
	failure bucket           // of accepted ones that went otherwise
	success bucket           // and of what went well: the audit has it all
	started time.Time

	mu      sync.Mutex
	last    map[[2]string]time.Time         // when a command was last accepted by this process; no step of the clock touches it
	wrote   map[[2]string]time.Time         // when it last went out to the equipment: later, where it had to wait
	locks   map[[2]string]mapping.Condition // by device and command
	waiting map[string]int                  // accepted commands by link
	counts  map[CommandCount]uint64
}

// A CommandCount is what became of a command: done, refused, failed or unknown. Command is "" where the device has none of
// that name.
type CommandCount struct{ Device, Command, Result string }

// A lane is the commands of one device, in their order.
type lane struct {
	link   *CommandLink
	writer adapters.Writer
	orders chan *taken
	newer  chan struct{} // another order came; capacity 1
}

// A taken is an accepted command.
type taken struct {
	mapping.Order
	key   queue.CommandKey
	topic string
	rule  mapping.Command
	at    time.Time // when it came

	accepted time.Time // as the queue has it; zero: it was not
}

// SettleCommands reports the commands that were under way when the process before died, and takes none. Run does so too.
func SettleCommands(ctx context.Context, cfg DownlinkConfig) { newDownlink(cfg).settle(ctx) }

// NewDownlink checks cfg. Every device needs its Attach before Run.
func NewDownlink(cfg DownlinkConfig) (*Downlink, error) {
	d := newDownlink(cfg)
	platform := d.cfg.Platform
	platform.ackLate, platform.Log = true, d.log
	var err error
	if d.watch, err = newWatcher(platform, cfg.Topics.Filters(), d.receive); err != nil {
		return nil, err
	}
	d.watch.doing = "waiting for commands"
	return d, nil
}

func newDownlink(cfg DownlinkConfig) *Downlink {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := &Downlink{cfg: cfg, log: cfg.Log, lanes: map[string]*lane{}, locks: map[[2]string]mapping.Condition{}, waiting: map[string]int{},
		counts: map[CommandCount]uint64{}, refusal: bucket{most: 60, every: time.Second}, failure: bucket{most: 60, every: time.Second},
		success: bucket{most: 20, every: 5 * time.Minute},
		started: time.Now(), last: map[[2]string]time.Time{}, wrote: map[[2]string]time.Time{}}
	for i := range cfg.Links {
		for _, device := range cfg.Links[i].Devices {
			d.lanes[device] = &lane{link: &cfg.Links[i], orders: make(chan *taken, maxWaiting), newer: make(chan struct{}, 1)}
		}
	}
	return d
}

// Attach says who writes to the devices of a link.
func (d *Downlink) Attach(link string, w adapters.Writer) {
	if d == nil {
		return
	}
	for _, l := range d.lanes {
		if l.link.Name == link {
			l.writer = w
		}
	}
}

// Note takes in how interlocks stand. It may be called concurrently, also of a nil Downlink. A reading whose own time lies
// ahead is of now: else a device with a fast clock would be believed for long after it fell silent.
func (d *Downlink) Note(conditions []mapping.Condition) {
	if d == nil || len(conditions) == 0 {
		return
	}
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range conditions {
		if c.Time.After(now) {
			c.Time = now
		}
		d.locks[[2]string{c.Device, c.Command}] = c
	}
}

// Counts is what became of commands since the start.
func (d *Downlink) Counts() map[CommandCount]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make(map[CommandCount]uint64, len(d.counts))
	for k, n := range d.counts {
		all[k] = n
	}
	return all
}

// Run takes commands until ctx is done, and closes the audit log. It ends at once then, but for what is on the wire.
func (d *Downlink) Run(ctx context.Context) {
	defer func() { _ = d.cfg.Audit.Close() }() // every line in it is synced
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopWrites, cancel) })
	defer stop()
	d.settle(late)
	var working sync.WaitGroup
	for _, l := range d.lanes {
		working.Go(func() {
			for o := range l.orders {
				d.carryOut(ctx, late, l, o)
			}
		})
	}
	d.listen(ctx)
	for _, l := range d.lanes {
		close(l.orders)
	}
	working.Wait()
}

// listen keeps a session open. Nothing is kept for us while there is none: an old command is worse than none.
func (d *Downlink) listen(ctx context.Context) {
	w := d.watch
	wait := retry{Backoff: w.cfg.Backoff}
	for ctx.Err() == nil {
		var failure *Failure
		for _, srv := range w.servers {
			began := time.Now()
			subscribed, err := w.session(ctx, srv)
			if ctx.Err() != nil {
				return
			}
			failure = asFailure(err, srv)
			w.disconnected(failure.Code, failure.Error())
			if subscribed {
				if time.Since(began) > w.cfg.Backoff.Max {
					wait.reset()
				}
				break
			}
		}
		pause := wait.next()
		w.say(slog.LevelWarn, failure.Code, failure.Server+failure.Why, "no commands are received, will retry", "err", failure.Error(), "dur", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// receive decides about one message. It returns when the command is refused, or accepted and on disk; only then the
// server is told that it came.
func (d *Downlink) receive(m Message) {
	if m.ack != nil {
		defer m.ack()
	}
	device, name, ok := d.cfg.Topics.Find(m.Topic)
	l := d.lanes[device]
	if !ok || l == nil {
		return
	}
	now := time.Now()
	order, refusal := l.link.Rules.Decide(device, name, m.Payload, mapping.Facts{
		Allowed: true, Retained: m.Retained, Dup: m.Dup, Now: now, Last: d.lastWrite(device, name), Interlock: d.interlock(l, device, name, now),
		Repeated: func(id string) bool { return d.cfg.Queue.KnowsCommand(queue.KeyOf(device, id), now) },
	})
	o := &taken{Order: order, topic: m.Topic, at: now}
	if !m.Time.IsZero() {
		o.at = m.Time
	}
	if refusal != nil {
		o.ID = refusal.ID
		d.refuse(l, o, refusal.Code, refusal.Why)
		return
	}
	o.rule, _ = l.link.Rules.Rule(device, name)
	if code, why := d.waited(o, now); code != "" { // behind others that a slow disk held up
		d.refuse(l, o, code, why)
		return
	}
	if !d.enter(l.link.Name) {
		d.refuse(l, o, codeCrowded, fmt.Sprintf("%d commands wait for %s already", maxWaiting, l.link.Name))
		return
	}
	o.key = queue.KeyOf(device, o.ID)
	ctx, cancel := context.WithTimeout(context.Background(), remember) // the queue's own stop ends it too
	defer cancel()
	err := d.cfg.Queue.AcceptCommand(ctx, queue.Command{Key: o.key, Device: device, Name: name, ID: o.ID, Topic: m.Topic, Args: o.Args, Value: o.Value, Time: now})
	if err != nil {
		d.leave(l.link.Name)
		code, why := codeNotKept, fmt.Sprintf("it could not be stored, so it is not carried out: %v", err)
		if errors.Is(err, queue.ErrManyCommands) {
			code, why = codeCrowded, err.Error()
		}
		d.refuse(l, o, code, why)
		return
	}
	o.accepted = now
	d.mu.Lock()
	d.last[[2]string{device, name}] = now
	d.mu.Unlock()
	l.orders <- o // there is room: enter has counted it
	poke(l.newer)
}

// lastWrite is when a command was last accepted. What a process before this one noted counts by the clock of that time: if
// it lies ahead, the clock was set back meanwhile, and it was no later than our start.
func (d *Downlink) lastWrite(device, name string) time.Time {
	d.mu.Lock()
	at, ok := d.last[[2]string{device, name}]
	d.mu.Unlock()
	if ok {
		return at
	}
	if at = d.cfg.Queue.LastCommand(device, name); at.After(d.started) {
		return d.started
	}
	return at
}

// interlock is how the condition of a command stands: what is old says nothing.
func (d *Downlink) interlock(l *lane, device, name string, now time.Time) mapping.Truth {
	limit := l.link.Stale[device]
	if limit == 0 {
		limit = usualStale
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.locks[[2]string{device, name}]
	if now.Sub(c.Time) > limit {
		return mapping.NotKnown
	}
	return c.State
}

// veto says why an accepted command must not be written at this moment, "" if it may: it has waited for its turn, and the
// world has not.
func (d *Downlink) veto(l *lane, o *taken) (code, why string) {
	now := time.Now()
	if code, why := d.waited(o, now); code != "" {
		return code, why
	}
	if o.rule.OnlyIf != "" && d.interlock(l, o.Device, o.Command, now) != mapping.True {
		return codeInterlock, "only_if is not met any more: " + o.rule.OnlyIf
	}
	d.mu.Lock()
	wrote, ok := d.wrote[[2]string{o.Device, o.Command}]
	d.mu.Unlock()
	if wait := o.rule.MinInterval - now.Sub(wrote); ok && wait > 0 {
		return codeTooSoon, fmt.Sprintf("the %s before had to wait, and was or may have been written less than %v ago: wait %v", o.Command, o.rule.MinInterval, wait.Round(time.Millisecond))
	}
	return "", ""
}

func (d *Downlink) waited(o *taken, now time.Time) (code, why string) {
	if waited := now.Sub(o.at); waited > mapping.Freshness {
		return adapters.CodeNotSent, fmt.Sprintf("it waited for %v behind others; it was not written", waited.Truncate(time.Second))
	}
	return "", ""
}

func (d *Downlink) enter(link string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting[link] >= maxWaiting {
		return false
	}
	d.waiting[link]++
	return true
}

func (d *Downlink) leave(link string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[link]--
}

// A bucket bounds what a flood costs: so many at once, then one each period.
type bucket struct {
	most  int
	every time.Duration

	mu   sync.Mutex
	used int
	at   time.Time
	left int // since the last one that passed
}

// pass says whether one more may pass, and how many did not since the last.
func (b *bucket) pass(now time.Time) (ok bool, left int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := int(now.Sub(b.at) / b.every); n > 0 || b.at.IsZero() {
		b.used, b.at = max(b.used-n, 0), now
	}
	if b.used >= b.most {
		b.left++
		return false, 0
	}
	b.used++
	left, b.left = b.left, 0
	return true, left
}

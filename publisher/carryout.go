package publisher

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"legacybridge/adapters"
	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// Codes of what becomes of commands here; those of the rules are package mapping's, those of equipment package adapters'.
const (
	codeTooSoon    = "CMD010" // of the rules: it waited, and they are not met any more
	codeInterlock  = "CMD011"
	codeCrowded    = "CMD013" // too many wait
	codeNotKept    = "CMD014" // it could not be stored
	codeUnverified = "CMD018" // written, and the read-back does not show it
	codeCutOff     = "CMD019" // under way when the service ended
)

// Results of commands, in audit, reply and counters.
const (
	resultDone    = "done"
	resultRefused = "refused" // nothing was written
	resultFailed  = "failed"  // written or sent, and not verified, or answered otherwise than expected
	resultUnknown = "unknown"
)

// way is where commands come from, for the audit.
const way = "platform"

const (
	// A read-back takes at most a tenth of the link's time, and looks at most ten times a second.
	lookShare, lookLeast = 9, 100 * time.Millisecond
)

// An end is what became of a command.
type end struct {
	result string
	code   string
	why    string
	answer adapters.Answer
	shows  string
}

// settle reports what a crash has cut off. Unless the audit log knows what became of it, nobody does, and it is not repeated.
func (d *Downlink) settle(ctx context.Context) {
	for _, c := range d.cfg.Queue.CommandsUnderWay() {
		o := &taken{Order: mapping.Order{Device: c.Device, Command: c.Name, ID: c.ID, Value: c.Value, Args: c.Args}, key: c.Key, topic: c.Topic, at: c.Time, accepted: c.Time}
		d.mu.Lock()
		d.wrote[[2]string{c.Device, c.Name}] = d.started // if it was, then right before the end at the latest
		d.mu.Unlock()
		if told, ok := d.cfg.Audit.Told(c.Device, c.Name, c.Time); ok { // it was over, but for this
			d.conclude(ctx, time.Now(), d.lanes[c.Device], o, end{result: told.Outcome, code: told.Code, why: told.Why})
			continue
		}
		d.finish(ctx, d.lanes[c.Device], o, end{result: resultUnknown, code: codeCutOff,
			why: fmt.Sprintf("the service ended while it was under way, accepted at %s: whether it was written is not known, and it is not repeated", c.Time.Format(time.RFC3339))})
	}
}

// carryOut writes one accepted command. late is done a little after ctx, for what must still be stored.
func (d *Downlink) carryOut(ctx, late context.Context, l *lane, o *taken) {
	defer d.leave(l.link.Name)
	d.finish(late, l, o, d.write(ctx, l, o))
}

func (d *Downlink) write(ctx context.Context, l *lane, o *taken) end {
	if ctx.Err() != nil {
		return end{result: resultRefused, code: adapters.CodeNotSent, why: "the service is stopping; it was not written"}
	}
	veto := func() (code, why string) { return d.veto(l, o) }
	if code, why := veto(); code != "" {
		return end{result: resultRefused, code: code, why: why}
	}
	limit, cancel := context.WithTimeout(ctx, writeWithin)
	a := l.writer.Write(limit, adapters.Order{Device: o.Device, Command: o.Command, Value: o.Value, Veto: veto})
	cancel()
	if a.Outcome != adapters.NotWritten || !a.At.IsZero() {
		d.mu.Lock()
		d.wrote[[2]string{o.Device, o.Command}] = time.Now()
		d.mu.Unlock()
	}
	e := end{answer: a, code: a.Code, why: a.Why}
	switch a.Outcome {
	case adapters.NotWritten:
		e.result = resultRefused
		return e
	case adapters.Unknown:
		e.result = resultUnknown
	case adapters.Denied:
		e.result = resultFailed
	case adapters.Written:
		e.result = resultDone
	}
	if o.rule.Verify.Point == "" {
		return e
	}
	met, shows, why := d.verify(ctx, l, o)
	e.shows = shows
	switch {
	case met: // also where the answer was lost: the equipment shows it
		e.result, e.code, e.why = resultDone, "", ""
	case a.Outcome == adapters.Written:
		e.result, e.code, e.why = resultFailed, codeUnverified, why
	}
	return e
}

// verify reads back until the point has the value. A newer command for the device ends it: it must not wait.
func (d *Downlink) verify(ctx context.Context, l *lane, o *taken) (met bool, shows, why string) {
	v := o.rule.Verify
	limit, cancel := context.WithTimeout(ctx, v.Within)
	defer cancel()
	why = fmt.Sprintf("it was written, but %s could not be read back within %v", v.Point, v.Within)
	select {
	case <-l.newer: // of this order itself
	default:
	}
	for {
		if len(l.orders) > 0 {
			return false, shows, fmt.Sprintf("it was written, but %s was not read back to the end: another command came", v.Point)
		}
		began := time.Now()
		r, err := l.look(limit, o.Device, v.Point)
		if err == nil {
			var known bool
			if met, shows, known = l.link.Rules.Verified(o.Order, r); met {
				return true, shows, ""
			}
			if known {
				why = fmt.Sprintf("it was written, but %s shows %s, not %s, after %v", v.Point, shows, o.Wanted(), v.Within)
			}
		}
		if limit.Err() != nil {
			break
		}
		pause := time.NewTimer(max(lookShare*time.Since(began), lookLeast))
		select {
		case <-pause.C:
		case <-l.newer:
		case <-limit.Done():
		}
		pause.Stop()
		if limit.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		why = fmt.Sprintf("it was written, but %s was not read back to the end: the service is stopping", v.Point)
	}
	return false, shows, why
}

// look reads back once. A link that is down, or a device that speaks once an hour, does not hold up a newer command.
func (l *lane) look(ctx context.Context, device, point string) (adapters.Reading, error) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-l.newer:
			cancel()
		case <-ctx.Done():
		}
	})
	r, err := l.writer.Read(ctx, device, point)
	cancel()
	watching.Wait()
	return r, err
}

// finish tells what became of an accepted command, and that it is not under way any more: audit first, then reply and
// memory in one write.
func (d *Downlink) finish(ctx context.Context, l *lane, o *taken, e end) {
	now := time.Now()
	d.tell(now, o, e, 0)
	d.conclude(ctx, now, l, o, e)
}

// conclude stores reply and end.
func (d *Downlink) conclude(ctx context.Context, now time.Time, l *lane, o *taken, e end) {
	d.count(o, e.result, true)
	link, reply := "", mapping.Output{}
	if l != nil {
		link = l.link.Name
		reply = d.cfg.Gate.Admit(l.link.Rules.Reply(now, result(o, e)))
	}
	if err := d.cfg.Queue.EndCommand(ctx, o.key, link, reply); err != nil {
		d.log.Error("what became of a command is not stored: it is reported as unknown at the next start", "device", o.Device, "command", o.Command, "id", o.ID, "err", err)
	}
}

// refuse tells that a command is not accepted. A flood of them costs neither the disk nor the audit its other lines.
func (d *Downlink) refuse(l *lane, o *taken, code, why string) {
	now := time.Now()
	e := end{result: resultRefused, code: code, why: why}
	rule, listed := l.link.Rules.Rule(o.Device, o.Command)
	d.count(o, resultRefused, listed)
	pass, left := d.refusal.pass(now)
	if !pass {
		return
	}
	d.tell(now, o, e, left)
	if rule.Reply == "" || d.cfg.Queue.Overfull() {
		return
	}
	reply := d.cfg.Gate.Admit(l.link.Rules.Reply(now, result(o, e)))
	ctx, cancel := context.WithTimeout(context.Background(), remember)
	defer cancel()
	// At once: it must not hold up the commands behind it for a linger. That nothing ends with it does no harm.
	if err := d.cfg.Queue.EndCommand(ctx, o.key, l.link.Name, reply); err != nil {
		d.log.Error("the reply to a refused command is not stored", "device", o.Device, "command", o.Command, "err", err)
	}
}

func result(o *taken, e end) mapping.Result {
	return mapping.Result{Device: o.Device, Command: o.Command, ID: o.ID, OK: e.result == resultDone, Outcome: e.result, Code: e.code, Error: e.why}
}

// tell writes the audit and the log.
func (d *Downlink) tell(now time.Time, o *taken, e end, left int) {
	err := d.cfg.Audit.Log(queue.Write{Time: now, Way: way, Topic: o.topic, Device: o.Device, Command: o.Command, ID: o.ID, Args: o.Args, Value: o.Value,
		Outcome: e.result, Answer: e.answer.Said, Shows: e.shows, Code: e.code, Why: e.why, Left: left, At: e.answer.At, Accepted: o.accepted})
	if err != nil {
		d.log.Error("a command is missing in the audit log", "device", o.Device, "command", o.Command, "value", o.Value, "result", e.result, "err", err)
	}
	level, quiet, args := slog.LevelInfo, (*bucket)(nil), []any{"device", o.Device, "name", clip(o.Command), "result", e.result}
	if o.ID != "" {
		args = append(args, "id", o.ID)
	}
	switch {
	case e.result == resultDone:
		quiet = &d.success
	case !o.accepted.IsZero():
		quiet = &d.failure
	}
	if e.result != resultDone {
		level, args = slog.LevelWarn, append(args, "err", e.why, "code", e.code)
	}
	if quiet != nil {
		var pass bool
		if pass, left = quiet.pass(now); !pass {
			level = slog.LevelDebug
		}
	}
	if left > 0 {
		args = append(args, "repeated", left)
	}
	d.log.Log(context.Background(), level, "command", args...)
}

func (d *Downlink) count(o *taken, result string, listed bool) {
	key := CommandCount{o.Device, o.Command, result}
	if !listed {
		key.Command = ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[key]++
}

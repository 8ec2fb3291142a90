package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// owner writes as the owner of a link does: it asks before the first byte.
func owner(before func(o adapters.Order)) func(context.Context, adapters.Order) adapters.Answer {
	return func(ctx context.Context, o adapters.Order) adapters.Answer {
		before(o)
		if a, no := o.Vetoed(); no {
			return a
		}
		return written(ctx, o)
	}
}

// An interlock that opens while the order waits for its link is not passed over.
func TestAnInterlockIsAskedAgainRightBeforeTheWrite(t *testing.T) {
	p := &pen{}
	c := newCommanded(t, t.TempDir(), p)
	stand := func(s mapping.Truth) {
		c.Note([]mapping.Condition{{Device: "fan", Command: "safe", State: s, Time: time.Now()}})
	}
	p.write = owner(func(adapters.Order) { stand(mapping.False) })
	stand(mapping.True)
	c.give("safe", `{"n":1,"id":"a"}`)
	c.await(`"id":"a"`, `"result":"refused"`, "CMD011", "not met any more")
	c.stop()
	if a := c.audit(); strings.Contains(a, `result="done"`) || strings.Contains(a, " sent=") {
		t.Errorf("audit:\n%s", a)
	}
}

// What the equipment's own clock says lies ahead is no fresher than now: when the device falls silent, it gets old.
func TestAClockAheadDoesNotKeepAnInterlockFresh(t *testing.T) {
	c := newCommanded(t, t.TempDir(), &pen{write: written})
	c.Note([]mapping.Condition{{Device: "fan", Command: "safe", State: mapping.True, Time: time.Now().Add(time.Hour)}})
	l := c.lanes["fan"]
	if got := c.interlock(l, "fan", "safe", time.Now()); got != mapping.True {
		t.Errorf("got %v at once, want it met", got)
	}
	if got := c.interlock(l, "fan", "safe", time.Now().Add(usualStale+time.Second)); got != mapping.NotKnown {
		t.Errorf("got %v after %v of silence, want it not known", got, usualStale)
	}
}

// min_interval is between two writes, not between two messages: the first may have waited for its link.
func TestTheIntervalIsBetweenTwoWrites(t *testing.T) {
	p := &pen{}
	p.write = owner(func(adapters.Order) {})
	c := newCommanded(t, t.TempDir(), p)
	c.give("slow", `{"n":1,"id":"a"}`)
	c.await(`"id":"a"`, `"result":"done"`)
	c.mu.Lock()
	c.last[[2]string{"fan", "slow"}] = time.Now().Add(-2 * time.Hour) // accepted long ago, and written just now
	c.mu.Unlock()
	c.give("slow", `{"n":2,"id":"b"}`)
	c.await(`"id":"b"`, `"result":"refused"`, "CMD010")
	if got := p.written(); len(got) != 1 {
		t.Errorf("written %v, want the first", got)
	}
}

// A message that waited in our own memory while the disk stood is as old as it is.
func TestAMessageThatWaitedHereIsNotWritten(t *testing.T) {
	p := &pen{write: written}
	c := newCommanded(t, t.TempDir(), p)
	c.receive(Message{Topic: "iot-2/type/drive/id/FAN-3/cmd/go/fmt/json", Payload: []byte(`{"n":1}`), Time: time.Now().Add(-mapping.Freshness - time.Second)})
	c.await(`"result":"refused"`, "CMD015", "it waited for 1m1s")
	if got := p.written(); len(got) != 0 {
		t.Errorf("written %v, want nothing", got)
	}
}

// A link that is down, or a device that speaks once an hour, answers no read-back: the next command does not wait for it.
func TestANewerCommandEndsAReadBackThatHangs(t *testing.T) {
	p := &pen{write: written}
	reading := make(chan struct{}, 100)
	p.read = func(ctx context.Context) (adapters.Reading, error) {
		reading <- struct{}{}
		<-ctx.Done()
		return adapters.Reading{}, ctx.Err()
	}
	c := newCommanded(t, t.TempDir(), p)
	began := time.Now()
	c.give("sure", `{"n":7,"id":"first"}`)
	<-reading
	c.give("go", `{"n":0,"id":"second"}`)
	c.await(`"id":"first"`, "another command came")
	c.await(`"id":"second"`, `"result":"done"`)
	if took, within := time.Since(began), 15*time.Second; took > within {
		t.Errorf("the second command waited for %v behind the read-back of the first", took)
	}
}

// An answer that expect does not know says neither that it was carried out nor that it was not: it has failed.
func TestAnUnexpectedAnswerIsAFailure(t *testing.T) {
	p := &pen{write: func(context.Context, adapters.Order) adapters.Answer {
		return adapters.Answer{Outcome: adapters.Denied, Said: "Z L", Code: adapters.CodeRefused, Why: "scale answered Z L", At: time.Now()}
	}}
	c := newCommanded(t, t.TempDir(), p)
	c.give("go", `{"n":1,"id":"a"}`)
	c.await(`"id":"a"`, `"ok":false`, `"result":"failed"`, "CMD016")
	c.stop()
	if a := c.audit(); !strings.Contains(a, `result="failed"`) || !strings.Contains(a, ` sent="`) || !strings.Contains(a, `answer="Z L"`) {
		t.Errorf("audit:\n%s", a)
	}
}

// A crash between the audit line and the reply: the reply says what the audit says, and the audit says it once.
func TestAReplyAgreesWithTheAuditAfterACrash(t *testing.T) {
	dir := t.TempDir()
	q, err := queue.Open(queue.Config{Path: filepath.Join(dir, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(dir, "dead")}})
	if err != nil {
		t.Fatal(err)
	}
	audit, err := queue.OpenAudit(nil, filepath.Join(dir, "writes.log"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	for i, end := range []end{{result: resultDone}, {result: resultFailed, code: codeUnverified, why: `speed shows "1"`}, {}} {
		c := queue.Command{Key: queue.KeyOf("fan", fmt.Sprint("c-", i)), Device: "fan", Name: "go", ID: fmt.Sprint("c-", i), Value: "5", Time: at.Add(time.Duration(i))}
		if err := q.AcceptCommand(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if end.result == "" {
			continue // the crash came before its line
		}
		hostile := fmt.Sprintf(` accepted="%s" `, at.Add(2).UTC().Format(time.RFC3339Nano)) // an id is the sender's text
		w := queue.Write{Time: at, Way: way, Device: "fan", Command: "go", ID: hostile, Outcome: end.result, Code: end.code, Why: end.why, Accepted: c.Time}
		if err := audit.Log(w); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(audit.Close(), q.Close()); err != nil {
		t.Fatal(err)
	}
	p := &pen{write: written}
	c := newCommanded(t, dir, p)
	c.await(`"id":"c-0"`, `"ok":true`, `"result":"done"`)
	c.await(`"id":"c-1"`, `"result":"failed"`, "CMD018", `speed shows \"1\"`)
	c.await(`"id":"c-2"`, `"result":"unknown"`, "CMD019")
	c.stop()
	if a := c.audit(); strings.Count(a, "\n") != 3 || len(p.written()) != 0 {
		t.Errorf("written %v, audit:\n%s", p.written(), a)
	}
}

// A flood of commands that are accepted and fail fills the audit log, which is bounded, and not the log of the service.
func TestAFloodOfFailuresDoesNotFillTheLog(t *testing.T) {
	p := &pen{write: func(context.Context, adapters.Order) adapters.Answer {
		return adapters.Answer{Outcome: adapters.Unknown, Code: adapters.CodeNoAnswer, Why: "it did not answer", At: time.Now()}
	}}
	c := newCommanded(t, t.TempDir(), p)
	var said strings.Builder
	c.log = slog.New(slog.NewTextHandler(&said, nil))
	const flood = 300
	began := time.Now()
	o := &taken{Order: mapping.Order{Device: "fan", Command: "go"}, accepted: time.Now()}
	for range flood {
		c.tell(time.Now(), o, end{result: resultUnknown, code: adapters.CodeNoAnswer, why: "it did not answer"}, 0)
	}
	most := 61 + int(time.Since(began)/time.Second)
	if got := strings.Count(said.String(), "\n"); got < 60 || got > most {
		t.Errorf("%d lines in the log for %d failures, want 60 to %d", got, flood, most)
	}
	if got := strings.Count(c.audit(), "\n"); got != flood {
		t.Errorf("%d lines in the audit log, want all %d", got, flood)
	}
}

// What a crash cut off may have been written right before it: the interval begins at the start, not when it was accepted.
func TestTheIntervalBeginsWithACrash(t *testing.T) {
	dir := t.TempDir()
	q, err := queue.Open(queue.Config{Path: filepath.Join(dir, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(dir, "dead")}})
	if err != nil {
		t.Fatal(err)
	}
	c := queue.Command{Key: queue.KeyOf("fan", "a"), Device: "fan", Name: "slow", ID: "a", Value: "5", Time: time.Now().Add(-2 * time.Hour)}
	if err := errors.Join(q.AcceptCommand(t.Context(), c), q.Close()); err != nil {
		t.Fatal(err)
	}
	p := &pen{}
	p.write = owner(func(adapters.Order) {})
	d := newCommanded(t, dir, p)
	d.await(`"id":"a"`, "CMD019")
	d.give("slow", `{"n":2,"id":"b"}`)
	d.await(`"id":"b"`, "CMD010", "may have been written")
	if got := p.written(); len(got) != 0 {
		t.Errorf("written %v, want nothing", got)
	}
}

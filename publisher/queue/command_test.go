package queue_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

func commandQueue(t *testing.T, dir string, fs queue.FS) *queue.Queue {
	t.Helper()
	q, err := queue.Open(queue.Config{Path: filepath.Join(dir, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(dir, "dead")}, Segment: 4096, FS: fs, Linger: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func command(id string, at time.Time) queue.Command {
	return queue.Command{Key: queue.KeyOf("fan", id), Device: "fan", Name: "set_speed", ID: id, Topic: "iot-2/type/drive/id/FAN-3/cmd/set_speed/fmt/json",
		Args: `{"percent":50}`, Value: "8192", Time: at.UTC().Truncate(0)}
}

func replies(n int) mapping.Output {
	return mapping.Output{Events: []mapping.Event{{Device: "fan", Type: "drive", ID: "FAN-3", Name: "done", Format: "json", Payload: fmt.Appendf(nil, `{"d":{"n":%d}}`, n), Time: time.Unix(1, 0).UTC()}}}
}

func TestCommandsAreRememberedOverARestart(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	q := commandQueue(t, dir, nil)
	for i := range 100 { // several segments
		c := command(fmt.Sprint("c-", i), now.Add(time.Duration(i)*time.Millisecond))
		if err := q.AcceptCommand(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if i%10 == 3 {
			continue // cut off
		}
		if err := q.EndCommand(t.Context(), c.Key, "bus", replies(i)); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 3 {
		var got, want []string
		for _, c := range q.CommandsUnderWay() {
			got = append(got, c.ID+c.Device+c.Name+c.Topic+c.Args+c.Value+c.Time.Format(time.RFC3339Nano))
		}
		for i := 3; i < 100; i += 10 {
			c := command(fmt.Sprint("c-", i), now.Add(time.Duration(i)*time.Millisecond))
			want = append(want, c.ID+c.Device+c.Name+c.Topic+c.Args+c.Value+c.Time.Format(time.RFC3339Nano))
		}
		if !slices.Equal(got, want) {
			t.Errorf("round %d: under way %q, want %q", round, got, want)
		}
		if !q.KnowsCommand(queue.KeyOf("fan", "c-0"), now) || q.KnowsCommand(queue.KeyOf("scale", "c-0"), now) || q.KnowsCommand(queue.KeyOf("fan", "c-100"), now) {
			t.Errorf("round %d: what is known is wrong", round)
		}
		if q.KnowsCommand(queue.KeyOf("fan", "c-0"), now.Add(queue.RememberCommands+2*time.Second)) {
			t.Errorf("round %d: known for ever", round)
		}
		if got := q.LastCommand("fan", "set_speed"); !got.Equal(now.Add(99 * time.Millisecond)) {
			t.Errorf("round %d: last write at %v, want %v", round, got, now.Add(99*time.Millisecond))
		}
		if !q.LastCommand("fan", "stop").IsZero() {
			t.Errorf("round %d: a command that never came has a time", round)
		}
		r := q.NewReader()
		events := 0
		for {
			e, ok, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if e.Event.Name != "done" {
				t.Errorf("got %+v", e)
			}
			events++
		}
		r.Close()
		if events != 90 {
			t.Errorf("round %d: %d replies, want 90", round, events)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		rep, err := queue.Verify(queue.Config{Path: filepath.Join(dir, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(dir, "dead")}})
		if err != nil || len(rep.Faults) > 0 {
			t.Errorf("verify: %+v, %v", rep, err)
		}
		q = commandQueue(t, dir, nil)
	}
	for _, c := range q.CommandsUnderWay() {
		if err := q.EndCommand(t.Context(), c.Key, "bus", mapping.Output{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := q.CommandsUnderWay(); len(got) != 0 {
		t.Errorf("under way after the end: %v", got)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCommandsOfYesterdayAreForgotten(t *testing.T) {
	q := commandQueue(t, t.TempDir(), nil)
	defer q.Close()
	now := time.Now()
	for i := range 3 {
		c := command(fmt.Sprint(i), now.Add(time.Duration(i)*13*time.Hour))
		if err := q.AcceptCommand(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if q.KnowsCommand(queue.KeyOf("fan", "0"), now) {
		t.Error("a command is remembered for more than a day")
	}
	if !q.KnowsCommand(queue.KeyOf("fan", "1"), now.Add(26*time.Hour)) {
		t.Error("a command was forgotten within a day")
	}
}

// What is remembered is bounded, and beyond it nothing is taken that could be a repetition.
func TestCommandsBeyondTheMemoryAreNotTaken(t *testing.T) {
	if testing.Short() {
		t.Skip("left out: short")
	}
	const most = 8192
	q, err := queue.Open(queue.Config{Path: "/q", FS: newFakeFS()})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	now := time.Now()
	for i := range most {
		c := command(fmt.Sprint(i), now)
		if err := q.AcceptCommand(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.AcceptCommand(t.Context(), command("more", now)); !errors.Is(err, queue.ErrManyCommands) {
		t.Errorf("got %v, want ErrManyCommands", err)
	}
	for range 3 { // one without an id is not told from others by anything: it needs no memory
		c := command("", now)
		if err := q.AcceptCommand(t.Context(), c); err != nil {
			t.Errorf("without an id: %v", err)
		}
		if err := q.EndCommand(t.Context(), c.Key, "", mapping.Output{}); err != nil {
			t.Error(err)
		}
	}
	if err := q.AcceptCommand(t.Context(), command("more", now.Add(25*time.Hour))); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

// A power cut at any moment, with all or nothing of what was not synced: what was accepted is known, and is under way
// unless it has ended.
func TestNoAcceptedCommandIsForgottenInAPowerCut(t *testing.T) {
	now := time.Now()
	for _, keep := range []int{0, 1 << 30} {
		for cut := range 40 {
			fs := newFakeFS()
			q := commandQueue(t, "/state", fs)
			fs.cutAfter(cut)
			accepted, ended, begun := map[string]bool{}, map[string]bool{}, map[string]bool{}
			for i := range 12 {
				c := command(fmt.Sprint(i), now)
				begun[c.ID] = true
				if q.AcceptCommand(t.Context(), c) != nil {
					break
				}
				accepted[c.ID] = true
				if i%3 > 0 {
					begun["end "+c.ID] = true
					ended[c.ID] = q.EndCommand(t.Context(), c.Key, "bus", replies(i)) == nil
				}
			}
			_ = q.Close() // the disk has gone
			fs.crash(func(n int) int { return min(n-1, keep) })
			q = commandQueue(t, "/state", fs)
			underWay := map[string]bool{}
			for _, c := range q.CommandsUnderWay() {
				underWay[c.ID] = true
				if !begun[c.ID] || ended[c.ID] {
					t.Errorf("cut at %d: %s is under way", cut, c.ID)
				}
			}
			for id := range accepted {
				if !q.KnowsCommand(queue.KeyOf("fan", id), now) {
					t.Errorf("cut at %d: %s was accepted and is forgotten", cut, id)
				}
				if !underWay[id] && !begun["end "+id] {
					t.Errorf("cut at %d: %s was accepted, has not ended, and is not under way", cut, id)
				}
			}
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A platform that sends commands and takes no events does not fill the disk: replies go a little beyond the limit, then no
// command is accepted, until there is room again.
func TestCommandsDoNotFillTheDisk(t *testing.T) {
	const limit = 256 << 10
	q, err := queue.Open(queue.Config{Path: "/q", FS: newFakeFS(), MaxBytes: limit, Segment: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	taken := 0
	for ; ; taken++ {
		c := command("", time.Now())
		c.Key = queue.KeyOf("fan", fmt.Sprint(taken))
		err := q.AcceptCommand(t.Context(), c)
		if errors.Is(err, queue.ErrOverfull) {
			break
		}
		if err != nil || taken > 10000 {
			t.Fatalf("command %d: %v", taken, err)
		}
		if err := q.EndCommand(t.Context(), c.Key, "bus", replies(taken)); err != nil {
			t.Fatal(err)
		}
	}
	if got := q.State().Bytes; got < limit || got > limit*5/4 {
		t.Errorf("%d bytes after %d commands, want a little more than %d", got, taken, limit)
	}
	r := q.NewReader()
	defer r.Close()
	for {
		e, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if err := q.Ack(e.Number); err != nil {
			t.Fatal(err)
		}
	}
	late, tick := time.After(20*time.Second), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for q.Overfull() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("still overfull with %d bytes after everything was taken", q.State().Bytes)
		}
	}
}

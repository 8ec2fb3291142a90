package publisher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/mapping"
	"legacybridge/publisher/queue"
)

// A pen is the owner of a link whose equipment does what the test says.
type pen struct {
	write func(ctx context.Context, o adapters.Order) adapters.Answer
	read  func(ctx context.Context) (adapters.Reading, error)

	mu     sync.Mutex
	orders []string
}

func (p *pen) Run(context.Context, adapters.Checkpoint, adapters.Sink) error { return nil }

func (p *pen) Write(ctx context.Context, o adapters.Order) adapters.Answer {
	p.mu.Lock()
	p.orders = append(p.orders, o.Value)
	p.mu.Unlock()
	return p.write(ctx, o)
}

func (p *pen) Read(ctx context.Context, device, point string) (adapters.Reading, error) {
	return p.read(ctx)
}

func (p *pen) written() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.orders[:len(p.orders):len(p.orders)]
}

// A commanded is a downlink without a platform: the test hands it messages.
type commanded struct {
	*Downlink
	t    *testing.T
	dir  string
	q    *queue.Queue
	pen  *pen
	stop func()
}

func newCommanded(t *testing.T, dir string, p *pen) *commanded {
	t.Helper()
	number := mapping.Arg{Name: "n", Kind: mapping.IntArg, Min: "0", Max: "1000"}
	rules := mapping.Config{Devices: []mapping.Device{{
		Name: "fan", Type: "drive", ID: "FAN-3", Points: []mapping.Point{{Name: "speed", Decimals: -1, Bit: -1}, {Name: "on", Kind: mapping.Bool, Decimals: -1, Bit: -1}},
		Events: []mapping.EventRule{{Name: "state", Points: []string{"speed"}, Format: "json"}},
		Commands: []mapping.Command{
			{Name: "go", Args: []mapping.Arg{number}, Value: "n", Type: "u16", Reply: "went"},
			{Name: "sure", Args: []mapping.Arg{number}, Value: "n", Type: "u16", Reply: "went", Verify: mapping.Verify{Point: "speed", Within: 20 * time.Second}},
			{Name: "slow", Args: []mapping.Arg{number}, Value: "n", Type: "u16", Reply: "went", MinInterval: time.Hour},
			{Name: "safe", Args: []mapping.Arg{number}, Value: "n", Type: "u16", Reply: "went", OnlyIf: "on"},
		},
	}}}
	commander, err := mapping.NewCommander(rules)
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(queue.Config{Path: filepath.Join(dir, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(dir, "dead")}})
	if err != nil {
		t.Fatal(err)
	}
	audit, err := queue.OpenAudit(nil, filepath.Join(dir, "writes.log"))
	if err != nil {
		t.Fatal(err)
	}
	topics, err := NewCommandTopics("", []Address{{"fan", "drive", "FAN-3"}})
	if err != nil {
		t.Fatal(err)
	}
	listens := make(chan struct{})
	tried := sync.OnceFunc(func() { close(listens) })
	d, err := NewDownlink(DownlinkConfig{Platform: Config{Servers: []string{"mqtt://127.0.0.1:1"}, ClientID: "a:legacy:test-cmd", Report: func(State) { tried() }}, Topics: topics,
		Links: []CommandLink{{Name: "bus", Rules: commander, Devices: []string{"fan"}}}, Queue: q, Gate: NewGate(Config{}), Audit: audit})
	if err != nil {
		t.Fatal(err)
	}
	d.Attach("bus", p)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { d.Run(ctx); close(ended) }()
	<-listens // no command comes before Run has settled what a crash cut off
	c := &commanded{Downlink: d, t: t, dir: dir, q: q, pen: p}
	c.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(c.stop)
	return c
}

// give hands over a message; it is acknowledged when give returns.
func (c *commanded) give(command, payload string) {
	c.t.Helper()
	acked := false
	c.receive(Message{Topic: "iot-2/type/drive/id/FAN-3/cmd/" + command + "/fmt/json", Payload: []byte(payload), QoS: 1, ack: func() { acked = true }})
	if !acked {
		c.t.Errorf("%s %s is not acknowledged", command, payload)
	}
}

// replies are the payloads of the replies in the queue.
func (c *commanded) replies() (all []string) {
	r := c.q.NewReader()
	defer r.Close()
	for {
		e, ok, err := r.Next()
		if err != nil {
			c.t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, string(e.Event.Payload))
	}
}

// await waits for a reply that holds every part.
func (c *commanded) await(parts ...string) {
	c.t.Helper()
	late := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, r := range c.replies() {
			found := true
			for _, p := range parts {
				found = found && strings.Contains(r, p)
			}
			if found {
				return
			}
		}
		select {
		case <-tick.C:
		case <-late:
			c.t.Fatalf("no reply with %q, got %q", parts, c.replies())
		}
	}
}

func (c *commanded) audit() string {
	b, err := os.ReadFile(filepath.Join(c.dir, "writes.log"))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func written(context.Context, adapters.Order) adapters.Answer {
	return adapters.Answer{Outcome: adapters.Written, At: time.Now()}
}

func TestACommandIsOnDiskBeforeItIsWritten(t *testing.T) {
	p := &pen{}
	c := newCommanded(t, t.TempDir(), p)
	begun := make(chan bool, 1)
	p.write = func(ctx context.Context, o adapters.Order) adapters.Answer {
		v, err := queue.Verify(queue.Config{Path: filepath.Join(c.dir, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(c.dir, "dead")}})
		under := c.q.CommandsUnderWay()
		begun <- err == nil && v.Records > 0 && len(under) == 1 && under[0].ID == "x" && under[0].Value == "5"
		return written(ctx, o)
	}
	c.give("go", `{"n":5,"id":"x"}`)
	if !<-begun {
		t.Error("the command was written before it was remembered")
	}
	c.await(`"ok":true`, `"result":"done"`, `"id":"x"`)
	if under := c.q.CommandsUnderWay(); len(under) != 0 {
		t.Errorf("still under way: %v", under)
	}
	c.give("go", `{"n":6,"id":"x"}`)
	c.await(`CMD006`)
	if got := p.written(); len(got) != 1 {
		t.Errorf("written %v, want one", got)
	}
	if n := c.Counts()[CommandCount{"fan", "go", "done"}]; n != 1 {
		t.Errorf("counted %v", c.Counts())
	}
}

// A command that is not on disk must not be written: it would not be known after a crash.
func TestACommandThatCannotBeStoredIsNotWritten(t *testing.T) {
	p := &pen{write: written}
	c := newCommanded(t, t.TempDir(), p)
	if err := c.q.Close(); err != nil {
		t.Fatal(err)
	}
	c.give("go", `{"n":5,"id":"x"}`)
	c.stop()
	if got := p.written(); len(got) != 0 {
		t.Errorf("written %v, want nothing", got)
	}
	if a := c.audit(); !strings.Contains(a, `code="CMD014"`) {
		t.Errorf("audit:\n%s", a)
	}
}

func TestAnUnknownOutcomeIsReportedAndNotRepeated(t *testing.T) {
	p := &pen{write: func(context.Context, adapters.Order) adapters.Answer {
		return adapters.Answer{Outcome: adapters.Unknown, Code: adapters.CodeNoAnswer, Why: "it did not answer", At: time.Now()}
	}}
	p.read = func(context.Context) (adapters.Reading, error) {
		return adapters.Reading{Device: "fan", Names: []string{"speed"}, Values: []string{"7"}}, nil
	}
	c := newCommanded(t, t.TempDir(), p)
	c.give("go", `{"n":5,"id":"lost"}`)
	c.await(`"ok":false`, `"result":"unknown"`, `"code":"CMD017"`, `"id":"lost"`)
	// The equipment itself may show that it has taken it.
	c.give("sure", `{"n":7,"id":"seen"}`)
	c.await(`"ok":true`, `"result":"done"`, `"id":"seen"`)
	c.stop()
	if got := p.written(); strings.Join(got, " ") != "5 7" {
		t.Errorf("written %v, want each once", got)
	}
	if a := c.audit(); !strings.Contains(a, `result="unknown"`) || !strings.Contains(a, `readback="7"`) {
		t.Errorf("audit:\n%s", a)
	}
}

// A stop must not wait behind a read-back that takes its time.
func TestANewerCommandEndsTheReadBack(t *testing.T) {
	p := &pen{write: written}
	p.read = func(context.Context) (adapters.Reading, error) {
		return adapters.Reading{Device: "fan", Names: []string{"speed"}, Values: []string{"1"}}, nil
	}
	c := newCommanded(t, t.TempDir(), p)
	c.give("sure", `{"n":7,"id":"first"}`)
	c.give("go", `{"n":0,"id":"second"}`)
	c.await(`"result":"failed"`, `"id":"first"`, "another command came", "CMD018")
	c.await(`"result":"done"`, `"id":"second"`)
}

func TestCommandsThatWaitAreBounded(t *testing.T) {
	free, begun := make(chan struct{}), make(chan struct{}, 1)
	p := &pen{write: func(ctx context.Context, o adapters.Order) adapters.Answer {
		begun <- struct{}{}
		<-free
		return written(ctx, o)
	}}
	c := newCommanded(t, t.TempDir(), p)
	c.give("go", `{"n":0}`)
	<-begun
	for n := range maxWaiting + 3 {
		c.give("go", fmt.Sprintf(`{"n":%d}`, n+1))
	}
	c.await("CMD013")
	go func() {
		for range begun {
		}
	}()
	close(free)
	c.stop()
	close(begun)
	// The service stopped: what had not begun is refused, and is not under way any more.
	if got := len(p.written()); got > maxWaiting {
		t.Errorf("%d orders, want at most %d", got, maxWaiting)
	}
	counts := c.Counts()
	if sum := counts[CommandCount{"fan", "go", "done"}] + counts[CommandCount{"fan", "go", "refused"}]; sum != maxWaiting+4 {
		t.Errorf("counted %v, want %d in all", counts, maxWaiting+4)
	}
}

func TestWhatAStopCutsOffIsRefusedAndEnds(t *testing.T) {
	dir, begun := t.TempDir(), make(chan struct{})
	p := &pen{write: func(ctx context.Context, o adapters.Order) adapters.Answer {
		close(begun)
		<-ctx.Done()
		return adapters.Answer{Code: adapters.CodeNotSent, Why: "the link was busy"}
	}}
	c := newCommanded(t, dir, p)
	c.give("go", `{"n":1,"id":"a"}`)
	c.give("go", `{"n":2,"id":"b"}`)
	<-begun
	c.stop()
	if got := p.written(); len(got) != 1 {
		t.Errorf("written %v, want one begun", got)
	}
	c = newCommanded(t, dir, &pen{write: written})
	c.await(`"id":"a"`, `"result":"refused"`)
	c.await(`"id":"b"`, `"result":"refused"`, "stopping")
	if u := c.q.CommandsUnderWay(); len(u) != 0 {
		t.Errorf("under way: %v", u)
	}
}

// What a crash cut off is told at the next start, once, and not done again.
func TestWhatACrashCutOffIsUnknown(t *testing.T) {
	dir := t.TempDir()
	q, err := queue.Open(queue.Config{Path: filepath.Join(dir, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(dir, "dead")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{"fan", "gone"} {
		if err := q.AcceptCommand(t.Context(), queue.Command{Key: queue.KeyOf(device, "x"), Device: device, Name: "go", ID: "x", Value: "5", Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	p := &pen{write: written}
	c := newCommanded(t, dir, p)
	c.await(`"result":"unknown"`, `"code":"CMD019"`, `"id":"x"`)
	c.give("go", `{"n":5,"id":"x"}`)
	c.await("CMD006")
	c.stop()
	if got := p.written(); len(got) != 0 {
		t.Errorf("written %v, want nothing", got)
	}
	if a := c.audit(); strings.Count(a, `code="CMD019"`) != 2 || !strings.Contains(a, `device="gone"`) {
		t.Errorf("audit:\n%s", a)
	}
	c = newCommanded(t, dir, p)
	c.stop()
	if a := c.audit(); strings.Count(a, `code="CMD019"`) != 2 {
		t.Errorf("told again:\n%s", a)
	}
}

func TestAnInterlockNeedsAFreshReading(t *testing.T) {
	p := &pen{write: written}
	c := newCommanded(t, t.TempDir(), p)
	for i, k := range []struct {
		state mapping.Truth
		age   time.Duration
		want  string
	}{
		{mapping.True, 0, `"result":"done"`}, {mapping.False, 0, "CMD011"}, {mapping.NotKnown, 0, "CMD011"}, {mapping.True, 2 * time.Minute, "CMD011"},
	} {
		c.Note([]mapping.Condition{{Device: "fan", Command: "safe", State: k.state, Time: time.Now().Add(-k.age)}})
		id := fmt.Sprint("i-", i)
		c.give("safe", fmt.Sprintf(`{"n":1,"id":"%s"}`, id))
		c.await(id, k.want)
	}
}

// min_interval outlives a restart, and a clock that was set back does not stretch it.
func TestTheIntervalOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	p := &pen{write: written}
	c := newCommanded(t, dir, p)
	c.give("slow", `{"n":1,"id":"a"}`)
	c.await(`"id":"a"`, `"result":"done"`)
	c.give("slow", `{"n":2,"id":"b"}`)
	c.await(`"id":"b"`, "CMD010")
	c.stop()
	c = newCommanded(t, dir, p)
	c.give("slow", `{"n":3,"id":"c"}`)
	c.await(`"id":"c"`, "CMD010")
	ahead := queue.Command{Key: queue.KeyOf("fan", "d"), Device: "fan", Name: "slow", ID: "d", Time: time.Now().Add(20 * time.Hour)}
	if err := c.q.AcceptCommand(t.Context(), ahead); err != nil {
		t.Fatal(err)
	}
	if last := c.lastWrite("fan", "slow"); last.After(time.Now()) {
		t.Errorf("last written at %v, which is ahead", last)
	}
	c.stop()
	if got := p.written(); len(got) != 1 {
		t.Errorf("written %v, want one", got)
	}
}

// A flood of what is refused leaves room in the audit log, and is counted.
func TestAFloodOfRefusalsIsSummedUp(t *testing.T) {
	p := &pen{write: written}
	c := newCommanded(t, t.TempDir(), p)
	const flood = 2000
	for range flood {
		c.give("go", `{"n":5000}`)
		c.give("x", `{}`)
	}
	c.stop()
	if n := strings.Count(c.audit(), "\n"); n > 200 {
		t.Errorf("%d lines for %d refusals", n, 2*flood)
	}
	counts := c.Counts()
	if counts[CommandCount{"fan", "go", "refused"}] != flood || counts[CommandCount{"fan", "", "refused"}] != flood || len(counts) != 2 {
		t.Errorf("counted %v", counts)
	}
}

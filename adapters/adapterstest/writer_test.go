package adapterstest_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/adapterstest"
)

// A pen is a source that writes, with a fault planted.
type pen struct {
	desk  *adapters.Desk
	fault string

	mu      sync.Mutex
	written int
}

func (p *pen) Run(ctx context.Context, _ adapters.Checkpoint, put adapters.Sink) error {
	_ = put(ctx, adapters.Batch{Readings: []adapters.Reading{{Device: "d"}}})
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-p.desk.Waiting():
			p.desk.Serve(j)
		}
	}
}

func (p *pen) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written += n
}

func (p *pen) Write(ctx context.Context, o adapters.Order) adapters.Answer {
	a := adapters.Answer{Code: "CMD015", Why: "nobody is there"}
	if p.fault == "writes without its owner" {
		p.add(1)
		return adapters.Answer{Outcome: adapters.Written, At: time.Now()}
	}
	if p.fault == "writes later" {
		go p.desk.Do(context.WithoutCancel(ctx), func() { p.add(1) })
		<-ctx.Done()
		return a
	}
	_ = p.desk.Do(ctx, func() {
		if o.Command != "go" && p.fault != "writes what is not listed" {
			return
		}
		if no, vetoed := o.Vetoed(); vetoed && p.fault != "asks nobody" {
			a = no
			return
		}
		p.add(1)
		if p.fault == "writes twice" {
			p.add(1)
		}
		a = adapters.Answer{Outcome: adapters.Written, At: time.Now()}
	})
	return a
}

func (p *pen) Read(ctx context.Context, device, _ string) (adapters.Reading, error) {
	r := adapters.Reading{Device: device, Time: time.Now()}
	if p.fault == "shows an old reading" {
		r.Time = time.Now().Add(-time.Hour)
	}
	return r, nil
}

func TestTheContractOfWritersFindsFaults(t *testing.T) {
	for fault, want := range map[string]string{
		"": "", "writes without its owner": "nobody owned the link", "writes twice": "want 1", "writes later": "",
		"writes what is not listed": "not listed", "shows an old reading": "from after the call",
		"asks nobody": "must not be written any more",
	} {
		p := &pen{desk: adapters.NewDesk(), fault: fault}
		limit, cancel := context.WithTimeout(t.Context(), time.Second)
		err := adapterstest.CheckWriter(limit, adapterstest.WriterContract{
			New: func() (adapters.Writer, error) { return p, nil }, Order: adapters.Order{Device: "d", Command: "go", Value: "1"},
			Written: func() int { p.mu.Lock(); defer p.mu.Unlock(); return p.written },
		})
		cancel()
		switch {
		case fault == "" && err != nil:
			t.Errorf("a good source: %v", err)
		case fault != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", fault, err, want)
		}
	}
}

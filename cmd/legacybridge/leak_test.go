package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"legacybridge/config"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/queue"
)

// The whole system in this process, with a link that works, one whose host is away and one whose port is not there:
// when it has stopped, every goroutine that it started has ended.
func TestNothingRunsOnWhenTheSiteHasStopped(t *testing.T) {
	dir := t.TempDir()
	rows := filepath.Join(dir, "log.csv")
	file := filepath.Join(dir, "legacybridge.toml")
	text := fmt.Sprintf(`schema = 1
[local]
listen = "127.0.0.1:0"
[web]
listen = "off"
[links.log]
file = %q
poll = "50ms"
[devices.log]
type = "logger"
link = "log"
points = { n = { column = "n", type = "int" } }
[links.away]
modbus_tcp = "127.0.0.1:1"
[devices.plc]
type = "press"
link = "away"
points = { n = { holding = 1 } }
[links.gone]
serial = %q
allow_unstable = true
[devices.scale]
type = "scale"
link = "gone"
line = '(?<n>\d+)'
points = { n = { from = "n", type = "int" } }
`, rows, filepath.Join(dir, "ttyGONE"))
	for name, content := range map[string]string{rows: "n\n1\n2\n3\n", file: text} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := goleak.IgnoreCurrent()
	for range 3 {
		cfg, problems := config.Load(file, config.Options{State: dir, Build: buildTime()})
		if cfg == nil {
			t.Fatal(problems)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var out lockedBuffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		s := &site{cfg: cfg, log: log, board: newBoard(log)}
		var q *queue.Queue
		started := make(chan struct{})
		s.ready = func(opened *queue.Queue, _ *localplatform.Platform) error { q = opened; close(started); return nil }
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx) }()
		<-started
		tick := time.NewTicker(10 * time.Millisecond)
		for end := time.Now().Add(20 * time.Second); ; <-tick.C {
			accounts, err := q.Stats()
			if err != nil {
				t.Fatal(err)
			}
			if total(accounts).Delivered == 3 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("nothing delivered:\n%s", out.String())
			}
		}
		tick.Stop()
		cancel()
		if err := <-ended; err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		if err := goleak.Find(before); err != nil {
			t.Fatal(err)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

package main_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHangupIsAnsweredAndSurvived(t *testing.T) {
	s, file := newSink(t), newLogFile(t)
	b := startBridge(t, siteFile(t, s.addr(), fmt.Sprintf(logSite, file.path)), t.TempDir())
	waitFor(t, 10*time.Second, "start", func() bool { return strings.Contains(b.stderr.String(), "started") })
	if err := b.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, 5*time.Second, "answer to SIGHUP", func() bool { return strings.Contains(b.stderr.String(), "reload is not supported yet") })
	file.append(10)
	waitFor(t, 10*time.Second, "events after SIGHUP", func() bool { return s.received.Load() == 10 })
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}
}

// TestStopWithoutAPlatformKeepsEverything: what is left stays queued, and the stop does not wait for what cannot come.
func TestStopWithoutAPlatformKeepsEverything(t *testing.T) {
	file, state := newLogFile(t), t.TempDir()
	file.append(100)
	away := siteFile(t, "127.0.0.1:1", fmt.Sprintf(logSite, file.path))
	b := startBridge(t, away, state)
	waitFor(t, 10*time.Second, "reading", func() bool { return strings.Contains(b.stderr.String(), "reading") })
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT without a platform, want 0", code)
	}
	s := newSink(t)
	b = startBridge(t, siteFile(t, s.addr(), fmt.Sprintf(logSite, file.path)), state)
	waitFor(t, 10*time.Second, "all rows", func() bool { return s.received.Load() == 100 })
	b.stop()
}

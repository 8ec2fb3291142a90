package localplatform

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A table is a state that a journal holds: the newest value of each key.
type table struct {
	mu sync.Mutex
	m  map[string]string
}

func (b *table) put(j *journal, k, v string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.m[k] = v
	return j.write(1, []byte(k+"="+v))
}

func (b *table) snapshot(emit func(byte, []byte)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, v := range b.m {
		emit(1, []byte(k+"="+v))
	}
}

func (b *table) replay(_ byte, body []byte) error {
	k, v, _ := strings.Cut(string(body), "=")
	b.m[k] = v
	return nil
}

func TestCompactingBesideWritersLosesNothing(t *testing.T) {
	dir := t.TempDir()
	state := &table{m: map[string]string{}}
	j, _ := openTestJournal(t, dir, nil)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 300 {
				n := state.put(j, fmt.Sprintf("key%d", w), fmt.Sprint(i))
				if i%20 == 0 {
					waitFor(t, j, n)
				}
			}
		})
	}
	for range 20 {
		if err := j.compact(state.snapshot); err != nil {
			t.Error(err)
		}
	}
	writers.Wait()
	waitFor(t, j, state.put(j, "last", "1")) // all before it is in the file: what comes while it is rewritten stands behind
	if err := j.compact(state.snapshot); err != nil {
		t.Error(err)
	}
	if j.size > 1000 {
		t.Errorf("got %d bytes for 9 keys, want the log rewritten", j.size)
	}
	closeJournal(t, j)
	again := &table{m: map[string]string{}}
	j, err := openJournal(dir, slog.New(slog.DiscardHandler), again.replay)
	if err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
	for k, v := range state.m {
		if again.m[k] != v {
			t.Errorf("%s: got %s, want %s", k, again.m[k], v)
		}
	}
}

func TestCompactingWithoutRoomLeavesTheLog(t *testing.T) {
	d := &disk{}
	dir := t.TempDir()
	j, _ := openTestJournal(t, dir, d)
	waitFor(t, j, j.write(1, []byte("kept")))
	d.set(func(d *disk) { d.full = true })
	if err := j.compact(func(emit func(byte, []byte)) { emit(1, []byte("snapshot")) }); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want no room", err)
	}
	d.set(func(d *disk) { d.full = false })
	waitFor(t, j, j.write(1, []byte("on")))
	if left, err := filepath.Glob(j.path() + ".*"); len(left) > 0 || err != nil {
		t.Errorf("got %v left behind", left)
	}
	closeJournal(t, j)
	j, had := openTestJournal(t, dir, nil)
	if want := (entries{"1 kept", "1 on"}); !slices.Equal(had, want) {
		t.Errorf("got %v, want %v", had, want)
	}
	closeJournal(t, j)
}

func TestCompactingThatCannotSyncEndsTheJournal(t *testing.T) {
	d := &disk{}
	j, _ := openTestJournal(t, t.TempDir(), d)
	d.set(func(d *disk) { d.syncErr = syscall.EIO })
	if err := j.compact(func(func(byte, []byte)) {}); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want the disk's error", err)
	}
	<-j.failed()
	if err := j.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want the disk's error", err)
	}
}

func TestHalfASnapshotIsRemovedAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	j, _ := openTestJournal(t, dir, nil)
	j.write(1, []byte("kept"))
	closeJournal(t, j)
	half := j.path() + ".123"
	if err := os.WriteFile(half, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	j, had := openTestJournal(t, dir, nil)
	if _, err := os.Stat(half); !os.IsNotExist(err) || len(had) != 1 {
		t.Errorf("got %v, %v, want the log only", had, err)
	}
	closeJournal(t, j)
}

func TestGrownLogAsksForASnapshot(t *testing.T) {
	j, _ := openTestJournal(t, t.TempDir(), nil)
	waitFor(t, j, j.write(1, make([]byte, slack/2)))
	select {
	case <-j.bloated():
		t.Error("got a wish for a snapshot of a small log")
	default:
	}
	waitFor(t, j, j.write(1, make([]byte, slack)))
	<-j.bloated()
	if err := j.compact(func(emit func(byte, []byte)) { emit(1, []byte("all")) }); err != nil {
		t.Error(err)
	}
	waitFor(t, j, j.write(1, []byte("more")))
	select {
	case <-j.bloated():
		t.Error("got a wish for a snapshot right after one")
	default:
	}
	closeJournal(t, j)
}

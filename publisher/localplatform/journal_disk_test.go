package localplatform

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailedFsyncIsNeverTriedAgain(t *testing.T) {
	d := &disk{}
	dir := t.TempDir()
	j, _ := openTestJournal(t, dir, d)
	waitFor(t, j, j.write(1, []byte("kept")))
	d.set(func(d *disk) { d.syncErr, d.syncs = syscall.EIO, 0 })
	if err := j.wait(t.Context(), j.write(1, []byte("lost"))); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want the disk's error", err)
	}
	<-j.failed()
	d.set(func(d *disk) { d.syncErr = nil })
	if err := j.wait(t.Context(), j.write(1, []byte("later"))); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want the disk's error for all that follows", err)
	}
	if err := j.room(t.Context(), nil); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want the disk's error", err)
	}
	if n := d.synced(); n != 1 {
		t.Errorf("got %d fsyncs, want 1", n)
	}
	if err := j.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want the disk's error", err)
	}
}

func TestFullDiskIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		dir := t.TempDir()
		j, _ := openTestJournal(t, dir, d)
		waitFor(t, j, j.write(1, []byte("before")))
		d.set(func(d *disk) { d.full = true })
		n := j.write(1, []byte("while full"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := j.wait(ctx, n); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want no acknowledgement in an hour", err)
		}
		info, err := os.Stat(j.path())
		if whole := int64(headerSize + frameHead + len(" before")); err != nil || info.Size() != whole {
			t.Errorf("got %v, %v, want %d bytes: no half record while it waits", info.Size(), err, whole)
		}
		j.write(1, make([]byte, roomFor))
		if err := j.room(ctx, nil); err == nil {
			t.Error("got room while the disk is full")
		}
		d.set(func(d *disk) { d.full = false })
		waitFor(t, j, n)
		if err := j.room(t.Context(), nil); err != nil {
			t.Error(err)
		}
		closeJournal(t, j)
		j, had := openTestJournal(t, dir, nil)
		if len(had) != 3 || had[1] != "1 while full" {
			t.Errorf("got %.60v, want three records", had)
		}
		closeJournal(t, j)
	})
}

func TestStopOnAFullDiskEndsAndSaysWhatItDidNotKeep(t *testing.T) {
	d := &disk{full: false}
	j, _ := openTestJournal(t, t.TempDir(), d)
	d.set(func(d *disk) { d.full = true })
	j.write(1, []byte("lost"))
	if err := j.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want the full disk", err)
	}
}

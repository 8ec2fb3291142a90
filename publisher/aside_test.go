package publisher

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/publisher/queue"
)

// A letter for which the disk has no room is given up with the context: a stop must not wait for somebody to make room.
func TestEventThatCannotBeSetAsideStaysQueuedAtAStop(t *testing.T) {
	r := newRig(t, Config{})
	r.put(t, event("press-7", 1))
	reader := r.q.NewReader()
	defer func() { _ = reader.Close() }()
	e, _, err := reader.Next()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.setAside(ctx, e, codeRefused, "refused"); err != nil {
		t.Errorf("got %v, want nil: Run ends with its context, and not with an error", err)
	}
	if s := r.Publisher.state; s.SetAside != 0 || r.q.State().Waiting != 1 {
		t.Errorf("got %d set aside and %d waiting, want the event in the queue", s.SetAside, r.q.State().Waiting)
	}
}

// An event that is to be a dead letter waits for the disk alone: the others are delivered, over a new connection too, and
// it follows when there is room.
func TestFullDiskOfDeadLettersHoldsUpNoOtherEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var last atomic.Pointer[peer]
		b.onPublish = func(p *peer, m got) {
			last.Store(p)
			if strings.Contains(m.payload, "poison") {
				_ = p.Close()
				return
			}
			p.ack(m)
		}
		r := newRig(t, Config{})
		r.dial = b.pipe
		disk := &lettersDisk{}
		dir := t.TempDir()
		var err error
		if r.queue, err = queue.Open(queue.Config{FS: disk, Path: dir + "/queue", Dead: queue.DeadConfig{Path: dir + "/dead"}, Linger: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		r.q = r.queue
		defer func() {
			if err := r.q.Close(); err != nil {
				t.Error(err)
			}
		}()
		disk.full.Store(true)
		list := events("press-7", 60)
		list[10].Payload, list[30].Payload = []byte(`{"poison":1}`), []byte(`{"poison":2}`)
		r.put(t, list...)
		stop := r.start(t)
		time.Sleep(5 * time.Minute) // virtual
		if s := r.state(); s.Acked != 58 || s.SetAside != 0 {
			t.Errorf("got %d acknowledged and %d set aside on a full disk, want 58 and 0\n%s", s.Acked, s.SetAside, r.log)
		}
		_ = last.Load().Close()
		time.Sleep(time.Minute)
		r.put(t, events("press-8", 5)...)
		time.Sleep(time.Minute)
		if s := r.state(); s.Acked != 63 || r.q.State().Waiting != 2 {
			t.Errorf("got %d acknowledged and %d waiting over the next connection, want 63 and 2", s.Acked, r.q.State().Waiting)
		}
		disk.full.Store(false)
		time.Sleep(10 * time.Second)
		if s := r.state(); s.SetAside != 2 || s.Acked != 63 || r.q.State().Waiting != 0 || len(r.putOff.letters) != 0 || r.putOff.bytes != 0 {
			t.Errorf("got %d set aside, %d acknowledged and %d waiting 10 s after there was room, want 2, 63 and 0", s.SetAside, s.Acked, r.q.State().Waiting)
		}
		stop()
		b.peers.Wait()
	})
}

// Nobody waits for the end of what cannot end: after Finish it is said what is left.
func TestFinishSaysWhatTheDiskHasNoRoomFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{})
		b := newBroker()
		r.dial = b.pipe
		r.put(t, event("press-7", 1))
		r.putOff.letters = map[uint64]letter{1: {}}
		r.putOff.tried = time.Now()
		r.Finish()
		if err := r.Run(t.Context()); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "no room for dead letters") {
			t.Errorf("got %v, want what is left", err)
		}
		b.peers.Wait()
	})
}

// A lettersDisk has the dead letters on a file system of their own, which can be full.
type lettersDisk struct{ full atomic.Bool }

type lettersFile struct {
	*os.File
	disk *lettersDisk
}

func (d *lettersDisk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }
func (d *lettersDisk) Lock(name string) (io.Closer, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
}
func (d *lettersDisk) Open(name string, flag int) (queue.File, error) {
	if flag&os.O_CREATE != 0 && d.isFull(name) {
		return nil, syscall.ENOSPC
	}
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return lettersFile{f, d}, nil
}
func (d *lettersDisk) Remove(name string) error     { return os.Remove(name) }
func (d *lettersDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (d *lettersDisk) List(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
func (d *lettersDisk) SyncDir(string) error               { return nil }
func (d *lettersDisk) Size(string) (int64, error)         { return 1 << 20, nil }
func (d *lettersDisk) Apart(string, string) (bool, error) { return true, nil }

func (d *lettersDisk) isFull(name string) bool {
	return d.full.Load() && filepath.Base(filepath.Dir(name)) == "dead"
}

func (f lettersFile) WriteAt(b []byte, off int64) (int, error) {
	if f.disk.isFull(f.Name()) {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(b, off)
}
func (f lettersFile) Sync() error               { return nil }
func (f lettersFile) Allocate(size int64) error { return f.Truncate(size) }
func (f lettersFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

package localplatform

import (
	"context"
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
	"testing/synctest"
	"time"
)

// entries is what a journal replayed, as "kind body".
type entries []string

func (e *entries) add(kind byte, body []byte) error {
	*e = append(*e, fmt.Sprintf("%d %s", kind, body))
	return nil
}

func openTestJournal(t *testing.T, dir string, disk *disk) (*journal, entries) {
	t.Helper()
	var had entries
	var wrap func(journalFile) journalFile
	if disk != nil {
		wrap = disk.file
	}
	j, err := openJournalThrough(wrap, dir, slog.New(slog.DiscardHandler), had.add)
	if err != nil {
		t.Fatal(err)
	}
	return j, had
}

func closeJournal(t *testing.T, j *journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, j *journal, n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := j.wait(ctx, n); err != nil {
		t.Fatal(err)
	}
}

// A disk fails as it is told to.
type disk struct {
	mu        sync.Mutex
	full      bool
	syncErr   error
	syncs     int
	beforSync func() // runs before each sync
}

func (d *disk) file(f journalFile) journalFile { return &diskFile{f, d} }

func (d *disk) set(change func(*disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *disk) synced() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

type diskFile struct {
	journalFile
	d *disk
}

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	f.d.mu.Lock()
	full := f.d.full
	f.d.mu.Unlock()
	if full { // half of it still fits
		n, _ := f.journalFile.WriteAt(p[:len(p)/2], at)
		return n, syscall.ENOSPC
	}
	return f.journalFile.WriteAt(p, at)
}

func (f *diskFile) Sync() error {
	f.d.mu.Lock()
	f.d.syncs++
	err, before := f.d.syncErr, f.d.beforSync
	f.d.mu.Unlock()
	if before != nil {
		before()
	}
	if err != nil {
		return err
	}
	return f.journalFile.Sync()
}

func TestWhatWasWaitedForIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	j, had := openTestJournal(t, dir, nil)
	if len(had) > 0 {
		t.Errorf("got %v in a new journal", had)
	}
	want := entries{"1 pump", "64 ", "127 " + strings.Repeat("x", 100_000)}
	for _, e := range want {
		var kind byte
		var body string
		fmt.Sscanf(e, "%d", &kind)
		_, body, _ = strings.Cut(e, " ")
		waitFor(t, j, j.write(kind, []byte(body)))
	}
	// As after kill -9: another reads the same file without a Close before.
	copied := t.TempDir()
	text, err := os.ReadFile(j.path())
	if err == nil {
		err = os.WriteFile(filepath.Join(copied, journalName), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
	for _, dir := range []string{dir, copied} {
		j, had := openTestJournal(t, dir, nil)
		if !slices.Equal(had, want) {
			t.Errorf("got %.80v, want %.80v", had, want)
		}
		closeJournal(t, j)
	}
	if info, err := os.Stat(filepath.Join(dir, journalName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 600", info.Mode(), err)
	}
}

func TestCloseKeepsWhatNobodyWaitedFor(t *testing.T) {
	dir := t.TempDir()
	j, _ := openTestJournal(t, dir, nil)
	j.write(1, []byte("a"))
	n := j.write(1, []byte("b"))
	closeJournal(t, j)
	waitFor(t, j, n)
	if err := j.wait(t.Context(), j.write(1, []byte("late"))); !errors.Is(err, errJournalClosed) {
		t.Errorf("got %v, want closed", err)
	}
	j, had := openTestJournal(t, dir, nil)
	if want := (entries{"1 a", "1 b"}); !slices.Equal(had, want) {
		t.Errorf("got %v, want %v", had, want)
	}
	closeJournal(t, j)
}

func TestJournalInMemoryKeepsNothingAndNeverWaits(t *testing.T) {
	j, _ := openTestJournal(t, "", nil)
	waitFor(t, j, j.write(1, []byte("a")))
	if err := errors.Join(j.room(t.Context(), nil), j.compact(func(func(byte, []byte)) { t.Error("asked") }), j.Close()); err != nil {
		t.Error(err)
	}
}

// written returns the bytes of a closed journal with n records of different lengths.
func written(t *testing.T, n int) (file []byte, want entries) {
	t.Helper()
	dir := t.TempDir()
	j, _ := openTestJournal(t, dir, nil)
	for i := range n {
		body := fmt.Sprintf("%d%s", i, strings.Repeat("z", 3*i))
		j.write(7, []byte(body))
		want = append(want, "7 "+body)
	}
	closeJournal(t, j)
	file, err := os.ReadFile(j.path())
	if err != nil {
		t.Fatal(err)
	}
	return file, want
}

// replayed opens a journal with the bytes of file.
func replayed(t *testing.T, file []byte) (entries, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, journalName), file, 0o600); err != nil {
		t.Fatal(err)
	}
	var had entries
	j, err := openJournal(dir, slog.New(slog.DiscardHandler), had.add)
	if err != nil {
		return nil, err
	}
	// It must be fit for more.
	waitFor(t, j, j.write(9, []byte("more")))
	closeJournal(t, j)
	j, again := openTestJournal(t, dir, nil)
	closeJournal(t, j)
	if want := append(slices.Clone(had), "9 more"); !slices.Equal(again, want) {
		t.Errorf("got %v after one more record, want %v", again, want)
	}
	return had, nil
}

func TestTornEndIsCutWhereverItTore(t *testing.T) {
	file, want := written(t, 3)
	ends := []int{headerSize}
	for _, e := range want {
		ends = append(ends, ends[len(ends)-1]+frameHead+1+len(e)-len("7 "))
	}
	for size := headerSize; size < len(file); size++ {
		whole := 0
		for whole < len(want) && ends[whole+1] <= size {
			whole++
		}
		for _, zeros := range []int{0, 100} { // some file systems fill the rest with zeros
			had, err := replayed(t, append(slices.Clone(file[:size]), make([]byte, zeros)...))
			if err != nil || !slices.Equal(had, want[:whole]) {
				t.Fatalf("%d of %d bytes: got %v, %v, want %v", size, len(file), had, err, want[:whole])
			}
		}
	}
}

func TestDamageCostsItsOwnRecordOnly(t *testing.T) {
	file, want := written(t, 4)
	at := headerSize
	for i, e := range want[:len(want)-1] {
		size := frameHead + 1 + len(e) - len("7 ")
		left := slices.Delete(slices.Clone(want), i, i+1)
		for b := at; b < at+size; b++ {
			bad := slices.Clone(file)
			bad[b] ^= 0x20
			had, err := replayed(t, bad)
			if err != nil || !slices.Equal(had, left) {
				t.Fatalf("byte %d: got %v, %v, want %v", b, had, err, left)
			}
		}
		at += size
	}
}

func TestDamagedHeaderRefusesTheStore(t *testing.T) {
	file, _ := written(t, 1)
	for b := range headerSize {
		bad := slices.Clone(file)
		bad[b] ^= 1
		if had, err := replayed(t, bad); err == nil || !strings.Contains(err.Error(), "Put back a copy") || len(had) > 0 {
			t.Errorf("byte %d: got %v, %v, want a refusal that says what to do", b, had, err)
		}
	}
	if _, err := replayed(t, nil); err == nil {
		t.Error("got nil for an empty file, want a refusal")
	}
}

// A client may send a record of another store, whose marks it knows, and the disk may be damaged around it.
func TestRecordOfAnotherStoreInABodyIsNotTakenForOne(t *testing.T) {
	foreign, _ := written(t, 1)
	dir := t.TempDir()
	j, _ := openTestJournal(t, dir, nil)
	j.write(64, foreign[headerSize:])
	waitFor(t, j, j.write(1, []byte("b")))
	closeJournal(t, j)
	file, err := os.ReadFile(j.path())
	if err != nil {
		t.Fatal(err)
	}
	file[headerSize] ^= 1
	if had, err := replayed(t, file); err != nil || !slices.Equal(had, entries{"1 b"}) {
		t.Errorf("got %v, %v, want the sound record only", had, err)
	}
}

func TestRefusedRecordRefusesTheStore(t *testing.T) {
	dir := t.TempDir()
	j, _ := openTestJournal(t, dir, nil)
	j.write(63, []byte("from the future"))
	closeJournal(t, j)
	_, err := openJournal(dir, slog.New(slog.DiscardHandler), func(byte, []byte) error { return errors.New("unknown kind") })
	if err == nil || !strings.Contains(err.Error(), j.path()) || !strings.Contains(err.Error(), "unknown kind") {
		t.Errorf("got %v, want the file and the reason", err)
	}
}

func TestManyWaitersShareAnFsync(t *testing.T) {
	d := &disk{}
	j, _ := openTestJournal(t, t.TempDir(), d)
	waitFor(t, j, j.write(1, nil))
	first, hold := make(chan struct{}), make(chan struct{})
	d.set(func(d *disk) {
		d.syncs = 0
		d.beforSync = sync.OnceFunc(func() { close(first); <-hold })
	})
	var waiters sync.WaitGroup
	wait := func(n uint64) {
		waiters.Go(func() { waitFor(t, j, n) })
	}
	wait(j.write(1, []byte("first")))
	<-first
	for range 1000 {
		wait(j.write(1, []byte("more")))
	}
	close(hold)
	waiters.Wait()
	if n := d.synced(); n != 2 {
		t.Errorf("got %d fsyncs for 1001 records, want 2", n)
	}
	closeJournal(t, j)
}

func TestWhatNobodyWaitsForIsSyncedWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		j, _ := openTestJournal(t, t.TempDir(), d)
		d.set(func(d *disk) { d.syncs = 0 })
		for range 10 {
			j.write(1, []byte("status"))
			time.Sleep(lazySync / 20)
		}
		if n := d.synced(); n != 0 {
			t.Errorf("got %d fsyncs, want none yet", n)
		}
		time.Sleep(lazySync)
		synctest.Wait()
		if n := d.synced(); n != 1 {
			t.Errorf("got %d fsyncs, want 1", n)
		}
		closeJournal(t, j)
	})
}

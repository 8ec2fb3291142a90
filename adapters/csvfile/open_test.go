package csvfile

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"legacybridge/adapters"
)

// testFollower is a run that does not run, over a glob.
func testFollower(t *testing.T) (*follower, string) {
	t.Helper()
	dir := t.TempDir()
	cfg := kiln(filepath.Join(dir, "LOG*"))
	cfg.Poll = time.Second
	s := newSource(t, cfg, false)
	f := &follower{s: s, folder: newFolder(cfg.Files), locked: map[string]time.Time{}, builder: &builder{d: s.decoder}, hints: &hints{}}
	if err := f.restore(nil); err != nil {
		t.Fatal(err)
	}
	f.first = false
	t.Cleanup(f.close)
	return f, dir
}

func TestTheOldFileIsKeptUntilItWasQuietForTwoLooks(t *testing.T) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	for _, c := range []struct {
		name   string
		grown  time.Duration // ago
		newer  time.Duration // the newer file was seen, ago
		behind bool
		old    time.Duration // written, ago, by the file's own time
		want   bool
	}{
		{"both moments ago", 0, 0, false, 0, false},
		{"quiet, but the newer file has just come", time.Hour, time.Second, false, time.Hour, false},
		{"it still grows", time.Second, 30 * time.Second, false, 0, false},
		{"quiet since the newer file came", 3 * time.Second, 3 * time.Second, false, 3 * time.Second, true},
		{"it never falls quiet", 0, 2 * time.Minute, false, 0, true},
		{"one of a backlog", 0, 0, true, time.Hour, true},
		{"one of a backlog that still grows", 0, 0, true, 0, false},
	} {
		f, dir := testFollower(t)
		name := filepath.Join(dir, "LOG")
		write(t, name, kilnHead)
		f.waiting = []match{{name: "newer"}}
		f.since = ago(c.newer)
		f.cur = &reader{grown: ago(c.grown), behind: c.behind, mtime: ago(c.old).UnixNano()}
		if got := f.mayLeave(); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		f.cur = nil
	}
}

func TestFileThatCannotBeOpenedHoldsUpTheOthersForAMinute(t *testing.T) {
	f, dir := testFollower(t)
	bad, good := filepath.Join(dir, "LOG1"), filepath.Join(dir, "LOG2")
	if err := os.Mkdir(bad, 0o755); err != nil { // what cannot be opened even by root
		t.Fatal(err)
	}
	write(t, good, kilnHead)
	if err := f.look(); err != nil {
		t.Fatal(err)
	}
	f.waiting = append([]match{{name: bad}}, f.waiting...)
	if err := f.openNext(); err != nil || f.cur != nil || len(f.waiting) != 2 {
		t.Fatalf("got file %v, %v, %d waiting; want to wait", f.cur, err, len(f.waiting))
	}
	f.locked[bad] = time.Now().Add(-lockedAfter)
	if err := f.openNext(); err != nil || f.cur == nil || f.cur.name != good {
		t.Fatalf("got file %v, %v, want %s", f.cur, err, good)
	}
	if s := f.s.status.state; s.Health != adapters.Down || s.Code != "CSV011" {
		t.Errorf("got state %s %s, want failing CSV011", s.Health, s.Code)
	}
}

func TestLockedFileIsTriedAgain(t *testing.T) {
	f, dir := testFollower(t)
	file := filepath.Join(dir, "LOG1")
	if err := os.Mkdir(file, 0o755); err != nil { // what cannot be opened even by root
		t.Fatal(err)
	}
	f.waiting = []match{{name: file}}
	if err := f.openNext(); err != nil || f.cur != nil || len(f.waiting) != 1 {
		t.Fatalf("got file %v, %v, %d waiting; want to wait", f.cur, err, len(f.waiting))
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	write(t, file, kilnHead)
	if err := f.look(); err != nil {
		t.Fatal(err)
	}
	if err := f.openNext(); err != nil || f.cur == nil || f.cur.name != file {
		t.Fatalf("got file %v, %v, want %s once it can be opened", f.cur, err, file)
	}
}

func FuzzCheckpoint(f *testing.F) {
	b := bookmark{id: 7, head: []byte("n;text"), files: map[fileID]*known{9: {position: position{offset: 3}, stamp: 1}}}
	b.cur = known{name: "/x", position: position{offset: 300, line: 4, mark: markLE, headed: true, other: []byte("o"), cut: true, mute: 5, prints: prints{1, 2}}}
	f.Add([]byte(b.encode()))
	f.Add([]byte{checkpointVersion})
	f.Fuzz(func(t *testing.T, c []byte) {
		b, err := decodeBookmark(c)
		if err != nil {
			return
		}
		again, err := decodeBookmark(b.encode())
		if err != nil || again.id != b.id || string(again.cur.other) != string(b.cur.other) || again.cur.position.prints != b.cur.position.prints || len(again.files) != len(b.files) {
			t.Errorf("got %+v, %v, want %+v", again, err, b)
		}
	})
}

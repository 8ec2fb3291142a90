package csvfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"legacybridge/adapters"
)

func TestNewestMatchIsFollowedAndNoneBetweenIsSkipped(t *testing.T) {
	dir := t.TempDir()
	name := func(n int) string { return filepath.Join(dir, fmt.Sprintf("LOG_%d.csv", n)) }
	aged(t, name(1), kilnHead+"1;old\n", 5*time.Hour)
	aged(t, name(2), kilnHead+"2;a\n", 4*time.Hour)
	cfg := kiln(filepath.Join(dir, "LOG_*.csv"))
	r := start(t, cfg, nil)
	r.want("2|a")
	from := r.stop()
	appendTo(t, name(2), "3;b\n")
	write(t, name(10), kilnHead+"5;d\n")
	write(t, name(9), kilnHead+"4;c\n")
	for _, n := range []int{10, 9} { // the same time: by the number
		if err := os.Chtimes(name(n), time.Time{}, time.Now().Add(-time.Hour).Truncate(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, name(11), kilnHead+"6;e\n")
	write(t, filepath.Join(dir, "other.csv"), kilnHead+"7;f\n")
	r = start(t, cfg, from)
	r.want("3|b", "4|c", "5|d", "6|e")
	appendTo(t, name(11), "7;f\n")
	r.want("3|b", "4|c", "5|d", "6|e", "7|f")
	aged(t, name(3), kilnHead+"8;late\n", 3*time.Hour) // came now, with an old time
	r.want("3|b", "4|c", "5|d", "6|e", "7|f", "8|late")
	appendTo(t, name(1), "9;more\n") // a file that was passed over grows
	r.want("3|b", "4|c", "5|d", "6|e", "7|f", "8|late", "9|more")
	got, _, err := once(t, cfg, r.stop())
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got)
}

func TestThousandsOfFilesInOrder(t *testing.T) {
	const files = 2000
	dir := t.TempDir()
	write(t, filepath.Join(dir, "LOG_0.csv"), kilnHead)
	cfg := kiln(filepath.Join(dir, "LOG_*.csv"))
	_, from, err := once(t, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range files {
		write(t, filepath.Join(dir, fmt.Sprintf("LOG_%d.csv", n+1)), kilnHead+kilnRow(n))
	}
	puts := 0
	r := &running{t: t, more: make(chan struct{}, 1)}
	cfg.Once = true
	err = newSource(t, cfg, false).Run(t.Context(), from, func(ctx context.Context, b adapters.Batch) error {
		puts++
		return r.put(ctx, b)
	})
	if err != nil || len(r.got) != files {
		t.Fatalf("got %d rows, %v, want %d", len(r.got), err, files)
	}
	for n, g := range r.got {
		if got, ok := kilnNumber(g); !ok || got != n {
			t.Fatalf("got row %d in place %d", got, n)
		}
	}
	if puts > 5 {
		t.Errorf("got %d puts, want few: small files share them", puts)
	}
}

func TestTooManyFilesAreSaid(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "LOG.csv"), kilnHead)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	w := walk{root: root, base: dir, seen: map[fileID]int{}, found: make([]match, maxFiles)}
	if err := w.dir(".", []string{"*"}); !errors.Is(err, errTooMany) {
		t.Errorf("one more than the most: got %v, want %v", err, errTooMany)
	}
}

func TestOnlyRegularFilesInTheFolderAreRead(t *testing.T) {
	outside := temp(t, "secret.csv")
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(in("LOG_pipe.csv"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(in("LOG_dir.csv"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"LOG_out.csv": outside, "LOG_dev.csv": "/dev/zero", "LOG_loop.csv": "LOG_loop.csv", "LOG_latest.csv": "LOG_1.csv"} {
		if err := os.Symlink(target, in(link)); err != nil {
			t.Fatal(err)
		}
	}
	aged(t, in("LOG_1.csv"), kilnHead+"1;a\n", time.Hour)
	write(t, outside, kilnHead+"0;secret\n") // it would be the newest
	got, _, err := once(t, kiln(in("LOG_*.csv")), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, "1|a")
	if _, _, err := once(t, kiln(in("LOG_pipe.csv")), nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe by name: got %v, want a refusal", err)
	}
	got, _, err = once(t, kiln(in("LOG_out.csv")), nil) // written out in the configuration
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, "0|secret")
}

func TestGlobOverFolders(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		sub := filepath.Join(dir, fmt.Sprintf("line%d", n))
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		aged(t, filepath.Join(sub, "LOG.csv"), kilnHead+kilnRow(n), time.Duration(3-n)*time.Hour)
	}
	got, _, err := once(t, kiln(filepath.Join(dir, "line*", "*.csv")), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, "2|row 2 ends")
}

func TestFolderThatComesLater(t *testing.T) {
	dir := temp(t, "mnt")
	r := start(t, kiln(filepath.Join(dir, "LOG_*.csv")), nil)
	r.state(adapters.Down, "CSV012")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "LOG_1.csv"), kilnHead+"1;a\n")
	r.want("1|a")
}

func TestMountThatGoesAndComesBackIsNotReadAgain(t *testing.T) {
	dir := t.TempDir()
	mnt, away := filepath.Join(dir, "mnt"), filepath.Join(dir, "away")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := kiln(filepath.Join(mnt, "LOG_*.csv"))
	write(t, filepath.Join(mnt, "LOG_1.csv"), kilnHead+"1;a\n")
	r := start(t, cfg, nil)
	r.want("1|a")
	write(t, filepath.Join(mnt, "LOG_2.csv"), kilnHead+"2;b\n")
	r.want("1|a", "2|b")
	from := r.stop()
	rename(t, mnt, away)
	r = start(t, cfg, from)
	r.state(adapters.Down, "CSV012")
	// It comes back as another file system would: other ids, the same names, times and bytes.
	copied := filepath.Join(dir, "copied")
	if err := os.CopyFS(copied, os.DirFS(away)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"LOG_1.csv", "LOG_2.csv"} {
		info, err := os.Stat(filepath.Join(away, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(copied, name), info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, filepath.Join(copied, "LOG_2.csv"), "3;c\n")
	rename(t, copied, mnt)
	r.until("the row", func() bool { return len(r.got) > 0 && short(r.got[len(r.got)-1]) == "3|c" })
	wantLines(t, r.lines(), "3|c")
}

func TestMissingFileSaysHowFarThePathLeads(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "share", "LOG_*.csv"): "the folder " + filepath.Join(dir, "share") + " is not there",
		filepath.Join(dir, "LOG_*.csv"):          "is the name right",
	} {
		cfg := kiln(path)
		cfg.Once = true
		src, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = src.Run(t.Context(), nil, func(context.Context, adapters.Batch) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

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

func TestHalfRowWaits(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\n3;4.5")
	r := start(t, kiln(file), nil)
	r.want("1|a")
	appendTo(t, file, "67\n")
	r.want("1|a", "3|4.567")
}

func TestPartialRowIsFlushedWhenAsked(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\n2;b")
	cfg := kiln(file)
	cfg.FlushPartial = time.Millisecond
	r := start(t, cfg, nil)
	r.want("1|a", "2|b")
	appendTo(t, file, "c\n3;d\n4;e")
	r.want("1|a", "2|b", "CSV006 c", "3|d", "4|e")
	from := r.stop()
	appendTo(t, file, "\n5;f\n") // only the line end was missing
	got, _, err := once(t, cfg, from)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, "5|f")
}

func TestPositionSurvivesRestartAndRename(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\n")
	r := start(t, kiln(file), nil)
	r.want("1|a")
	from := r.stop()
	appendTo(t, file, "2;b\n")
	rename(t, file, file+".1")
	write(t, file, kilnHead+"3;c\n")
	r = start(t, kiln(file), from)
	r.want("2|b", "3|c")
	if got := r.got[0].Origin; got != "LOG.csv.1:3" {
		t.Errorf("got origin %s, want LOG.csv.1:3", got)
	}
	got, _, err := once(t, kiln(file), r.stop())
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got)
}

func TestRotationReadsTheOldFileToItsEnd(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\n")
	r := start(t, kiln(file), nil)
	r.want("1|a")
	// The writer keeps the file open and writes to it after it was renamed.
	old, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	rename(t, file, file+".1")
	if _, err := old.WriteString("2;b\n3;c"); err != nil {
		t.Fatal(err)
	}
	write(t, file, kilnHead+"4;d\n")
	r.want("1|a", "2|b", "CSV006 3;c", "4|d")
}

func TestTruncatedFileIsReadFromItsBeginning(t *testing.T) {
	for name, rows := range map[string]string{"shorter": "8;x\n", "longer than before": "8;" + strings.Repeat("x", 3000) + "\n"} {
		t.Run(name, func(t *testing.T) {
			file := temp(t, "LOG.csv")
			write(t, file, kilnHead+"1;a\n2;b\n")
			r := start(t, kiln(file), nil)
			r.want("1|a", "2|b")
			write(t, file, kilnHead+rows) // truncates
			want := strings.ReplaceAll(strings.TrimSuffix(rows, "\n"), ";", "|")
			r.want("1|a", "2|b", want)
			from := r.stop()
			write(t, file, kilnHead+"9;y\n")
			r = start(t, kiln(file), from)
			r.want("9|y")
		})
	}
}

func TestTruncationIsStored(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\n")
	r := start(t, kiln(file), nil)
	r.want("1|a")
	write(t, file, "")
	r.placed(0)
	from := r.stop()
	write(t, file, kilnHead+"1;a\n") // the same once more
	r = start(t, kiln(file), from)
	r.want("1|a")
}

func TestHalfRowThatWasTruncatedIsADeadLetter(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\n2;half")
	r := start(t, kiln(file), nil)
	r.want("1|a")
	write(t, file, kilnHead+"3;c\n")
	r.want("1|a", "CSV006 2;half", "3|c")
}

func TestReplacedInPlaceWithTheSameFirstKiB(t *testing.T) {
	head := "n;text" + strings.Repeat(";column with a long name", 60) + "\n"
	row := func(n string) string { return n + ";a" + strings.Repeat(";0", 60) + "\n" }
	file := temp(t, "LOG.csv")
	write(t, file, head+row("1")+row("2"))
	_, from, err := once(t, kiln(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(head + row("8") + row("9") + row("7")); err != nil {
		t.Fatal(err)
	}
	got, _, err := once(t, kiln(file), from)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, "8|a", "9|a", "7|a")
}

func TestHeaderIsKeptWhenAFileGoesOnWithoutOne(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, "text;n\na;1\nb;2\n")
	r := start(t, kiln(file), nil)
	r.want("1|a", "2|b")
	write(t, file, "c;3\n") // copytruncate: the logger goes on
	r.want("1|a", "2|b", "3|c")
	if got := string(r.got[2].Head); got != "text;n" {
		t.Errorf("got head %q, want the old one", got)
	}
}

func TestAnotherHeaderIsRememberedOverARestart(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\ntext;n\nb;2\n")
	r := start(t, kiln(file), nil)
	r.want("1|a", "CSV004 b;2")
	r.state(adapters.Down, "CSV004")
	from := r.stop()
	appendTo(t, file, "c;3\n"+kilnHead+"4;d\n")
	r = start(t, kiln(file), from)
	r.want("CSV004 c;3", "4|d")
	if got := string(r.got[0].Head); got != "text;n" {
		t.Errorf("got head %q, want the one above the row", got)
	}
	r.state(adapters.Up, "")
}

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
	write(t, outside, kilnHead+"0;secret\n")
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
	write(t, in("LOG_1.csv"), kilnHead+"1;a\n")
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

func TestStartAtTheEnd(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\n2;ha")
	cfg := kiln(file)
	cfg.FromEnd = true
	got, from, err := once(t, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got)
	appendTo(t, file, "lf\n3;c\n")
	r := start(t, cfg, from)
	r.want("2|half", "3|c") // the row was not there as a whole
	if got := r.got[1].Origin; got != "LOG.csv:4" {
		t.Errorf("got origin %s, want LOG.csv:4", got)
	}
}

func TestStartAtTheEndOfNothing(t *testing.T) {
	file := temp(t, "LOG.csv")
	cfg := kiln(file)
	cfg.FromEnd = true
	r := start(t, cfg, nil)
	r.state(adapters.Down, "CSV012")
	r.until("the first look to be stored", func() bool { return r.stored != nil })
	from := r.stop()
	write(t, file, kilnHead+"1;a\n")
	r = start(t, cfg, from)
	r.want("1|a")
	r.state(adapters.Up, "")
}

func TestOnceNeedsAFile(t *testing.T) {
	if _, _, err := once(t, kiln(temp(t, "LOG.csv")), nil); err == nil {
		t.Error("got no error, want one: there is nothing to read")
	}
}

func TestWithoutFollowTheEndIsTheEnd(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\n2;b")
	cfg := kiln(file)
	cfg.Follow = false
	r := start(t, cfg, nil)
	if err := <-r.ended; err != nil {
		t.Errorf("Run returned %v, want nil", err)
	}
	r.ended = nil
	wantLines(t, r.lines(), "1|a")
}

func TestLockedFileIsTriedAgain(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("left out: root may read everything")
	}
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\n")
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	r := start(t, kiln(file), nil)
	r.until("the first look", func() bool { return r.stored != nil })
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	r.want("1|a")
}

func TestGarbledFileIsSaid(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+strings.Repeat("1,a\n", 30))
	r := start(t, kiln(file), nil)
	r.state(adapters.Garbled, "CSV014")
	appendTo(t, file, "1;a\n")
	r.state(adapters.Up, "")
}

func TestMissingColumnIsSaid(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, "n;other\n1;a\n")
	r := start(t, kiln(file), nil)
	r.want("CSV005 1;a")
	r.state(adapters.Down, "CSV005")
	if why := r.got[0].Fault.Why; !strings.Contains(why, `"text"`) || !strings.Contains(why, "n, other") {
		t.Errorf("got %q, want the missing column and those that are there", why)
	}
}

func TestDeletedFileIsLetGo(t *testing.T) {
	file := temp(t, "LOG.csv")
	write(t, file, kilnHead+"1;a\n")
	r := start(t, kiln(file), nil)
	r.want("1|a")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.state(adapters.Down, "CSV012")
	write(t, file, kilnHead+"2;b\n")
	r.want("1|a", "2|b")
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

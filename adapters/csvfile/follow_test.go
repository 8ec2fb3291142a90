package csvfile

import (
	"os"
	"strings"
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

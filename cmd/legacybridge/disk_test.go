package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A disk that is full is said within fullSaid, and work goes on within roomUsed after it has room.
const (
	fullSaid = 5 * time.Second
	roomUsed = 5 * time.Second
)

// rowSite reads a rowLog as one device, with more keys for queue, dead letters and link.
const rowSite = `
%s
[links.log]
file = "%s"
poll = "20ms"
%s
[devices.log]
type = "logger"
id = "NOW"
link = "log"
[devices.log.points]
n = { column = "n", type = "int" }
value = { column = "value", type = "decimal" }
[devices.log.events.row]
`

// says waits until the program has said so since the mark.
func (b *bridge) says(t *testing.T, limit time.Duration, mark int, text string) {
	t.Helper()
	start := time.Now()
	waitFor(t, limit, fmt.Sprintf("%q in the log", text), func() bool { return strings.Contains(b.stderr.String()[mark:], text) })
	t.Logf("%q after %s", text, time.Since(start).Round(time.Millisecond))
}

func (b *bridge) mark() int { return len(b.stderr.String()) }

// judgeRows holds what a broker got against all rows of a log.
func judgeRows(t *testing.T, l *rowLog, got []message) verdict {
	t.Helper()
	o := newOracle()
	o.names("log", nowEvent)
	for n := 1; n <= l.rows; n++ {
		if l.good(n) {
			o.row(nowEvent, values(n))
		}
	}
	v := o.judge(got)
	if v.invented > 0 || v.disordered > 0 || v.changed > 0 {
		t.Errorf("%d invented, %d out of order, %d changed: %q", v.invented, v.disordered, v.changed, v.examples)
	}
	return v
}

func TestFullDiskHoldsRowsAndResumes(t *testing.T) {
	t.Parallel() // it waits most of the time
	disks := map[string]func(v *volumes) string{
		"tmpfs of 2 MiB": func(v *volumes) string { return v.tmpfs("2m") },
		"ext4 of 16 MiB": func(v *volumes) string { return v.mount(v.ext4(filepath.Join(v.dir, "disk.img"), 16<<20), "noatime") },
		"ext4 of 85 MiB": func(v *volumes) string { return v.mount(v.ext4(filepath.Join(v.dir, "disk.img"), 85<<20), "noatime") },
	}
	for name, make := range disks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := make(newVolumes(t))
			l, w := newRowLog(t), newWitness(t)
			config := siteFile(t, w.addr(), fmt.Sprintf(rowSite, "", l.files(), ""))
			state := filepath.Join(dir, "state")
			b := startBridge(t, config, state)
			l.append(100)
			waitFor(t, 20*time.Second, "the first rows", func() bool { return w.count() >= 98 })

			for range proof(1, 1, 200) {
				mark := b.mark()
				stop := l.write()
				filler := fill(t, dir)
				b.says(t, fullSaid, mark, "disk full")
				after(500 * time.Millisecond) // rows go on coming, and nobody has room for them
				stop()
				mark, before := b.mark(), w.count()
				if err := os.Remove(filler); err != nil {
					t.Fatal(err)
				}
				waitFor(t, roomUsed, "an event after there was room", func() bool { return w.count() > before })
				waitFor(t, 30*time.Second, "all rows", func() bool { return w.count() >= l.rows-l.badRows() })
				b.says(t, 20*time.Second, mark, "disk has room again") // it has stayed away
			}
			if code := b.stop(); code != 0 {
				t.Errorf("exit code %d after SIGINT, want 0", code)
			}
			v := judgeRows(t, l, w.messages())
			if len(v.lost) > 0 || v.duplicates > 0 {
				t.Errorf("%v lost, %d duplicates; want none: %q", v.lost, v.duplicates, v.examples)
			}
			if a := stats(t, config, state)["log"]; int(a.Read) != l.rows || int(a.Delivered) != l.rows-l.badRows() || int(a.Dead) != l.badRows() {
				t.Errorf("ledger %+v, want %d read, %d dead, all others delivered", a, l.rows, l.badRows())
			}
		})
	}
}

// TestQueueThatFillsItsDiskDrains: what waits for the platform has taken all the room, the process is killed and started
// again meanwhile, and the platform coming back is all that it takes.
func TestQueueThatFillsItsDiskDrains(t *testing.T) {
	t.Parallel() // it waits most of the time
	disks := map[string]func(v *volumes) string{
		"tmpfs": func(v *volumes) string { return v.tmpfs("2m") },
		"ext4":  func(v *volumes) string { return v.mount(v.ext4(filepath.Join(v.dir, "disk.img"), 8<<20), "noatime") },
	}
	for name, make := range disks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := make(newVolumes(t))
			l, w := newRowLog(t), newWitness(t)
			config := siteFile(t, w.addr(), fmt.Sprintf(rowSite, "", l.files(), ""))
			state := filepath.Join(dir, "state")
			w.leave()
			l.append(1)
			b := startBridge(t, config, state)
			b.says(t, 20*time.Second, 0, "reading")
			fillWithRows(t, l, b)
			for range 2 {
				b.kill()
				b = startBridge(t, config, state)
				b.says(t, fullSaid+10*time.Second, 0, "disk full") // and the start of a process
			}
			mark, read := b.mark(), stats(t, config, state)["log"].Read
			w.hold(0)
			b.says(t, 20*time.Second, mark, "connected")
			waitFor(t, roomUsed, "what was held for want of room", func() bool {
				return stats(t, config, state)["log"].Read > read
			})
			waitFor(t, time.Minute, "all rows", func() bool { return w.count() >= l.rows-l.badRows() })
			if code := b.stop(); code != 0 {
				t.Errorf("exit code %d after SIGINT, want 0", code)
			}
			v := judgeRows(t, l, w.messages())
			if len(v.lost) > 0 || v.duplicates > 0 {
				t.Errorf("%v lost, %d duplicates; want none: %q", v.lost, v.duplicates, v.examples)
			}
			command(t, "queue", "verify", "-c", config, "--state", state)
			if a := stats(t, config, state)["log"]; int(a.Read) != l.rows || int(a.Delivered) != l.rows-l.badRows() || int(a.Dead) != l.badRows() {
				t.Errorf("ledger %+v, want %d read, %d dead, all others delivered", a, l.rows, l.badRows())
			}
		})
	}
}

// fillWithRows writes rows until the program says that its disk is full.
func fillWithRows(t *testing.T, l *rowLog, b *bridge) {
	t.Helper()
	mark := b.mark()
	waitFor(t, time.Minute, `"disk full" in the log`, func() bool {
		if strings.Contains(b.stderr.String()[mark:], "disk full") {
			return true
		}
		l.append(1000)
		return false
	})
}

// TestFullDiskOfDeadLettersHoldsNobodyElse: the dead letters have a disk of their own, which is full. The link that makes
// some waits with its rows; the others go on, and give up nothing although their policy would let them.
func TestFullDiskOfDeadLettersHoldsNobodyElse(t *testing.T) {
	t.Parallel()
	v := newVolumes(t)
	dead := v.tmpfs("1m")
	bad, w := newRowLog(t), newWitness(t)
	other := newRowLog(t)
	body := fmt.Sprintf(rowSite, fmt.Sprintf("[dead_letters]\npath = %q", filepath.Join(dead, "letters")), bad.files(), "") + fmt.Sprintf(otherSite, other.files())
	config, state := siteFile(t, w.addr(), body), t.TempDir()
	b := startBridge(t, config, state)
	bad.append(1)
	other.append(1)
	waitFor(t, 20*time.Second, "the first rows", func() bool { return w.count() == 2 })
	filler := fill(t, dead)
	mark := b.mark()
	bad.append(40)
	b.says(t, fullSaid, mark, "disk full: what brings dead letters")
	for range 20 { // each at once: nothing else is held up
		before := w.count()
		other.append(1)
		waitFor(t, roomUsed, "a row of the other link", func() bool { return w.count() > before })
	}
	if got := stats(t, config, state)["log"]; got.Dead != 0 || int(got.Delivered) >= bad.flaw { // the rows may have come in several batches
		t.Errorf("ledger %+v while the dead letters find no room, want what came before row %d at most", got, bad.flaw)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	want := bad.rows - bad.badRows() + other.rows - other.badRows()
	waitFor(t, roomUsed, "the rows that were held", func() bool { return w.count() == want })
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}
	books := stats(t, config, state)
	if a := books["log"]; int(a.Read) != bad.rows || int(a.Dead) != bad.badRows() || a.Dropped > 0 {
		t.Errorf("ledger %+v, want %d read and %d dead", a, bad.rows, bad.badRows())
	}
	if a := books["other"]; int(a.Read) != other.rows || a.Dropped > 0 {
		t.Errorf("ledger of the other link %+v, want %d read and none dropped", a, other.rows)
	}
}

// otherSite is a second link, which gives events up rather than wait.
const otherSite = `
[links.other]
file = "%s"
poll = "20ms"
when_full = "drop-oldest"
[devices.other]
type = "logger"
id = "OTHER"
link = "other"
[devices.other.points]
n = { column = "n", type = "int" }
[devices.other.events.row]
`

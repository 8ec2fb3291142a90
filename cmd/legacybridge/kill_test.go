package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Duplicates per kill: the window, and the acknowledgements that the cursor did not hold yet.
const duplicatesPerKill = 100 + 64

const csvDevice = `
[links.log]
file = "%s"
poll = "50ms"
[devices.log]
type = "logger"
id = "LOG-1"
link = "log"
[devices.log.points]
n = { column = "n", type = "int" }
value = { column = "value", type = "decimal" }
word = { column = "word", type = "text" }
[devices.log.events.row]
`

// A rowFile is a CSV file that counts its rows.
type rowFile struct {
	t    *testing.T
	path string
	rows int
}

func newRowFile(t *testing.T) *rowFile {
	t.Helper()
	r := &rowFile{t: t, path: filepath.Join(t.TempDir(), "log.csv")}
	if err := os.WriteFile(r.path, []byte("n,value,word\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rowFile) append(n int) {
	r.t.Helper()
	f, err := os.OpenFile(r.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	var b []byte
	for range n {
		r.rows++
		b = fmt.Appendf(b, "%d,%d.%02d,w%x\n", r.rows, r.rows%300, r.rows%100, r.rows*7919)
	}
	if _, err := f.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func TestKilledTwentyTimesLosesNothing(t *testing.T) {
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	file := newRowFile(t)
	config := siteFile(t, broker.addr, fmt.Sprintf(csvDevice, file.path))
	state := t.TempDir()

	const kills, perKill = 20, 2500
	for range kills {
		file.append(perKill)
		b := startBridge(t, config, state)
		base := sub.count()
		more := 1 + rand.IntN(perKill-200)
		waitFor(t, 20*time.Second, "traffic before the kill", func() bool { return sub.count() >= base+more })
		b.kill()
	}
	b := startBridge(t, config, state)
	want := kills * perKill
	waitFor(t, 30*time.Second, "all rows", func() bool { return sub.distinct() >= want })
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}
	v := judge(t, sub.messages(), want)
	t.Logf("%d rows, %d kills: %+v, bound %d", want, kills, v, kills*duplicatesPerKill)
	if v.lost > 0 || v.invented > 0 || v.disordered > 0 {
		t.Errorf("got %+v, want nothing lost, invented or out of order", v)
	}
	if v.duplicates > kills*duplicatesPerKill {
		t.Errorf("%d duplicates, want at most %d", v.duplicates, kills*duplicatesPerKill)
	}
	if v.duplicates == 0 {
		t.Error("no duplicate in 20 kills: the kills never hit the window, so nothing was tested")
	}
}

func TestBrokerAwayAndRestartedLosesNothing(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	file := newRowFile(t)
	b := startBridge(t, siteFile(t, broker.addr, fmt.Sprintf(csvDevice, file.path)), t.TempDir())

	file.append(1000)
	waitFor(t, 10*time.Second, "first rows", func() bool { return sub.count() >= 500 })
	broker.stop()
	// 20 s without a broker, while rows go on arriving.
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		<-tick.C
		file.append(10)
	}
	broker.start()
	file.append(1000)
	waitFor(t, 20*time.Second, "rows of the outage", func() bool { return sub.distinct() >= file.rows })
	broker.stop()
	broker.start()
	file.append(1000)
	waitFor(t, 20*time.Second, "all rows", func() bool { return sub.distinct() >= file.rows })
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}
	v := judge(t, sub.messages(), file.rows)
	t.Logf("%d rows, 2 restarts: %+v", file.rows, v)
	if v.lost > 0 || v.invented > 0 || v.disordered > 0 || v.duplicates > 2*duplicatesPerKill {
		t.Errorf("got %+v, want nothing lost, invented or out of order, and at most %d duplicates", v, 2*duplicatesPerKill)
	}
}

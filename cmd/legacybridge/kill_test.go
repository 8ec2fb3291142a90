package main_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/queue"
)

// The site that is killed: a CSV log of which rows are filtered and rows are damaged, a log of long texts that go in
// parts, a log that gives up its oldest when the queue is full, a scale, and a Modbus station.
const killSite = `
[queue]
max_bytes = "2MiB"
[links.log]
file = "%[1]s"
poll = "50ms"
[links.log.csv]
time = { column = "at", format = "%%Y-%%m-%%d %%H:%%M:%%S", zone = "UTC" }
[devices.log]
type = "logger"
id = "LOG-1"
link = "log"
[devices.log.points]
n = { column = "n", type = "int" }
value = { column = "value", type = "decimal" }
word = { column = "word", type = "text" }
[devices.log.events.row]
timestamp = "row"
[devices.log.events.third]
points = ["n"]
when = "n %% 3 == 0"
timestamp = "row"

[links.texts]
file = "%[2]s"
poll = "50ms"
[devices.texts]
type = "recorder"
id = "TXT-1"
link = "texts"
[devices.texts.points]
n = { column = "n", type = "int" }
text = { column = "text", type = "text" }
[devices.texts.events.long]

[links.bulk]
file = "%[3]s"
poll = "50ms"
when_full = "drop-oldest"
[devices.bulk]
type = "recorder"
id = "BLK-1"
link = "bulk"
[devices.bulk.points]
n = { column = "n", type = "int" }
text = { column = "text", type = "text" }
[devices.bulk.events.chunk]

[links.scale]
serial = "%[4]s"
frame = { end = "\r\n", max = 64 }
allow_unstable = true
reopen = "100ms"
[devices.scale]
type = "bench-scale"
id = "SCL-1"
link = "scale"
line = '^W (?<weight>[\d.]+) kg$'
[devices.scale.points]
weight = { from = "weight", type = "decimal", unit = "kg" }
[devices.scale.events.weighed]
[devices.scale.events.moved]
on_change = { weight = 3 }

[links.plc]
modbus_tcp = "%[5]s"
timeout = "1s"
[devices.plc]
type = "press"
id = "PRS-7"
link = "plc"
unit = 1
every = "20ms"
[devices.plc.points]
reads = { holding = 0, type = "u32" }
[devices.plc.events.status]
[devices.plc.events.moved]
on_change = { reads = 3 }
`

const (
	damagedRow = 50 // every so many rows of the log
	perKill    = 2000
	perRound   = 100 // kills, so that the memory of the test does not grow with their number
)

// TestKilledAtAnyMomentLosesNothing kills the whole program, with all three kinds of sources and an independent broker,
// shortly after the traffic of its life began, and holds the broker, the queue on disk, the files and the ledger against one another.
func TestKilledAtAnyMomentLosesNothing(t *testing.T) {
	for kills := proof(4, 60, 10_000); kills > 0; kills -= perRound {
		newKillRound(t).run(min(kills, perRound))
		if t.Failed() {
			return
		}
	}
}

// A killRound is one life of a state folder.
type killRound struct {
	t                *testing.T
	o                *oracle
	broker           *mosquitto
	sub              *subscriber
	log, texts, bulk *rowFile
	scale            *scale
	plc              *station
	config, state    string
	slack            int
	told             struct{ log, texts, bulk, scale, plc int } // what the oracle knows of
}

func textRow(size int) func(n int) string {
	return func(n int) string { return fmt.Sprintf("%d,%s", n, longText(n, size)) }
}

func longText(n, size int) string {
	word := fmt.Sprintf("t%x ", n*7919)
	return strings.Repeat(word, size/len(word))
}

func newKillRound(t *testing.T) *killRound {
	t.Helper()
	k := &killRound{t: t, o: newOracle(), broker: startMosquitto(t), state: t.TempDir()}
	k.sub = subscribe(t, k.broker.addr)
	k.log = newRowFile(t, logHeader, func(n int) string {
		if n%damagedRow == 0 {
			return fmt.Sprintf("%s,%d,ERR,w%x", logTime(n).Format(time.DateTime), n, n*7919)
		}
		return logRow(n)
	})
	k.texts = newRowFile(t, "n,text", textRow(2400))
	k.bulk = newRowFile(t, "n,text", textRow(700))
	k.scale, k.plc = newScale(t, 5*time.Millisecond), newStation(t)
	k.config = siteFileWith(t, k.broker.addr, "max_payload = 1024",
		fmt.Sprintf(killSite, k.log.path, k.texts.path, k.bulk.path, k.scale.slave.Name(), k.plc.addr()))
	for device, events := range map[string][]string{"log": {logEvent, "logger/LOG-1/third"}, "texts": {"recorder/TXT-1/long"}, "bulk": {"recorder/BLK-1/chunk"},
		"scale": {"bench-scale/SCL-1/weighed", "bench-scale/SCL-1/moved"}, "plc": {"press/PRS-7/status", "press/PRS-7/moved"}} {
		k.o.names(device, events...)
	}
	return k
}

func (k *killRound) run(kills int) {
	k.t.Helper()
	for i := range kills {
		if i%20 == min(kills, 20)/2 {
			k.outage()
		}
		k.cycle(i%4 == 0)
	}
	b := startBridge(k.t, k.config, k.state)
	k.log.append(10)
	k.feed()
	waitFor(k.t, 60*time.Second, "all that waits", func() bool {
		books := stats(k.t, k.config, k.state)
		return books["log"].Read == uint64(2*k.log.rows) && books["texts"].Read == uint64(k.texts.rows) &&
			books["bulk"].Read == uint64(k.bulk.rows) && books["log"].Waiting+books["texts"].Waiting+books["bulk"].Waiting == 0
	})
	if code := b.stop(); code != 0 {
		k.t.Errorf("exit code %d after SIGINT, want 0", code)
	}
	k.sub.settle(k.t)
	k.look("the end", 0)
	v := k.o.judge(k.sub.messages())
	k.o.holdTo(k.t, v)
	k.deadLetters()
	k.every()
	k.t.Logf("%d kills, some of them in an outage: %d events delivered, 0 lost, %d dropped by the rules; %d messages came again, %.1f a kill, at most %d (bound %d)",
		k.o.kills, v.delivered, k.o.books["all"].Dropped, v.duplicates, float64(v.duplicates)/float64(k.o.kills), v.most, duplicatesPerCut)
}

// cycle is one life of the program, ended by kill -9.
func (k *killRound) cycle(beside bool) {
	k.t.Helper()
	arrived := func(part string, from int) func() bool {
		return func() bool {
			for _, m := range k.sub.messages()[from:] {
				if strings.Contains(m.topic, part) {
					return true
				}
			}
			return false
		}
	}
	base := k.sub.count()
	b := startBridge(k.t, k.config, k.state)
	waitFor(k.t, 30*time.Second, "weighings", arrived("/SCL-1/", base))
	waitFor(k.t, 30*time.Second, "polls", arrived("/PRS-7/", base))
	base = k.sub.count()
	k.log.append(perKill)
	k.texts.append(5)
	k.bulk.append(5)
	waitFor(k.t, 30*time.Second, "rows", arrived("/LOG-1/", base))
	if beside {
		stats(k.t, k.config, k.state)
	} else {
		<-time.After(10*time.Millisecond + rand.N(80*time.Millisecond)) // the moment of the kill is the test
	}
	b.kill()
	k.o.killed(k.sub.settle(k.t))
	k.look("the kill", duplicatesPerCut)
}

// outage is a life without a broker, in which the queue fills and gives up what it may; also ended by kill -9.
func (k *killRound) outage() {
	k.t.Helper()
	k.broker.stop()
	b := startBridge(k.t, k.config, k.state)
	waitFor(k.t, 60*time.Second, "the queue to give up what it may", func() bool {
		k.bulk.append(500)
		return stats(k.t, k.config, k.state)["bulk"].Dropped > 0
	})
	b.kill()
	k.broker.start()
	k.slack += duplicatesPerCut // what the broker had got, and the cursor did not know, may now stand as dropped
	k.o.killed(k.sub.settle(k.t))
	k.look("the outage", duplicatesPerCut)
}

// feed tells the oracle what the equipment has said since.
func (k *killRound) feed() {
	for n := &k.told.log; *n < k.log.rows; {
		*n++
		if *n%damagedRow == 0 {
			continue
		}
		k.o.row(logEvent, logBody(*n))
		if *n%3 == 0 {
			k.o.row("logger/LOG-1/third", fmt.Sprintf(`{"d":{"n":%d},"ts":"%s"}`, *n, stamp(*n)))
		}
	}
	for n := &k.told.texts; *n < k.texts.rows; {
		*n++
		k.o.row("recorder/TXT-1/long", fmt.Sprintf(`{"d":{"n":%d,"text":%q}`, *n, longText(*n, 2400)))
	}
	for n := &k.told.bulk; *n < k.bulk.rows; {
		*n++
		k.o.row("recorder/BLK-1/chunk", fmt.Sprintf(`{"d":{"n":%d,"text":%q}`, *n, longText(*n, 700)))
	}
	for n, last := &k.told.scale, k.scale.printed(); *n < last; {
		*n++
		k.o.said("bench-scale/SCL-1/weighed", fmt.Sprintf(`{"d":{"weight":%d.25}`, *n))
		k.o.said("bench-scale/SCL-1/moved", fmt.Sprintf(`{"d":{"weight":%d.25}`, *n))
	}
	for n, last := &k.told.plc, k.plc.reads(); *n < last; {
		*n++
		k.o.said("press/PRS-7/status", fmt.Sprintf(`{"d":{"reads":%d}`, *n))
		k.o.said("press/PRS-7/moved", fmt.Sprintf(`{"d":{"reads":%d}`, *n))
	}
}

// look holds the disk, with no process on it, against the broker and the files. The ledger's delivered are those whose
// acknowledgement the cursor holds, so the broker may have more: late of them, over all devices, and what was dropped
// while it was in flight; never fewer.
func (k *killRound) look(when string, late int) {
	t := k.t
	t.Helper()
	k.feed()
	k.o.books = stats(t, k.config, k.state)
	rep, err := queue.Verify(queue.Config{Path: filepath.Join(k.state, "queue"), Dead: queue.DeadConfig{Path: filepath.Join(k.state, "dead")}})
	if err != nil || slices.ContainsFunc(rep.Faults, func(f queue.Fault) bool { return !f.Torn || late == 0 }) { // a kill may cut a write off
		t.Errorf("after %s: verify says %+v, %v", when, rep.Faults, err)
	}
	v := look(t, k.state)
	k.o.holds(t, v)
	waiting := map[string]uint64{}
	counted := map[uint64]bool{}
	for e, err := range v.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if !counted[e.First] {
			counted[e.First] = true
			waiting[e.Event.Device]++
		}
	}
	for device, file := range map[string]*rowFile{"log": k.log, "texts": k.texts, "bulk": k.bulk} {
		units := 1
		if device == "log" {
			units = 2
		}
		if got, want := k.o.books[device].Read, uint64(units*rowsPassed(t, v, device, file.path)); got != want {
			t.Errorf("after %s: %s: the ledger has read %d, the checkpoint has passed rows for %d", when, device, got, want)
		}
	}
	k.o.take(k.sub.messages())
	more := 0
	for device, a := range k.o.books {
		if device == "all" {
			continue
		}
		if a.Waiting != waiting[device] {
			t.Errorf("after %s: %s: the ledger has %d waiting, the queue %d", when, device, a.Waiting, waiting[device])
		}
		got := k.o.delivered[device]
		if got < int(a.Delivered) || late == 0 && a.Dropped == 0 && got > int(a.Delivered) {
			t.Errorf("after %s: %s: the ledger has %d delivered, the broker got %d", when, device, a.Delivered, got)
		}
		// What is dropped may have been on its way, and the broker may have got it.
		more += max(min(0, got-int(a.Delivered)), got-int(a.Delivered)-int(a.Dropped))
	}
	if more > late+k.slack {
		t.Errorf("after %s: the broker got %d events more than the ledger has delivered, want at most %d", when, more, late+k.slack)
	}
	if t.Failed() {
		t.Fatalf("after %s %d:\n%s", when, k.o.kills, strings.Join(k.o.examples, "\n"))
	}
}

// deadLetters holds the damaged records against the dead letters: each is there, and nothing else.
func (k *killRound) deadLetters() {
	k.t.Helper()
	found := letters(k.t, k.state)
	rows := 0
	for n := damagedRow; n <= k.log.rows; n += damagedRow {
		rows++
		if found[k.log.form(n)] == 0 {
			k.t.Errorf("damaged row %d is not among the dead letters", n)
		}
		delete(found, k.log.form(n))
	}
	if got := k.o.books["log"].Dead; got != uint64(2*rows) {
		k.t.Errorf("the ledger has %d dead of %d damaged rows of two events each", got, rows)
	}
	for raw := range found {
		if !strings.HasPrefix(raw, "W ") {
			k.t.Errorf("a dead letter of a record that was never damaged: %q", raw)
		}
	}
	// A letter is on disk before the ledger counts it, and a line is not read twice: a kill between leaves the letter alone.
	if got := k.o.books["scale"].Dead; got > uint64(2*len(found)) {
		k.t.Errorf("the ledger has %d dead of %d damaged weighings of two events each", got, len(found))
	}
}

// every wants each column of the ledger to have been used.
func (k *killRound) every() {
	k.t.Helper()
	a := k.o.books["all"]
	if a.Filtered == 0 || a.Delivered == 0 || a.Dead == 0 || a.Dropped == 0 {
		k.t.Errorf("a column of the ledger was not tried: %+v", a)
	}
	k.t.Logf("ledger: %+v", k.o.books)
}

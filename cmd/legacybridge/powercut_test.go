package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The program works on an ext4 whose image lies on an XFS. A reflink copy of the image is what a power cut at that moment
// would leave on the disk; it is mounted, and the program is started on it. The one that was copied works on, so one
// process is cut at thousands of moments.
//
// Each row of a log makes two events. The one of device now is sent at once: when the broker has it, its record was
// promised to be on disk, and in the same record, one number below, is that of device later, which waits to be joined.
// The logger then deletes the row. So what the broker has seen by the cut says, byte for byte, what must be on the copy,
// and nothing else has it any more.
const powerSite = `
[queue]
max_bytes = "2MiB"
linger = "%s"
[dead_letters]
max_bytes = "1MiB"
[links.log]
file = "%s"
poll = "20ms"
[devices.later]
type = "logger"
id = "LATER"
link = "log"
[devices.later.points]
n = { column = "n", type = "int" }
value = { column = "value", type = "decimal" }
[devices.later.events.row]
batch = { max = 1000, within = "1h" }
[devices.now]
type = "logger"
id = "NOW"
link = "log"
[devices.now.points]
n = { column = "n", type = "int" }
value = { column = "value", type = "decimal" }
[devices.now.events.row]
`

const (
	nowEvent   = "logger/NOW/row"
	laterEvent = "logger/LATER/row"
	nowTopic   = "iot-2/type/logger/id/NOW/evt/row/fmt/json"
	laterTopic = "iot-2/type/logger/id/LATER/evt/row/fmt/json"

	// A power cut may undo the acknowledgements since the cursor was last synced: a second, and a tenth until it is
	// written. A busy machine may need longer for it.
	cursorAge = 1100 * time.Millisecond
	busyAge   = cursorAge + 4*time.Second
	longAgo   = 2 * busyAge // what was acknowledged then must never come again
	window    = 100
)

func TestPowerCutsLoseNothing(t *testing.T) {
	cuts := proof(3, 60, 5000)
	mounts := []string{"commit=5"}
	if cuts >= 5000 {
		mounts = []string{"commit=1", "commit=5", "commit=1000"}
	}
	for _, options := range mounts {
		t.Run(options, func(t *testing.T) {
			p := newPowerPlant(t, program, options)
			var sum cutResult
			for n := range cuts / len(mounts) {
				p.round(n, &sum)
				if t.Failed() {
					break
				}
			}
			p.finish()
			t.Logf("%d cuts, %d rows, %d events promised and not acknowledged at a cut: %d lost; duplicates after a cut: %d at most, %.1f on average, "+
				"bound of that cut %d (in flight + acknowledged since the cursor was last synced); oldest acknowledgement undone: %s",
				sum.cuts, p.rows, sum.promised, sum.lost, sum.most, float64(sum.duplicates)/float64(max(sum.cuts, 1)), sum.bound, sum.undone.Round(time.Millisecond))
			if sum.duplicates == 0 || sum.promised == 0 {
				t.Error("nothing was in flight at any cut, so nothing was tested")
			}
		})
	}
}

// TestPowerCutsWithoutFileSyncLose is the control: a program that does not sync its files must lose in the same harness.
func TestPowerCutsWithoutFileSyncLose(t *testing.T) {
	cuts := proof(0, 5, 5)
	if cuts == 0 {
		t.Log("the control of the power cuts builds a program of its own: PROOF=ci")
		return
	}
	mutant := filepath.Join(t.TempDir(), "legacybridge-mutants")
	build := exec.Command("go", "build", "-tags", "mutants", "-o", mutant, "legacybridge/cmd/legacybridge")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p := newPowerPlant(t, mutant, "commit=5", "LEGACYBRIDGE_BUG=missing-file-sync")
	var sum cutResult
	for n := range cuts {
		p.mayLose = true
		p.round(n, &sum)
	}
	t.Logf("without the file sync: %d cuts, %d events lost, %d of %d promised records gone", sum.cuts, sum.lost, sum.missing, sum.promised)
	if sum.lost == 0 || sum.missing == 0 {
		t.Errorf("%d cuts of a program that does not sync its files lost %d events: this harness shows nothing", cuts, sum.lost)
	}
}

// A powerPlant is the program at work, on a disk that can be copied at any moment.
type powerPlant struct {
	t *testing.T
	*volumes
	*rowLog
	under   string // the XFS
	image   string // on it, the program's disk
	w       *witness
	b       *bridge
	config  string
	floor   int       // rows up to here were acknowledged long ago
	left    time.Time // when the broker went away last
	mayLose bool      // it is the control
}

func newPowerPlant(t *testing.T, binary, options string, env ...string) *powerPlant {
	t.Helper()
	v := newVolumes(t)
	p := &powerPlant{t: t, volumes: v, rowLog: newRowLog(t), w: newWitness(t)}
	p.under = v.mount(v.image(filepath.Join(v.dir, "xfs.img"), 512<<20, "mkfs.xfs", "-q", "-m", "reflink=1"), "noatime")
	p.image = v.ext4(filepath.Join(p.under, "disk.img"), 64<<20)
	disk := v.mount(p.image, options)
	p.config = p.site(p.w)
	p.b = startProgram(t, binary, env, p.config, filepath.Join(disk, "state"))
	p.append(1) // the first look of all takes the newest file alone
	waitFor(t, 30*time.Second, "the first row", func() bool { return p.w.count() > 0 })
	return p
}

func (p *powerPlant) site(w *witness) string {
	linger := "5ms"
	if rand.IntN(2) == 0 {
		linger = "100ms"
	}
	return siteFile(p.t, w.addr(), fmt.Sprintf(powerSite, linger, p.files()))
}

// A cutResult sums up what the cuts showed.
type cutResult struct {
	cuts       int
	promised   int // events promised, and not acknowledged at the cut
	missing    int // of these, not there as they were promised
	lost       int // events that came neither before nor after
	duplicates int
	most       int // duplicates of one cut
	bound      int // of that cut: in flight, and acknowledged within cursorAge
	undone     time.Duration
}

// round lets the program work, cuts its power at some moment, and holds what is left against what was promised.
func (p *powerPlant) round(n int, sum *cutResult) {
	t := p.t
	t.Helper()
	hold, leaves := 0, false
	switch n % 4 {
	case 0:
		hold = never // the window is full of what nobody acknowledged
	case 1:
		hold = window / 2 // late
	case 2:
		// Drops soon after the login, one after the other, are taken for another client with the same id, rightly.
		leaves = time.Since(p.left) > 15*time.Second
	}
	p.w.hold(hold)
	before := p.w.count()
	stop := p.write()
	waitFor(t, 30*time.Second, "traffic before the cut", func() bool { return p.w.count() > before })
	after(time.Duration(rand.Int64N(int64(200 * time.Millisecond))))
	if leaves {
		p.w.leave()
		p.left = time.Now()
		after(time.Duration(rand.Int64N(int64(100 * time.Millisecond))))
	}
	promised := p.w.count()
	copied := filepath.Join(p.under, fmt.Sprintf("cut-%d.img", n))
	if err := reflink(p.image, copied); err != nil {
		leftOut(t, "a reflink copy on XFS: "+err.Error())
	}
	at := time.Now()
	came := p.w.told()
	stop()
	p.w.hold(0)

	c := p.look(came, promised, at)
	p.remove(c.seen) // what is promised is nowhere else now
	got := p.restart(copied, n%5 == 0)
	p.judge(c, got, sum)
	p.forget(came, at)
}

// after waits: a cut at any moment needs one.
func after(d time.Duration) { <-time.After(d) }

func reflink(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())), dst.Close())
}

// restart runs the program on the copy until it has read and delivered all, and gives what the broker of the copy got.
func (p *powerPlant) restart(copied string, books bool) []message {
	t := p.t
	t.Helper()
	disk := p.mount(copied, "commit=5")
	state := filepath.Join(disk, "state")
	w := newWitness(t)
	config := p.site(w)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "run", "--once", "-c", config, "--state", state)
	if out, err := cmd.CombinedOutput(); err != nil && !p.mayLose {
		t.Errorf("the program on what a power cut left: %v\n%s", err, out)
	}
	if books && !p.mayLose {
		p.books(config, state)
	}
	p.unmount(disk)
	if err := os.Remove(copied); err != nil {
		t.Error(err)
	}
	return w.messages()
}

// books holds the ledger and the dead letters of a drained copy against the rows: each was taken exactly once.
func (p *powerPlant) books(config, state string) {
	t := p.t
	t.Helper()
	command(t, "queue", "verify", "-c", config, "--state", state)
	for device, a := range stats(t, config, state) {
		if device != "now" && device != "later" {
			continue
		}
		if a.Read != uint64(p.rows) || a.Dead != uint64(p.badRows()) || a.Delivered != uint64(p.rows-p.badRows()) {
			t.Errorf("ledger of %s: %+v, want %d rows read, %d of them dead, all others delivered", device, a, p.rows, p.badRows())
		}
	}
	raw := letters(t, state)
	for n := p.rows; n > max(p.rows-1000, 0); n-- { // old ones go with their size
		if !p.good(n) && raw[badRow(n)] < 2 {
			t.Errorf("row %d: %d dead letters, want one of each device", n, raw[badRow(n)])
		}
	}
}

// finish stops the program that was never cut: it has lost nothing either.
func (p *powerPlant) finish() {
	t := p.t
	t.Helper()
	p.w.hold(0)
	if code := p.b.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}
}

// events takes joined messages apart.
func events(t testing.TB, m message) []message {
	t.Helper()
	if !strings.HasPrefix(m.payload, "[") {
		return []message{m}
	}
	var parts []json.RawMessage
	if err := json.Unmarshal([]byte(m.payload), &parts); err != nil {
		t.Fatalf("payload %.100q: %v", m.payload, err)
	}
	all := make([]message, len(parts))
	for i, part := range parts {
		all[i] = message{m.topic, string(part)}
	}
	return all
}

// rowOf is the row that an event says it is of.
func rowOf(t testing.TB, m message) int {
	t.Helper()
	var p struct{ D struct{ N int } }
	if err := json.Unmarshal([]byte(m.payload), &p); err != nil {
		t.Fatalf("payload %.100q: %v", m.payload, err)
	}
	return p.D.N
}

// laterOf is the event that lies beside one of device now in the same record.
func laterOf(t testing.TB, m message) message {
	t.Helper()
	at := strings.LastIndexByte(m.payload, '-')
	number, err := strconv.Atoi(strings.TrimSuffix(m.payload[at+1:], `"}`))
	if err != nil {
		t.Fatalf("payload %.100q: %v", m.payload, err)
	}
	return message{laterTopic, fmt.Sprintf(`%s-%d"}`, m.payload[:at], number-1)}
}

func startProgram(t *testing.T, binary string, env []string, config, state string) *bridge {
	t.Helper()
	b := &bridge{t: t, stderr: &syncBuffer{}}
	b.cmd = exec.Command(binary, "run", "-c", config, "--state", state)
	b.cmd.Env = append(os.Environ(), env...)
	b.cmd.Stderr, b.cmd.Stdout = b.stderr, b.stderr
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.kill()
		if t.Failed() {
			t.Logf("the bridge said:\n%s", b.stderr.String())
		}
	})
	return b
}

package queue_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/publisher/queue"
)

// cutting is a test in which a failure says where the power was cut.
type cutting struct {
	*testing.T
	where string
}

func (c *cutting) Fatalf(format string, args ...any) {
	c.T.Helper()
	c.T.Fatalf(c.where+": "+format, args...)
}

// operations are what workloads are made of.
var operations = map[byte]func(m *model){
	'a': func(m *model) { m.append(m.links[0]) },
	'b': func(m *model) { m.append(m.links[1]) },
	'r': func(m *model) { m.readSome(4); m.ack(3) },
	'x': func(m *model) { m.readSome(100); m.ack(100) },
	's': func(m *model) { m.readSome(1); m.setAside() },
	'd': func(m *model) { m.dropLetter() },
	'w': func(m *model) { time.Sleep(1200 * time.Millisecond) },
	'k': func(m *model) { m.startAgain("kill") },
	'c': func(m *model) { m.startAgain("close") },
}

// startAgain is a restart in a workload: the end of the process may be cut, and changes are counted on after it.
func (m *model) startAgain(how string) {
	if how == "close" {
		_ = m.r.Close()
		if err := m.q.Close(); m.fs.isOff() {
			return
		} else if err != nil {
			m.t.Fatalf("close: %v", err)
		}
		how = "kill" // it has ended already
	}
	_, _, left := m.fs.state()
	m.restart(how)
	m.fs.cutAfter(left)
}

// workloads are all sequences of up to n operations.
func workloads(n int) []string {
	list, last := []string(nil), []string{""}
	for range n {
		var longer []string
		for _, w := range last {
			for _, op := range "arxsdwkc" {
				longer = append(longer, w+string(op))
			}
		}
		list, last = append(list, longer...), longer
	}
	return list
}

// TestPowerCutAtEveryOperation runs workloads on a queue that holds something, with the power cut before their first change of
// the disk, their second, and so on, with all, nothing, and a part of what was not synced on the disk. PROOF=ci: every
// workload of up to three operations; PROOF=soak: of four.
func TestPowerCutAtEveryOperation(t *testing.T) {
	n := proof(2, 3, 4)
	list := workloads(max(n, 1))
	cuts := cutAll(t, list, false)
	t.Logf("%d workloads of up to %d operations, %d power cuts", len(list), n, cuts)
	if cuts < 3*len(list) {
		t.Errorf("%d cuts: the workloads did not do what they should", cuts)
	}
}

// TestPowerCutAtEveryOperationOfTheStartAfterIt cuts the start after a cut too, wherever it changes something.
func TestPowerCutAtEveryOperationOfTheStartAfterIt(t *testing.T) {
	list := []string{"aab", "abxab", "arbrw", "aaxwbb", "asbs", "akbkx", "aabbxw"}
	list = append(list, workloads(proof(0, 2, 3))...)
	cuts := cutAll(t, list, true)
	t.Logf("%d workloads, %d power cuts", len(list), cuts)
	if cuts < 500 {
		t.Errorf("%d cuts, want at least 500: the workloads did not do what they should", cuts)
	}
}

func cutAll(t *testing.T, workloads []string, start bool) (cuts int) {
	for _, w := range workloads {
		for _, kept := range []string{"all", "nothing", "half"} {
			for _, segment := range []int64{600, 8000} { // with rolls; with room that is laid
				for at := 1; ; at++ {
					ended := false
					synctest.Test(t, func(t *testing.T) { ended = cutOnce(t, w, kept, segment, at, start, &cuts) })
					if ended || t.Failed() {
						break
					}
				}
			}
		}
	}
	return cuts
}

// cutOnce is one run, with the power cut at a change of the workload; ended says that it has no so many.
func cutOnce(t *testing.T, workload, kept string, segment int64, at int, start bool, cuts *int) (ended bool) {
	n := 0
	pick := func(what string, lo, hi int) int {
		if what == "kept" {
			switch kept {
			case "all":
				return hi
			case "nothing":
				return lo
			default:
				return (lo + hi + 1) / 2
			}
		}
		n++
		return lo + n*7%(hi-lo+1)
	}
	c := &cutting{T: t, where: fmt.Sprintf("%s, segments of %d, %s kept, cut at %d", workload, segment, kept, at)}
	m := startModel(c, pick, &tally{}, queue.Config{Segment: segment, WhenFull: map[string]queue.WhenFull{}}, "a", "b")
	defer m.end()
	m.append(m.links[0])
	m.append(m.links[1])
	synctest.Wait()
	m.fs.cutAfter(at)
	for _, op := range []byte(workload) {
		if m.fs.isOff() {
			break
		}
		operations[op](m)
		synctest.Wait()
	}
	if !m.fs.isOff() {
		return true
	}
	*cuts++
	_, m.since = m.fs.cursorTimes()
	m.again = math.MaxInt
	_ = m.r.Close()
	_ = m.q.Close()
	m.fs.crash(func(n int) int { return pick("kept", 0, n-1) })
	for again := 1; start; again++ {
		c.where = fmt.Sprintf("%s, segments of %d, %s kept, cut at %d, the start after it at %d", workload, segment, kept, at, again)
		m.fs.cutAfter(again)
		q, err := queue.Open(m.cfg)
		synctest.Wait()
		if err == nil && !m.fs.isOff() {
			_ = q.Close()
			m.fs.kill()
			break
		}
		if err != nil && !errors.Is(err, errCut) {
			c.Fatalf("open: %v", err)
		}
		if err == nil {
			_ = q.Close()
		}
		if m.fs.leftOpen() != 0 {
			c.Fatalf("%d files are open after a start that failed", m.fs.leftOpen())
		}
		*cuts++
		m.fs.crash(func(n int) int { return pick("kept", 0, n-1) })
	}
	m.open()
	m.verify()
	m.restart("kill")
	m.append(m.links[0])
	m.restart("close")
	return false
}

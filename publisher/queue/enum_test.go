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

// TestPowerCutAtEveryOperation runs workloads with the power cut before their first change of the disk, their second, and
// so on, and again before each change that the next start makes, with all, nothing, and a part of what was not synced
// on the disk.
func TestPowerCutAtEveryOperation(t *testing.T) {
	steps := map[byte]func(m *model){
		'a': func(m *model) { m.append(m.links[0]) },
		'b': func(m *model) { m.append(m.links[1]) },
		'r': func(m *model) { m.readSome(4); m.ack(3) },
		'x': func(m *model) { m.readSome(100); m.ack(100) },
		's': func(m *model) { m.readSome(1); m.setAside() },
		'w': func(m *model) { time.Sleep(1200 * time.Millisecond) },
		'k': func(m *model) { m.restart("kill") },
	}
	cuts := 0
	for _, workload := range []string{"aab", "abxab", "arbrw", "aaxwbb", "asbs", "akbkx", "aabbxw"} {
		for _, part := range []string{"all", "nothing", "half"} {
			for at := 1; ; at++ {
				ended := false
				synctest.Test(t, func(t *testing.T) {
					ended = cutOnce(t, steps, workload, part, at, &cuts)
				})
				if ended {
					break
				}
			}
		}
	}
	t.Logf("%d cuts", cuts)
	if cuts < 500 {
		t.Errorf("%d cuts, want at least 500: the workloads did not do what they should", cuts)
	}
}

func cutOnce(t *testing.T, steps map[byte]func(m *model), workload, part string, at int, cuts *int) (ended bool) {
	n := 0
	pick := func(what string, lo, hi int) int {
		if what == "kept" {
			switch part {
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
	c := &cutting{T: t, where: fmt.Sprintf("%s, %s kept, cut at %d", workload, part, at)}
	m := startModel(c, pick, &tally{}, queue.Config{WhenFull: map[string]queue.WhenFull{}}, "a", "b")
	defer m.end()
	m.fs.cutAfter(at)
	for _, s := range []byte(workload) {
		if m.fs.isOff() {
			break
		}
		_, _, left := m.fs.state()
		steps[s](m)
		synctest.Wait()
		if s == 'k' { // a new start counts from the beginning
			m.fs.cutAfter(left)
		}
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
	// The start after it is cut too, wherever it changes something.
	for again := 1; ; again++ {
		c.where = fmt.Sprintf("%s, %s kept, cut at %d, the start after it at %d", workload, part, at, again)
		m.fs.cutAfter(again)
		m.cfg.FS = m.fs
		q, err := queue.Open(m.cfg)
		synctest.Wait()
		if err == nil && !m.fs.isOff() {
			m.fs.cutAfter(0)
			m.q, m.r, m.read = q, q.NewReader(), nil
			synctest.Wait()
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
	m.verify()
	m.restart("kill")
	m.append(m.links[0])
	m.restart("close")
	return false
}

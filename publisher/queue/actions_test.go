package queue_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/publisher/queue"

	"pgregory.net/rapid"
)

// seen counts what a run of the model did: a run that never met what it is for has shown nothing.
var seen struct {
	sequences, steps, kills, cuts, damages, full int
	again, mostAgain                             int
}

func (m *model) link() *modelLink {
	return m.links[m.pick("link", 0, len(m.links)-1)]
}

// traffic is what goes on while something fails.
func (m *model) traffic() {
	for range 4 {
		m.append(m.link())
		m.readSome(3)
		m.ack(2)
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	act := func(f func()) func(*rapid.T) { return func(*rapid.T) { f() } }
	return map[string]func(*rapid.T){
		"":           func(*rapid.T) { seen.steps++ },
		"append":     act(func() { m.append(m.link()) }),
		"append2":    act(func() { m.append(m.link()); m.append(m.link()) }),
		"append3":    act(func() { m.append(m.link()); m.append(m.link()); m.append(m.link()) }),
		"next":       act(func() { m.readSome(m.pick("n", 1, 12)) }),
		"ack":        act(func() { m.ack(m.pick("n", 1, 9)) }),
		"drain":      act(func() { m.readSome(1000); m.ack(1000) }),
		"aside":      act(m.setAside),
		"dropLetter": act(m.dropLetter),
		"second":     act(m.second),
		"wait":       act(func() { time.Sleep(time.Duration(m.pick("ms", 50, 1500)) * time.Millisecond) }),
		"writeBack": act(func() {
			synctest.Wait()
			m.fs.writeBack(func(n int) int { return m.pick("kept", 0, n-1) })
		}),
		"close": act(func() { m.restart("close") }),
		"kill":  act(func() { m.restart("kill") }),
		"crash": act(func() { m.restart("crash") }),
		"crashAt": act(func() {
			synctest.Wait()
			m.fs.cutAfter(m.pick("ops", 1, 8))
			m.traffic()
			m.restart([]string{"kill", "crash"}[m.pick("how", 0, 1)])
		}),
		"failAt": act(func() {
			synctest.Wait()
			how := []failure{eio, enospc, short}[m.pick("failure", 0, 2)]
			m.fs.failAfter(m.pick("ops", 1, 8), how, how != eio || m.pick("once", 0, 1) == 1)
			m.traffic()
			if m.q.Err() == nil {
				m.fs.failAfter(0, eio, false)
				time.Sleep(5 * time.Second) // a disk that was full for a moment is used again
				synctest.Wait()
			}
			// The service manager starts it again, on what the memory of the system says; and then the power goes.
			m.restart("kill")
			m.append(m.link())
			m.restart("crash")
		}),
		"full": act(func() {
			m.fs.setSize(m.fs.usedNow() + int64(m.pick("free", 0, 3000)))
			m.tight = true
			seen.full++
		}),
		"room": act(func() {
			m.fs.setSize(0)
			time.Sleep(5 * time.Second)
			if m.q.State().DiskFull {
				m.t.Fatalf("the disk has room for 5 s, and the queue says that it is full")
			}
		}),
	}
}

// TestModel runs random sequences on the queue, each in virtual time that begins anew, so that it can be repeated.
// PROOF=ci: 20,000; PROOF=soak: 1,000,000.
func TestModel(t *testing.T) {
	seed := fixRapid(proof(400, 20_000, 1_000_000))
	seen.sequences = 0
	began := time.Now()
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, sequence) })
	d := time.Since(began)
	crashes := seen.kills + seen.cuts
	t.Logf("seed %d: %d sequences, %d steps, %d crashes (%d kills, %d power cuts), %d bytes damaged, %d times a full disk; "+
		"%d events came again, %d at most after one; %.1f s, %.0f crashes/s", seed, seen.sequences, seen.steps, crashes, seen.kills,
		seen.cuts, seen.damages, seen.full, seen.again, seen.mostAgain, d.Seconds(), float64(crashes)/d.Seconds())
	if seen.sequences >= 100 && (seen.again == 0 || seen.damages == 0 || seen.full == 0) {
		t.Errorf("a run that never met what it is for has shown nothing: %+v", seen)
	}
}

// fixRapid sets how many sequences there are, unless the command line says it, and the seed that is printed.
func fixRapid(sequences int) (seed uint64) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", fmt.Sprint(sequences))
	}
	f := flag.Lookup("rapid.seed")
	if _, _ = fmt.Sscan(f.Value.String(), &seed); seed == 0 {
		seed = rand.Uint64() >> 1
		_ = flag.Set("rapid.seed", fmt.Sprint(seed))
	}
	return seed
}

func sequence(t *rapid.T) {
	seen.sequences++
	pick := func(what string, lo, hi int) int { return between(lo, hi).Draw(t, what) }
	cfg := queue.Config{Segment: int64([]int{1, 600, 600, 2000}[pick("segment", 0, 3)])}
	links := []string{"a", "b"}
	kind := pick("kind", 0, 3) // one in four each: nothing special, a full queue, a full disk, damage
	if kind == 1 {
		cfg.MaxBytes = 4000
	}
	if kind == 1 || kind == 2 {
		cfg.WhenFull = map[string]queue.WhenFull{"old": queue.DropOldest, "new": queue.DropNewest}
		links = []string{"stop", "old", "new"}
	}
	m := startModel(t, pick, cfg, links...)
	defer m.end()
	actions := m.actions()
	if kind == 2 {
		m.fs.setShort(pick("short", 0, 1) == 1)
	} else {
		delete(actions, "full")
		delete(actions, "room")
	}
	if kind == 3 {
		actions["damage"] = func(*rapid.T) { m.damage() }
	}
	t.Repeat(actions)
	m.fs.setSize(0)
	m.restart("close")
	m.shut("close")
}

// generators are made once: making one takes longer than drawing from it.
var generators = map[[2]int]*rapid.Generator[int]{}

func between(lo, hi int) *rapid.Generator[int] {
	g := generators[[2]int{lo, hi}]
	if g == nil {
		g = rapid.IntRange(lo, hi)
		generators[[2]int{lo, hi}] = g
	}
	return g
}

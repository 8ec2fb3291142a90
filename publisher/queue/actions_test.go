package queue_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/publisher/queue"

	"pgregory.net/rapid"
)

// A tally counts what a run of the model did: a run that never met what it is for has shown nothing.
type tally struct {
	sequences, steps, kills, cuts, damages, full int
	again, mostAgain                             int
}

func (t *tally) add(o *tally) {
	t.sequences += o.sequences
	t.steps += o.steps
	t.kills += o.kills
	t.cuts += o.cuts
	t.damages += o.damages
	t.full += o.full
	t.again += o.again
	t.mostAgain = max(t.mostAgain, o.mostAgain)
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
		"":           func(*rapid.T) { m.tally.steps++ },
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
			m.tally.full++
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

// TestModel runs random sequences on the queue, each in virtual time that begins anew, so that it can be repeated; on every
// processor a part of them. PROOF=ci: 20,000; PROOF=soak: 1,000,000. A failure says the seed that repeats it.
func TestModel(t *testing.T) {
	parts := runtime.GOMAXPROCS(0)
	first := modelSeeds(proof(400, 20_000, 1_000_000) / parts)
	tallies := make([]tally, parts)
	began := time.Now()
	t.Run("part", func(t *testing.T) {
		var flags sync.Mutex // rapid has one seed, and reads it before the first sequence
		for i := range parts {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				flags.Lock()
				_ = flag.Set("rapid.seed", fmt.Sprint(first+uint64(i)<<48))
				begun := sync.OnceFunc(flags.Unlock)
				defer begun()
				rapid.Check(t, func(t *rapid.T) {
					begun()
					rapid.SyncTest(t, func(t *rapid.T) { sequence(t, &tallies[i]) })
				})
			})
		}
	})
	_ = flag.Set("rapid.seed", fmt.Sprint(first))
	d := time.Since(began)
	sum := tally{}
	for i := range tallies {
		sum.add(&tallies[i])
	}
	crashes := sum.kills + sum.cuts
	t.Logf("seed %d: %d sequences, %d steps, %d crashes (%d kills, %d power cuts), %d bytes damaged, %d times a full disk; %d events "+
		"came again, %d at most after one crash; %.1f s on %d processors, %.0f crashes/s", first, sum.sequences, sum.steps, crashes, sum.kills,
		sum.cuts, sum.damages, sum.full, sum.again, sum.mostAgain, d.Seconds(), parts, float64(crashes)/d.Seconds())
	if sum.sequences >= 400 && (sum.again == 0 || sum.damages == 0 || sum.full == 0) {
		t.Errorf("a run that never met what it is for has shown nothing: %+v", sum)
	}
}

// modelSeeds sets how many sequences a part has, unless the command line says it, and gives the first seed.
func modelSeeds(sequences int) (seed uint64) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", fmt.Sprint(sequences))
	}
	if _, _ = fmt.Sscan(flag.Lookup("rapid.seed").Value.String(), &seed); seed == 0 {
		seed = rand.Uint64() >> 16
	}
	return seed
}

func sequence(t *rapid.T, seen *tally) {
	seen.sequences++
	pick := func(what string, lo, hi int) int { return between(lo, hi).Draw(t, what) }
	cfg := queue.Config{Segment: int64([]int{1, 600, 600, 2000, 8000}[pick("segment", 0, 4)])}
	links := []string{"a", "b"}
	kind := pick("kind", 0, 3) // one in four each: nothing special, a full queue, a full disk, damage
	if kind == 1 {
		cfg.MaxBytes = 4000
	}
	if kind == 1 || kind == 2 {
		cfg.WhenFull = map[string]queue.WhenFull{"old": queue.DropOldest, "new": queue.DropNewest}
		links = []string{"stop", "old", "new"}
	}
	m := startModel(t, pick, seen, cfg, links...)
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
var generators sync.Map

func between(lo, hi int) *rapid.Generator[int] {
	g, ok := generators.Load([2]int{lo, hi})
	if !ok {
		g, _ = generators.LoadOrStore([2]int{lo, hi}, rapid.IntRange(lo, hi))
	}
	return g.(*rapid.Generator[int])
}

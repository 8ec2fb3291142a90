package queue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/publisher/queue"

	"pgregory.net/rapid"
)

func (m *model) link() *modelLink {
	return m.links[m.pick("link", 0, len(m.links)-1)]
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"append":  func(*rapid.T) { m.append(m.link()) },
		"append2": func(*rapid.T) { m.append(m.link()); m.append(m.link()) },
		"next":    func(t *rapid.T) { m.readSome(m.pick("n", 1, 12)) },
		"ack":     func(t *rapid.T) { m.ack(m.pick("n", 1, 9)) },
		"drain":   func(*rapid.T) { m.readSome(1000); m.ack(1000) },
		"aside":   func(*rapid.T) { m.setAside() },
		"wait":    func(t *rapid.T) { time.Sleep(time.Duration(m.pick("ms", 50, 1500)) * time.Millisecond) },
		"close":   func(*rapid.T) { m.restart("close") },
		"kill":    func(*rapid.T) { m.restart("kill") },
		"crash":   func(*rapid.T) { m.restart("crash") },
		"crashAt": func(t *rapid.T) {
			synctest.Wait()
			m.fs.cutAfter(m.pick("ops", 1, 8))
			for range 4 {
				m.append(m.link())
				m.readSome(3)
				m.ack(2)
			}
			m.restart([]string{"kill", "crash"}[m.pick("how", 0, 1)])
		},
		"eio": func(t *rapid.T) {
			synctest.Wait()
			m.fs.failAfter(m.pick("ops", 1, 8), eio, m.pick("once", 0, 1) == 1)
			for range 4 {
				m.append(m.link())
				m.readSome(3)
				m.ack(2)
			}
			// The service manager starts it again, on what the memory of the system says; and then the power goes.
			m.restart("kill")
			m.append(m.link())
			m.restart("crash")
		},
	}
}

// check runs sequences of actions, each in virtual time that begins anew, so that it can be repeated.
func check(t *testing.T, prop func(t *rapid.T)) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, prop) })
}

func TestModelNothingLostNothingInventedNothingTwice(t *testing.T) {
	check(t, func(t *rapid.T) {
		m := newModel(t, queue.Config{}, "a", "b")
		defer m.end()
		t.Repeat(m.actions())
		m.restart("close")
		m.shut("close")
	})
}

func TestModelFullQueueHoldsOrDropsAndCounts(t *testing.T) {
	check(t, func(t *rapid.T) {
		m := newModel(t, queue.Config{MaxBytes: 4000, WhenFull: map[string]queue.WhenFull{"old": queue.DropOldest, "new": queue.DropNewest}}, "stop", "old", "new")
		defer m.end()
		t.Repeat(m.actions())
		m.restart("close")
	})
}

func TestModelFullDiskLosesNothing(t *testing.T) {
	check(t, func(t *rapid.T) {
		m := newModel(t, queue.Config{WhenFull: map[string]queue.WhenFull{"old": queue.DropOldest, "new": queue.DropNewest}}, "stop", "old", "new")
		defer m.end()
		actions := m.actions()
		delete(actions, "crashAt") // the disk may be too full to start, which the next action shows
		m.tight = true
		m.fs.setShort(m.pick("short", 0, 1) == 1)
		actions["full"] = func(t *rapid.T) { m.fs.setSize(m.fs.usedNow() + int64(m.pick("free", 0, 3000))) }
		actions["room"] = func(t *rapid.T) {
			m.fs.setSize(0)
			time.Sleep(5 * time.Second)
			if m.q.State().DiskFull {
				t.Fatalf("the disk has room for 5 s, and the queue says that it is full")
			}
		}
		t.Repeat(actions)
		m.fs.setSize(0)
		m.restart("close")
	})
}

func TestModelDamageCostsOnlyWhatItHits(t *testing.T) {
	check(t, func(t *rapid.T) {
		m := newModel(t, queue.Config{}, "a", "b")
		defer m.end()
		actions := m.actions()
		actions["damage"] = func(t *rapid.T) {
			m.shut("close")
			m.lossy = true
			files := m.fs.files(".log")
			files = append(files, "/q/cursor")
			name := files[m.pick("file", 0, len(files)-1)]
			off := m.pick("byte", 0, m.fs.length(name)-1)
			m.fs.flip(name, off, byte(m.pick("mask", 1, 255)))
			m.open()
			m.verify()
		}
		t.Repeat(actions)
	})
}

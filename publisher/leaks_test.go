package publisher

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// A thousand connections, each of which ends in another way, leave nothing behind: no goroutine, no file, no memory.
func TestThousandReconnectsLeaveNothingBehind(t *testing.T) {
	b := newBroker()
	b.onLogin = func(p *peer) byte {
		switch p.n % 8 {
		case 0:
			return 3
		case 1:
			return 0xff
		case 2:
			p.write([]byte{0x20, 2}) // half of an answer
			return 0xff
		case 3:
			p.write([]byte("not MQTT"))
			return 0xff
		}
		return 0
	}
	b.onPublish = func(p *peer, m got) {
		switch p.n % 8 {
		case 4:
			p.ack(m)
			_ = p.Close()
		case 5:
			p.ack(m)
			p.write([]byte{0x40, 2, 0}) // half of an acknowledgement
			_ = p.Close()
		case 6:
			p.ack(m)
			p.reset()
		case 7:
			p.ack(m)
			p.write([]byte{0xf0, 0}) // nonsense
		}
		p.forgetGot()
	}
	r := newRig(t, Config{Servers: []string{b.listen(t)}, Backoff: Backoff{First: time.Microsecond, Max: time.Microsecond}})
	quick := brisk()
	quick.holdFirst, quick.holdMax = time.Microsecond, time.Microsecond
	r.setTiming(quick)
	r.reporter.report = nil // the rig keeps each state
	r.log.discard()
	stop := r.start(t)
	sent := 0
	reach := func(logins int) {
		b.until(t, "the logins", func() bool {
			if n := b.loggedIn(); n > sent { // something to end a connection with
				sent = n
				r.put(t, event("press-7", sent))
			}
			return b.loggedIn() >= logins
		})
	}
	reach(200)
	goroutines, files, memory := runtime.NumGoroutine(), openFiles(t), heap()
	reach(200 + proof(1000, 5000, 100_000))

	// The next look may come at another moment of a connection's life: one connection more or less is none too many.
	const moment = 15
	if n := runtime.NumGoroutine(); n > goroutines+moment {
		t.Errorf("got %d goroutines, %d before", n, goroutines)
	}
	if n := openFiles(t); n > files+moment {
		t.Errorf("got %d open files, %d before", n, files)
	}
	if n := heap(); n > memory+2<<20 {
		t.Errorf("got %d KiB of heap, %d KiB before", n>>10, memory>>10)
	}
	stop()
	t.Logf("%d logins: goroutines %d to %d, files %d to %d, heap %d to %d KiB", b.loggedIn(), goroutines, runtime.NumGoroutine(), files, openFiles(t), memory>>10, heap()>>10)
}

// openFiles counts the descriptors of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("left out: no /proc here")
	}
	return len(list)
}

package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A rowLog is a logger that writes numbered rows into one file after the other, in pieces of any size, and deletes the
// files when it is told to.
type rowLog struct {
	t    *testing.T
	dir  string
	rows int // whole ones
	f    *os.File
	made int
	flaw int          // each such row has no number where one should be; 0: none
	old  []rowFileEnd // the files that are there, the current one last
}

type rowFileEnd struct {
	name string
	last int // row
}

func newRowLog(t *testing.T) *rowLog {
	l := &rowLog{t: t, dir: t.TempDir(), flaw: 37}
	l.begin()
	t.Cleanup(func() { l.f.Close() })
	return l
}

// files is the glob that finds them.
func (l *rowLog) files() string { return filepath.Join(l.dir, "LOG_*.csv") }

func (l *rowLog) good(n int) bool { return l.flaw == 0 || n%l.flaw != 0 }

func badRow(n int) string { return fmt.Sprintf("%d,none", n) }

// values is what an event of a row begins with.
func values(n int) string { return fmt.Sprintf(`{"d":{"n":%d,"value":%d.5}`, n, n%1000) }

func (l *rowLog) badRows() int {
	if l.flaw == 0 {
		return 0
	}
	return l.rows / l.flaw
}

// begin begins a file.
func (l *rowLog) begin() {
	if l.f != nil {
		l.f.Close()
	}
	l.made++
	name := filepath.Join(l.dir, fmt.Sprintf("LOG_%06d.csv", l.made))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err == nil {
		_, err = f.WriteString("n,value\n")
	}
	if err != nil {
		l.t.Error(err)
	}
	l.f = f
	l.old = append(l.old, rowFileEnd{name, l.rows})
}

// append writes n rows, in two pieces.
func (l *rowLog) append(n int) {
	var b []byte
	for range n {
		l.rows++
		if l.good(l.rows) {
			b = fmt.Appendf(b, "%d,%d.5\n", l.rows, l.rows%1000)
		} else {
			b = fmt.Appendf(b, "%s\n", badRow(l.rows))
		}
	}
	l.old[len(l.old)-1].last = l.rows
	at := rand.IntN(len(b))
	for _, piece := range [][]byte{b[:at], b[at:]} {
		if _, err := l.f.Write(piece); err != nil {
			l.t.Error(err)
		}
	}
}

// write writes rows until stop is called, in a goroutine of its own.
func (l *rowLog) write() (stop func()) {
	end := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			l.append(1 + rand.IntN(20))
			if rand.IntN(40) == 0 {
				l.begin()
			}
			select {
			case <-end:
				return
			case <-time.After(time.Duration(1+rand.IntN(5)) * time.Millisecond):
			}
		}
	})
	stop = sync.OnceFunc(func() { close(end); writing.Wait() })
	l.t.Cleanup(stop)
	return stop
}

// remove deletes the files that have no row after last.
func (l *rowLog) remove(last int) {
	for len(l.old) > 1 && l.old[0].last <= last {
		if err := os.Remove(l.old[0].name); err != nil {
			l.t.Error(err)
		}
		l.old = l.old[1:]
	}
}

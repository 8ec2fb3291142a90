package queue

import (
	"log/slog"
	"time"
)

// What is said of room, each for itself.
const (
	noticeQueue = iota
	noticeDisk
	noticeDead
	notices
)

// A notice is a state that is said when it comes, at once, and that it has gone once it has stayed away for a while: a disk
// that hovers at its limit is said once.
type notice struct {
	told  bool
	since time.Time
	left  time.Time // zero: it is there
}

// What has stayed away for so long has gone. A full queue comes and goes with every event that is acknowledged.
var calm = [notices]time.Duration{noticeQueue: time.Minute, noticeDisk: 5 * time.Second, noticeDead: 5 * time.Second}

var goneText = [notices]string{noticeQueue: "queue has room again", noticeDisk: "disk has room again", noticeDead: "disk of the dead letters has room again"}

func (n *notice) come(log *slog.Logger, text string, args ...any) {
	n.left = time.Time{}
	if n.told {
		return
	}
	n.told, n.since = true, time.Now()
	log.Warn(text, args...)
}

func (n *notice) leave() {
	if n.told && n.left.IsZero() {
		n.left = time.Now()
	}
}

// due is when it is to be said that n has gone; zero if it is not.
func (n *notice) due(calm time.Duration) time.Time {
	if !n.told || n.left.IsZero() {
		return time.Time{}
	}
	return n.left.Add(calm)
}

// sayGone says what has gone and stayed away.
func (q *Queue) sayGone(now time.Time) {
	for i := range q.notices {
		n := &q.notices[i]
		if at := n.due(calm[i]); !at.IsZero() && !now.Before(at) {
			n.told = false
			q.cfg.Log.Info(goneText[i], "dur", n.left.Sub(n.since))
		}
	}
}

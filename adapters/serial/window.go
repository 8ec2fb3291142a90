package serial

import "time"

const (
	windowParts = 10
	windowPart  = 6 * time.Second // together the 60 s after which a wrong baud rate must show
	// Less than that is a burst of noise on a quiet line, not a line that cannot be read.
	garbledBytes, garbledParts = 64, 3
)

// A window weighs what was heard in the last minute: bytes that came against bytes of frames that were good. Bytes,
// because at a wrong baud rate hardly anything looks like the end of a frame.
type window struct {
	parts   [windowParts]struct{ heard, good int }
	current int
	since   time.Time // of the current part
	began   time.Time // of the first byte that is still counted
}

func (w *window) heard(now time.Time, n int) {
	w.move(now)
	if w.began.IsZero() {
		w.began = now
	}
	w.parts[w.current].heard += n
}

func (w *window) good(now time.Time, n int) {
	w.move(now)
	w.parts[w.current].good += n
}

// garbled says that the line talks, for a minute by now, and hardly anything of it can be read.
func (w *window) garbled(now time.Time) bool {
	w.move(now)
	if w.began.IsZero() || now.Sub(w.began) < windowParts*windowPart {
		return false
	}
	heard, good, parts := 0, 0, 0
	for _, p := range w.parts {
		heard, good = heard+p.heard, good+p.good
		if p.heard > 0 {
			parts++
		}
	}
	return heard >= garbledBytes && parts >= garbledParts && good*10 < heard
}

// move forgets what is older than the window.
func (w *window) move(now time.Time) {
	if now.Sub(w.since) >= windowParts*windowPart {
		*w = window{since: now}
		return
	}
	for now.Sub(w.since) >= windowPart {
		w.since = w.since.Add(windowPart)
		w.current = (w.current + 1) % windowParts
		w.parts[w.current] = struct{ heard, good int }{}
	}
}

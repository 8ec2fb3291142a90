package csvfile

import (
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// hints wake the source early when something happens in a folder. They are never needed: without them (a network mount, no
// inotify watches left) the source looks at the pace of Poll.
type hints struct {
	w      *fsnotify.Watcher // nil: none
	dir    string
	events chan fsnotify.Event // nil: none
	errors chan error
}

func newHints(dir string) *hints {
	h := &hints{dir: dir}
	if w, err := fsnotify.NewWatcher(); err == nil {
		h.w, h.events, h.errors = w, w.Events, w.Errors
	}
	return h
}

// keep watches the folder, again after it was away: its watch goes with it.
func (h *hints) keep() {
	if h.w != nil && len(h.w.WatchList()) == 0 {
		_ = h.w.Add(h.dir) // without it the source looks at the pace of Poll
	}
}

// drain takes all that is waiting: one look answers it.
func (h *hints) drain() {
	for {
		select {
		case <-h.events:
		case <-h.errors: // an overflow too is answered by a look
		default:
			return
		}
	}
}

// concerns tells whether an event may be about the files that match.
func (h *hints) concerns(e fsnotify.Event, f folder, current string) bool {
	if !e.Has(fsnotify.Create | fsnotify.Write | fsnotify.Rename | fsnotify.Remove) {
		return false
	}
	if e.Name == current || e.Name == f.files || len(f.parts) > 1 {
		return true
	}
	ok := false
	if len(f.parts) == 1 {
		ok, _ = filepath.Match(f.parts[0], filepath.Base(e.Name))
	}
	return ok
}

func (h *hints) close() {
	if h.w != nil {
		h.w.Close()
	}
}

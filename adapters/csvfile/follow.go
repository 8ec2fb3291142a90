package csvfile

import (
	"fmt"
	"slices"
	"time"

	"legacybridge/adapters"
)

// A follower is one Run: it knows which files were read and which wait.
type follower struct {
	s       *Source
	put     adapters.Sink
	folder  folder
	hints   *hints
	builder *builder

	cur     *reader // the file that is read; nil: none
	last    *layout // the header line read last
	marks   bookmark
	moved   bool            // we are not where marks were stored
	resume  fileID          // of the file that was being read when we stopped; 0: found, or there was none
	waiting []match         // files with something to read, in order
	since   time.Time       // since when the first of them is the first: a look may miss a file that is being renamed
	present map[fileID]bool // at the last look
	looked  []match         // then
	newest  fileID
	trouble error // why a file or the folder cannot be opened
	locked  map[string]time.Time

	searched bool   // under other names
	first    bool   // no place is stored yet
	passID   fileID // the file that is passed over at first
	passTo   int64
}

const (
	lockedAfter = time.Minute // a writer holds a file for moments; longer is trouble
	newerAfter  = time.Minute // a file that never falls quiet gives way to a newer one
)

// restore takes up a stored position.
func (f *follower) restore(from adapters.Checkpoint) (err error) {
	if len(from) == 0 {
		f.first, f.marks.files = true, map[fileID]*known{}
		return nil
	}
	if f.marks, err = decodeBookmark(from); err != nil {
		return fmt.Errorf("link %s: %w", f.s.cfg.Link, err)
	}
	if len(f.marks.head) > 0 {
		f.last = f.s.decoder.layoutOf(f.marks.head)
	}
	if f.marks.id != 0 {
		cur := f.marks.cur
		f.resume, f.marks.files[f.marks.id] = f.marks.id, &cur
	}
	return nil
}

// place writes down where we are.
func (f *follower) place() {
	m := &f.marks
	if f.cur == nil {
		return // the file read last stays the place: one that is rewritten is recognised by it
	}
	if f.cur.layout != nil {
		f.last, m.head = f.cur.layout, f.cur.layout.head
	}
	f.s.status.state.Counts.Bad += f.cur.replaced
	f.cur.replaced = 0
	pos := f.cur.position()
	f.moved = f.moved || m.id != f.cur.id || m.cur.offset != pos.offset
	m.id, m.cur = f.cur.id, known{position: pos, name: f.cur.name}
}

// look finds the files that have something to read. On the very first look only the newest has.
func (f *follower) look() error {
	files, err := f.steadyLook()
	if err != nil {
		if f.s.cfg.Once {
			return err
		}
		f.held(f.folder.files, err)
		return nil
	}
	f.trouble = nil
	delete(f.locked, f.folder.files)
	f.present = make(map[fileID]bool, len(files))
	for _, m := range files {
		f.present[m.id] = true
	}
	if len(files) > 0 {
		f.newest = files[len(files)-1].id
	}
	if f.first {
		return f.firstLook(files)
	}
	var before fileID
	if len(f.waiting) > 0 {
		before = f.waiting[0].id
	}
	f.waiting = f.waiting[:0]
	for _, m := range files {
		if f.cur != nil && f.cur.id == m.id {
			f.cur.name = m.name
			continue
		}
		if k := f.marks.files[m.id]; k == nil || !k.idle(m) {
			f.waiting = append(f.waiting, m)
		}
	}
	f.findResumed()
	f.prune()
	if len(f.waiting) == 0 {
		clear(f.locked)
	}
	if len(f.waiting) > 0 && f.waiting[0].id != before {
		f.since = time.Now()
	}
	return nil
}

// steadyLook looks again when other files are there than last time, until two looks agree: while files are renamed, a
// look may miss one of them, and the rows of its followers would come before its own.
func (f *follower) steadyLook() ([]match, error) {
	const tries = 10 // more renames than that in a row are no rotation
	for n := 0; ; n++ {
		files, err := f.folder.look()
		if err != nil || f.folder.parts == nil {
			return files, err
		}
		same := sameFiles(files, f.looked)
		f.looked = files
		if same || n == tries {
			return files, nil
		}
	}
}

func sameFiles(a, b []match) bool {
	return slices.EqualFunc(a, b, func(a, b match) bool { return a.id == b.id })
}

// idle tells whether nothing has happened to a file since it was left.
func (k *known) idle(m match) bool {
	return k.stamp != 0 && k.stamp == stamp(m.size, m.mtime)
}

// firstLook passes over all files but the newest, and over what is in that if we start at the end.
func (f *follower) firstLook(files []match) error {
	f.first, f.moved = false, true
	if len(files) == 0 {
		return nil
	}
	newest := len(files) - 1
	for _, m := range files[:newest] {
		k := &known{compact: true, stamp: stamp(m.size, m.mtime)}
		k.offset = m.size
		if file, _, err := f.folder.open(m.name); err == nil {
			k.prints, err = printsOf(file, m.size)
			file.Close()
			if err != nil {
				k.offset = 0
			}
		}
		f.marks.files[m.id] = k
	}
	f.waiting = append(f.waiting, files[newest])
	f.since = time.Now()
	if f.s.cfg.FromEnd {
		f.passID, f.passTo = files[newest].id, files[newest].size
	}
	return nil
}

// findResumed puts the file that was being read when we stopped before all others, under whatever name it has now.
func (f *follower) findResumed() {
	if f.resume == 0 {
		return
	}
	was := f.marks.files[f.resume]
	if f.folder.parts != nil && was.line <= int64(f.s.cfg.Format.Skip)+2 {
		f.resume = 0 // no row of it was given: its turn is that of its time, for its id may be another file's by now
		return
	}
	for i, m := range f.waiting {
		if m.id == f.resume && f.reads(m, was) {
			f.waiting = slices.Insert(slices.Delete(f.waiting, i, i+1), 0, m)
			return
		}
	}
	if f.searched {
		return
	}
	f.searched = true
	name, ok := f.folder.renamed(was.name, f.resume)
	if m := (match{name: name, id: f.resume}); ok && f.reads(m, was) {
		f.waiting = slices.Insert(f.waiting, 0, m)
	}
}

// prune forgets files that are gone, once there are many: a folder may be empty for a moment because it is not mounted.
func (f *follower) prune() {
	const spare = 100
	if len(f.present) == 0 || len(f.marks.files) <= len(f.present)+spare {
		return
	}
	for id := range f.marks.files {
		if !f.present[id] && id != f.resume {
			delete(f.marks.files, id)
		}
	}
	f.marks.packed = nil
}

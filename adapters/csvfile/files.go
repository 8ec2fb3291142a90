package csvfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// A match is a file that is there to be read.
type match struct {
	name  string // path
	id    fileID
	size  int64
	mtime int64 // ns
}

// A fileID tells files apart as long as they live. It can be used again by another file, and changes on some file systems
// when they are mounted again: what stands in a file decides then.
type fileID uint64

var errTooMany = fmt.Errorf("more than %d files match; move finished ones away", maxFiles)

// A folder finds the files of one path or glob.
type folder struct {
	files string   // as configured
	base  string   // the folder before the first wildcard
	parts []string // the elements from there on; nil: one path
}

func newFolder(files string) folder {
	files = filepath.Clean(files)
	f := folder{files: files, base: filepath.Dir(files)}
	if !strings.ContainsAny(files, `*?[\`) {
		return f
	}
	for strings.ContainsAny(f.base, `*?[\`) {
		f.base = filepath.Dir(f.base)
	}
	rel, err := filepath.Rel(f.base, files)
	if err != nil { // base is a prefix of files
		rel = filepath.Base(files)
	}
	f.parts = strings.Split(rel, string(filepath.Separator))
	return f
}

// look lists the files, oldest first.
func (f folder) look() ([]match, error) {
	if f.parts == nil {
		info, err := os.Stat(f.files)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file", f.files)
		}
		return []match{newMatch(f.files, info)}, nil
	}
	root, err := os.OpenRoot(f.base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	w := walk{root: root, base: f.base, seen: map[fileID]int{}}
	if err := w.dir(".", f.parts); err != nil {
		return nil, err
	}
	slices.SortFunc(w.found, compareMatches)
	return w.found, nil
}

// open opens a match for reading. It never hangs on a pipe or a device that has taken the file's place, and a link that a
// glob found does not lead out of the folder.
func (f folder) open(name string) (*os.File, os.FileInfo, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	var file *os.File
	var err error
	if f.parts == nil && name == f.files {
		file, err = os.OpenFile(name, flags, 0)
	} else {
		file, err = f.openInside(name, flags)
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

func (f folder) openInside(name string, flags int) (*os.File, error) {
	root, err := os.OpenRoot(f.base)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	rel, err := filepath.Rel(f.base, name)
	if err != nil {
		return nil, err
	}
	return root.OpenFile(rel, flags, 0)
}

// renamed looks for a file by its id in the folder where it was read last.
func (f folder) renamed(was string, id fileID) (name string, ok bool) {
	dir := filepath.Dir(was)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", false
	}
	defer root.Close()
	err = eachEntry(root, ".", func(e fs.DirEntry) error {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && newMatch("", info).id == id {
			name = filepath.Join(dir, e.Name())
			return fs.SkipAll
		}
		return nil
	})
	return name, name != "" && (err == nil || errors.Is(err, fs.SkipAll))
}

// A walk gathers the matches of a glob.
type walk struct {
	root  *os.Root
	base  string
	found []match
	seen  map[fileID]int // in found; a link and its target are one file
}

func (w *walk) dir(dir string, parts []string) error {
	pattern, deeper := parts[0], parts[1:]
	return eachEntry(w.root, dir, func(e fs.DirEntry) error {
		if ok, err := filepath.Match(pattern, e.Name()); !ok || err != nil {
			return err
		}
		rel := filepath.Join(dir, e.Name())
		if len(deeper) > 0 {
			if e.IsDir() {
				return w.dir(rel, deeper)
			}
			return nil
		}
		return w.file(rel, e)
	})
}

// file takes a regular file, or a link to one inside the folder. Everything else is passed over.
func (w *walk) file(rel string, e fs.DirEntry) error {
	info, err := e.Info()
	link := err == nil && info.Mode()&fs.ModeSymlink != 0
	if link {
		info, err = w.root.Stat(rel)
	}
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	m := newMatch(filepath.Join(w.base, rel), info)
	if i, twice := w.seen[m.id]; twice {
		if !link && m.name < w.found[i].name {
			w.found[i].name = m.name
		}
		return nil
	}
	if len(w.found) == maxFiles {
		return errTooMany
	}
	w.seen[m.id] = len(w.found)
	w.found = append(w.found, m)
	return nil
}

// eachEntry reads a folder piece by piece: it may have millions of entries.
func eachEntry(root *os.Root, dir string, do func(fs.DirEntry) error) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		entries, err := d.ReadDir(1024)
		for _, e := range entries {
			if err := do(e); err != nil {
				return err
			}
		}
		if len(entries) == 0 || err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func newMatch(name string, info os.FileInfo) match {
	m := match{name: name, size: info.Size(), mtime: info.ModTime().UnixNano()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		m.id = fileID(uint64(s.Ino) ^ uint64(s.Dev)<<44 ^ uint64(s.Dev)>>20)
	}
	return m
}

// links is how many names an open file has. Without one it was deleted or replaced.
func links(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink)
	}
	return 1
}

// missing says, when there is no file, how far the path leads.
func (f *folder) missing() string {
	if _, err := os.Stat(f.base); err != nil {
		return fmt.Sprintf("the folder %s is not there: is the share mounted, is the path right?", f.base)
	}
	return fmt.Sprintf("no file %s yet: is the name right, has the logger written one? It is read as soon as it is there", f.files)
}

// compareMatches puts older files first. Of the same time LOG.1 comes before LOG, which it was.
func compareMatches(a, b match) int {
	if a.mtime == b.mtime && a.name != b.name {
		switch {
		case strings.HasPrefix(a.name, b.name):
			return -1
		case strings.HasPrefix(b.name, a.name):
			return 1
		}
	}
	return cmp.Or(cmp.Compare(a.mtime, b.mtime), compareNames(a.name, b.name))
}

// compareNames puts LOG_9 before LOG_10.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		na, nb := digitsAt(a), digitsAt(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digitsAt(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

package queue

import (
	"errors"
	"os"
	"path/filepath"
)

// A still is a folder as it was at one moment: its segments are held open, so that they can be read to the end of that
// moment, though a running service writes on, removes what is drained, or puts a compacted one in the place of another.
// Else the events of a segment that went between two looks would be missing in the ledger.
type still struct {
	FS
	dir   string
	names []string
	files map[string]stillFile // by path
}

type stillFile struct {
	File
	size int64
}

func (f stillFile) Size() (int64, error) { return f.size, nil }
func (f stillFile) Close() error         { return nil } // the still does

// tries bounds how often a folder is opened that loses segments meanwhile: opening takes far less time than draining one.
const tries = 100

// holdStill opens the segments of dir, the oldest first: what one of them gave up is told in a later one.
func holdStill(fsys FS, dir string) (*still, error) {
	for try := 1; ; try++ {
		s := &still{FS: fsys, dir: dir, files: map[string]stillFile{}}
		err := s.open()
		if err == nil {
			return s, nil
		}
		_ = s.close() // only read
		if !errors.Is(err, os.ErrNotExist) || s.names == nil || try == tries {
			return nil, err
		}
	}
}

func (s *still) open() (err error) {
	if s.names, err = s.FS.List(s.dir); err != nil {
		s.names = nil
		return err
	}
	for _, name := range s.names {
		if _, ok := segmentIndex(name); !ok {
			continue
		}
		path := filepath.Join(s.dir, name)
		f, err := s.FS.Open(path, os.O_RDONLY)
		if err != nil {
			return err
		}
		s.files[path] = stillFile{File: f}
		size, err := f.Size()
		if err != nil {
			return err
		}
		s.files[path] = stillFile{f, size}
	}
	return nil
}

func (s *still) List(dir string) ([]string, error) {
	if dir == s.dir {
		return s.names, nil
	}
	return s.FS.List(dir)
}

func (s *still) Open(name string, flag int) (File, error) {
	if f, ok := s.files[name]; ok && flag == os.O_RDONLY {
		return f, nil
	}
	return s.FS.Open(name, flag)
}

func (s *still) close() error {
	var err error
	for _, f := range s.files {
		err = errors.Join(err, f.File.Close())
	}
	clear(s.files)
	return err
}

package localplatform

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// magic begins the file; its digit changes with the format.
const magic = "lbplat1\n"

const headerSize = len(magic) + 4 + 4 + 4

// load opens the file, or makes it, and replays it. What a power cut tore off at the end is cut away: nobody was told
// that it is kept. A damaged record before the end is said and passed over, for those behind it are sound; a damaged
// header refuses the store, for without it no record can be told from garbage.
func (j *journal) load(replay func(kind byte, body []byte) error) error {
	old, err := filepath.Glob(j.path() + ".*") // of a compaction that a power cut ended
	for _, path := range old {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(j.path(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return j.create()
	}
	if err != nil {
		return err
	}
	j.f = j.through(f)
	info, err := f.Stat()
	if err == nil {
		j.size = info.Size()
		err = j.replay(replay)
	}
	if err != nil {
		return errors.Join(err, j.f.Close())
	}
	return nil
}

func (j *journal) through(f *os.File) journalFile {
	if j.wrap == nil {
		return f
	}
	return j.wrap(f)
}

// create makes an empty journal.
func (j *journal) create() error {
	_, _ = rand.Read(j.key.mark[:]) // it never fails
	_, _ = rand.Read(j.key.seed[:])
	f, name, err := j.fresh()
	if err != nil {
		return err
	}
	return j.publish(f, name, int64(headerSize))
}

// fresh makes a file beside the journal that holds the header.
func (j *journal) fresh() (f journalFile, name string, err error) {
	t, err := os.CreateTemp(j.dir, journalName+".*") // mode 0600
	if err != nil {
		return nil, "", err
	}
	f = j.through(t)
	if _, err := f.WriteAt(j.key.header(), 0); err != nil {
		return nil, "", errors.Join(err, f.Close(), os.Remove(t.Name()))
	}
	return f, t.Name(), nil
}

// publish makes f, a file called name, the journal. An error leaves the journal that was.
func (j *journal) publish(f journalFile, name string, size int64) error {
	err := f.Sync()
	if err == nil {
		err = os.Rename(name, j.path())
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(name))
	}
	if j.f != nil {
		err = j.f.Close()
	}
	j.f, j.size, j.base = f, size, size
	return errors.Join(err, syncDir(j.dir))
}

func (k frameKey) header() []byte {
	h := append([]byte(magic), k.mark[:]...)
	h = append(h, k.seed[:]...)
	return binary.BigEndian.AppendUint32(h, crc32.Checksum(h, castagnoli))
}

// replay reads the file from its beginning to its end.
func (j *journal) replay(replay func(kind byte, body []byte) error) error {
	var head [headerSize]byte
	if _, err := j.f.ReadAt(head[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	copy(j.key.mark[:], head[len(magic):])
	copy(j.key.seed[:], head[len(magic)+4:])
	if !bytes.Equal(head[:], j.key.header()) {
		return fmt.Errorf("the beginning of %s is damaged, or another version wrote it. Put back a copy of the folder; or remove this file, "+
			"then devices of the configuration are registered anew, and tokens, other devices and kept messages are gone", j.path())
	}
	at := int64(headerSize)
	r := j.reader(at)
	damaged := 0
	for at < j.size {
		kind, body, err := j.next(r, at)
		switch {
		case err == nil:
			if err := replay(kind, body); err != nil {
				return fmt.Errorf("%s at byte %d: %w", j.path(), at, err)
			}
			at += int64(frameHead + 1 + len(body))
			continue
		case !errors.Is(err, errDamaged):
			return err
		}
		next, err := j.resume(at + 1)
		if err != nil {
			return err
		}
		if next < 0 {
			j.log.Warn("the end of the platform's store was torn by a crash or power cut and is cut off; nothing of it was acknowledged",
				"file", j.path(), "offset", at, "n", j.size-at)
			if err := errors.Join(j.f.Truncate(at), j.f.Sync()); err != nil {
				return err
			}
			j.size = at
			break
		}
		damaged++
		j.log.Error("a part of the platform's store is damaged and left out: what it held (a device, a message) is lost; check the disk",
			"file", j.path(), "offset", at, "n", next-at)
		at, r = next, j.reader(next)
	}
	j.base = j.size
	if damaged > 0 || j.size > slack {
		j.base = 0
		j.tellGrown()
	}
	return nil
}

func (j *journal) reader(at int64) *bufio.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(j.f, at, j.size-at), 64<<10)
}

var errDamaged = errors.New("not a record")

// next reads the record at the offset that r is at.
func (j *journal) next(r io.Reader, at int64) (kind byte, body []byte, err error) {
	var head [frameHead]byte
	if at+int64(len(head)) > j.size {
		return 0, nil, errDamaged
	}
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := int64(binary.BigEndian.Uint32(head[4:]))
	if !bytes.Equal(head[:4], j.key.mark[:]) || length < 1 || length > maxRecord || length > j.size-at-frameHead {
		return 0, nil, errDamaged
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, err
	}
	if j.key.sum(head[4:8], b[0], b[1:]) != binary.BigEndian.Uint32(head[8:]) {
		return 0, nil, errDamaged
	}
	return b[0], b[1:], nil
}

// resume finds the next sound record from at on; -1 if there is none.
func (j *journal) resume(at int64) (int64, error) {
	buf := make([]byte, 256<<10)
	for at < j.size {
		n, err := j.f.ReadAt(buf[:min(int64(len(buf)), j.size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		i := bytes.Index(buf[:n], j.key.mark[:])
		if i < 0 {
			at += int64(max(n-len(j.key.mark)+1, 1))
			continue
		}
		at += int64(i)
		_, _, err = j.next(io.NewSectionReader(j.f, at, j.size-at), at)
		if err == nil || !errors.Is(err, errDamaged) {
			return at, err
		}
		at++
	}
	return -1, nil
}

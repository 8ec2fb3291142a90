package localplatform

import (
	"bufio"
	"errors"
	"io"
	"os"
)

// bloated receives when the log has outgrown its last snapshot: it is time for compact.
func (j *journal) bloated() <-chan struct{} { return j.grown }

func (j *journal) tellGrown() {
	select {
	case j.grown <- struct{}{}:
	default:
	}
}

// compact rewrites the log as the snapshot: all that the owners of the records hold, emitted while they hold their
// locks. What is written meanwhile comes behind it, so a record may be replayed on a state that has it already, never
// on one that lacks an earlier one. After an error the old log is as it was; a failed fsync ends the journal too.
func (j *journal) compact(snapshot func(emit func(kind byte, body []byte))) error {
	if j.dir == "" {
		return nil
	}
	j.compacting.Lock()
	defer j.compacting.Unlock()
	if j.isClosing() {
		return errJournalClosed
	}
	j.fileMu.Lock()
	from := j.size // all before it is in the snapshot
	j.fileMu.Unlock()
	f, name, err := j.fresh()
	if err != nil {
		return err
	}
	drop := func(err error) error { return errors.Join(err, f.Close(), os.Remove(name)) }

	w := &offsetWriter{f: f, at: int64(headerSize)}
	b := bufio.NewWriterSize(w, 256<<10)
	var frame []byte
	snapshot(func(kind byte, body []byte) {
		frame = j.key.frame(frame[:0], kind, body)
		_, _ = b.Write(frame) // the error stays until Flush
	})
	if err := b.Flush(); err != nil {
		return drop(err)
	}
	// Most of what came meanwhile is copied while others go on writing, the rest while they wait.
	j.fileMu.Lock()
	upto := j.size
	j.fileMu.Unlock()
	if _, err := io.Copy(w, io.NewSectionReader(j.f, from, upto-from)); err != nil {
		return drop(err)
	}
	if err := f.Sync(); err != nil {
		return j.failUnlessFull(drop(err))
	}
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	if _, err := io.Copy(w, io.NewSectionReader(j.f, upto, j.size-upto)); err != nil {
		return drop(err)
	}
	was := j.f
	if err := j.publish(f, name, w.at); err != nil {
		if j.f != was { // a power cut might bring the old log back
			j.fail(err)
			return err
		}
		return j.failUnlessFull(err)
	}
	return nil
}

// failUnlessFull ends the journal over a disk that cannot sync, though the old log is whole: it would be next.
func (j *journal) failUnlessFull(err error) error {
	if !noRoom(err) {
		j.fail(err)
	}
	return err
}

// offsetWriter writes on and on behind at.
type offsetWriter struct {
	f  io.WriterAt
	at int64
}

func (w *offsetWriter) Write(p []byte) (int, error) {
	n, err := w.f.WriteAt(p, w.at)
	w.at += int64(n)
	return n, err
}

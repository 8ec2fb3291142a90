package localplatform

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A journal is what the platform holds, on disk: a log of records that is read once, when it is opened, and rewritten
// as a snapshot now and then. The file:
//
//	header  "lbplat1\n", mark (4 random bytes), seed (4 random bytes), CRC32C of the 16 bytes before
//	record  mark, length of kind and body (4 bytes), CRC32C of seed, length, kind and body, kind (1 byte), body
//
// Numbers are big-endian. Mark and seed stay the same for the life of the store and are known to nobody outside, so
// that no client can send a body that is taken for a record where the file is damaged.
//
// Kinds 1 to 63 are the registry's, 64 to 127 those of sessions, messages and status. A record changes the state in
// memory and is written under the same lock; it may be replayed on a state that has it already (see compact), so each
// must give the same result twice.
type journal struct {
	log *slog.Logger
	dir string // "": memory only
	key frameKey

	// wrap stands between the journal and its file; only tests have one.
	wrap func(journalFile) journalFile

	mu      sync.Mutex
	buf     []byte        // framed records that are not in the file yet
	last    uint64        // number of the newest record
	wanted  uint64        // the highest number that somebody waits for
	durable uint64        // the newest record that is fsynced
	err     error         // nothing becomes durable any more
	moved   chan struct{} // closed and renewed when buf, durable or err change
	closing bool
	stop    chan struct{} // closed with closing

	wake   chan struct{} // there is work for run
	ended  chan struct{} // run has returned
	broken chan struct{} // closed when the disk has failed

	fileMu sync.Mutex // held while the file is written
	f      journalFile
	size   int64
	base   int64         // size after the last snapshot
	grown  chan struct{} // see bloated

	compacting sync.Mutex
}

// journalFile is what the journal needs of a file.
type journalFile interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

const journalName = "journal"

const (
	// lazySync is how long what nobody waits for may stay unsynced: status messages must not cost an fsync each.
	lazySync = time.Second
	// diskRetry is the pace at which a full disk is tried again.
	diskRetry = time.Second
	// roomFor is how much may wait for the disk before room makes its callers wait.
	roomFor = 8 << 20
	// slack is how much the log may outgrow twice its last snapshot.
	slack = 4 << 20
	// keepFrames is the size up to which a buffer of framed records is used again.
	keepFrames = 1 << 20
)

var errJournalClosed = errors.New("the platform stops")

// openJournal reads the journal of dir, or makes one, and gives each record to replay, which may keep the body. An
// error of replay refuses the store. The folder must be locked, see openStore. With dir "" nothing is kept.
func openJournal(dir string, log *slog.Logger, replay func(kind byte, body []byte) error) (*journal, error) {
	return openJournalThrough(nil, dir, log, replay)
}

func openJournalThrough(wrap func(journalFile) journalFile, dir string, log *slog.Logger, replay func(kind byte, body []byte) error) (*journal, error) {
	j := &journal{
		log: log, dir: dir, wrap: wrap,
		moved: make(chan struct{}), stop: make(chan struct{}), wake: make(chan struct{}, 1), ended: make(chan struct{}),
		broken: make(chan struct{}), grown: make(chan struct{}, 1),
	}
	if dir == "" {
		close(j.ended)
		return j, nil
	}
	if err := j.load(replay); err != nil {
		return nil, fmt.Errorf("platform store: %w", err)
	}
	go j.run()
	return j, nil
}

func (j *journal) path() string { return filepath.Join(j.dir, journalName) }

// write adds a record and returns its number. It never waits; see room.
func (j *journal) write(kind byte, body []byte) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	if j.dir == "" || j.closing || j.err != nil {
		return j.last
	}
	j.buf = j.key.frame(j.buf, kind, body)
	j.nudge()
	return j.last
}

func (j *journal) nudge() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// wait returns nil once record n and all before it are fsynced. Many that wait share one fsync. While the disk is full
// it goes on waiting.
func (j *journal) wait(ctx context.Context, n uint64) error {
	if j.dir == "" {
		return nil
	}
	for {
		j.mu.Lock()
		moved, durable, err := j.moved, j.durable, j.err
		if n > j.wanted {
			j.wanted = n
			j.nudge()
		}
		j.mu.Unlock()
		switch {
		case durable >= n:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// room waits while too much waits for the disk, until gone is closed. Whoever writes on behalf of a client asks first,
// holding no lock: a full disk must not fill the memory too.
func (j *journal) room(ctx context.Context, gone <-chan struct{}) error {
	for {
		j.mu.Lock()
		moved, size, err := j.moved, len(j.buf), j.err
		j.mu.Unlock()
		switch {
		case err != nil:
			return err
		case size < roomFor:
			return nil
		}
		select {
		case <-moved:
		case <-gone:
			return net.ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// failed is closed when the disk has failed: nothing more becomes durable, and the platform must end.
func (j *journal) failed() <-chan struct{} { return j.broken }

// cause is why nothing becomes durable any more.
func (j *journal) cause() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Close writes what is left and gives the file back.
func (j *journal) Close() error {
	if j.dir == "" {
		return nil
	}
	j.mu.Lock()
	if !j.closing {
		j.closing = true
		close(j.stop)
	}
	j.nudge()
	j.mu.Unlock()
	<-j.ended
	err := j.cause()
	if errors.Is(err, errJournalClosed) {
		err = nil
	}
	j.compacting.Lock() // one under way ends first
	defer j.compacting.Unlock()
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	return errors.Join(err, j.f.Close())
}

// run is the one that writes: all that has come meanwhile with one fsync.
func (j *journal) run() {
	defer close(j.ended)
	var spare []byte
	var due <-chan time.Time
	for {
		late := false
		select {
		case <-j.wake:
		case <-due:
			late, due = true, nil
		}
		j.mu.Lock()
		buf, n := j.buf, j.last
		j.buf = spare[:0]
		need := n > j.durable
		now := late || j.closing || j.wanted > j.durable
		closing, ended := j.closing, j.err != nil
		j.mu.Unlock()
		if ended { // compact has failed
			return
		}

		if err := j.append(buf); err != nil {
			j.fail(err)
			return
		}
		if spare = buf; cap(spare) > keepFrames {
			spare = nil
		}
		switch {
		case need && now:
			if err := j.sync(); err != nil {
				j.fail(err)
				return
			}
			j.settle(n)
			due = nil
		case need:
			j.settle(0)
			if due == nil {
				due = time.After(lazySync)
			}
		}
		if closing {
			j.end(errJournalClosed)
			return
		}
	}
}

// append puts frames behind what the file has. A full disk is waited for; what was written of them is cut off first,
// so that the file never ends in half a record for long.
func (j *journal) append(frames []byte) error {
	if len(frames) == 0 {
		return nil
	}
	for full := false; ; {
		j.fileMu.Lock()
		_, err := j.f.WriteAt(frames, j.size)
		if err == nil {
			j.size += int64(len(frames))
			bloated := j.size > 2*j.base+slack
			j.fileMu.Unlock()
			if bloated {
				j.tellGrown()
			}
			if full {
				j.log.Info("the disk has room again, the platform goes on", "file", j.path())
			}
			return nil
		}
		if !noRoom(err) {
			j.fileMu.Unlock()
			return err
		}
		err = j.f.Truncate(j.size)
		j.fileMu.Unlock()
		if err != nil {
			return err
		}
		if !full {
			full = true
			j.log.Error("the disk is full: the platform acknowledges nothing until there is room; free some space", "file", j.path())
		}
		select {
		case <-time.After(diskRetry):
		case <-j.stop:
			return fmt.Errorf("the disk is full, %d bytes were not kept: %w", len(frames), syscall.ENOSPC)
		}
	}
}

func (j *journal) isClosing() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closing
}

func (j *journal) sync() error {
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	return j.f.Sync()
}

// settle says that all up to n is durable, and that there is room.
func (j *journal) settle(n uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return
	}
	j.durable = max(j.durable, n)
	close(j.moved)
	j.moved = make(chan struct{})
}

// fail is the end of the journal. What a failed write or fsync has left on the disk is not known, and a second fsync
// may succeed without it: so it is never tried again.
func (j *journal) fail(err error) {
	if j.end(fmt.Errorf("platform store %s: %w, nothing more is acknowledged: %w", j.path(), ErrDisk, err)) {
		close(j.broken)
	}
}

// end settles that nothing becomes durable any more. It returns false if that was settled before.
func (j *journal) end(err error) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return false
	}
	j.err, j.buf = err, nil
	close(j.moved)
	j.moved = make(chan struct{})
	j.nudge()
	return true
}

func noRoom(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// frameKey is what makes a record of this store recognisable.
type frameKey struct {
	mark [4]byte
	seed [4]byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const frameHead = 4 + 4 + 4 // mark, length, checksum

// maxRecord is the longest kind and body: a message with the largest payload, and its names.
const maxRecord = 257 << 20

func (k frameKey) frame(to []byte, kind byte, body []byte) []byte {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(1+len(body)))
	to = append(to, k.mark[:]...)
	to = append(to, length[:]...)
	to = binary.BigEndian.AppendUint32(to, k.sum(length[:], kind, body))
	to = append(to, kind)
	return append(to, body...)
}

func (k frameKey) sum(length []byte, kind byte, body []byte) uint32 {
	sum := crc32.Update(0, castagnoli, k.seed[:])
	sum = crc32.Update(sum, castagnoli, length)
	sum = crc32.Update(sum, castagnoli, []byte{kind})
	return crc32.Update(sum, castagnoli, body)
}

// syncDir makes what was created or renamed in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

package queue

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"legacybridge/mapping"
)

// ErrBusy means that another process owns the folder.
var ErrBusy = errors.New("another process owns this folder")

// errClosed is what a closed queue answers.
var errClosed = errors.New("the queue is closed")

// An Entry is an event in the queue.
type Entry struct {
	Number uint64    // rising, never used twice
	First  uint64    // number of part 1 of a chunked event; else Number
	Stored time.Time // when it was appended
	Event  mapping.Event
}

// A Queue is an open folder. All methods may be called concurrently.
type Queue struct {
	cfg      Config
	stream   string
	someDrop bool // a link gives up events when the queue is full
	locks    []io.Closer
	wake     chan struct{} // the committer has something to do; holds one
	done     chan struct{} // the committer has ended
	failed   chan struct{}
	requests sync.Pool // of *request

	// mu guards what Append, readers and the committer share. Only the committer changes log and books, and holds mu for
	// that; it reads them without. No I/O is done under it.
	mu       sync.Mutex
	log      *folder
	books    books
	pending  []*request // for the next commit
	load     int        // what they weigh
	since    time.Time  // when the first of them came
	held     []*request // wait for room
	lazy     ledger     // counts that no record holds yet: nothing is lost with them but themselves
	lazyAt   time.Time  // since when
	reports  []damage   // to be set aside
	readers  []*Reader
	closing  bool
	closed   bool
	err      error
	full     fullness
	fullAt   time.Time // since when
	deadFull bool      // the dead letters have a disk of their own, and that is full
	deadAt   time.Time // since when
	dropped  uint64    // events, by this process
	unsaid   uint64    // of them not logged
	oldest   time.Time // when the event oldestOf was stored
	oldestOf uint64

	// ackMu guards what Ack needs. It may be taken with mu held, not the other way round.
	ackMu     sync.Mutex
	acked     ranges        // what does not wait
	mark      mark          // end of what is durable
	top       uint64        // above the highest number that was acknowledged
	edge      uint64        // end of the first segment, if it may go when all of it is acknowledged
	unsaved   int           // acknowledgements that the cursor does not hold yet
	unsavedAt time.Time     // when the first of them came
	unsynced  bool          // the cursor was written and not synced
	gone      atomic.Uint64 // how often numbers went otherwise than by Ack

	// curMu guards the cursor's file, and I/O is done under it: Ack waits for a sync, else both slots could be torn at
	// once. It is taken before ackMu.
	curMu   sync.Mutex
	cursor  *cursor
	written ranges // what the slot holds that is written now

	// Of the committer alone.
	ages                                         ages
	letters                                      *deadFolder
	reserve                                      *reserve
	safe                                         ranges // what does not wait, durably: a segment of such numbers may go
	rescan                                       bool   // look for such segments
	notices                                      [notices]notice
	group                                        []byte
	taken                                        []*request // worked on; nil where answered or held
	aged, probed, deadProbed, syncedAt, dropSaid time.Time  // when it was last done
	gaveUp                                       time.Time  // when enough was dropped that the disk did not show as free
}

// Open takes the folder for this process (ErrBusy if another has it), makes it if it is not there, and recovers what a
// crash left: the torn tail is cut, damaged records are set aside with a message. It starts one goroutine, the committer.
func Open(cfg Config) (*Queue, error) {
	q := &Queue{cfg: cfg.withDefaults(), wake: make(chan struct{}, 1), done: make(chan struct{}), failed: make(chan struct{})}
	if err := q.open(); err != nil {
		q.release()
		if errors.Is(err, ErrBusy) {
			return nil, err
		}
		return nil, fmt.Errorf("open queue: %w", err)
	}
	go q.run()
	return q, nil
}

func (q *Queue) open() error {
	cfg := &q.cfg
	if filepath.Clean(cfg.Path) == filepath.Clean(cfg.Dead.Path) {
		return fmt.Errorf("queue and dead letters cannot share the folder %s: give them two", cfg.Path)
	}
	for _, dir := range []string{cfg.Path, cfg.Dead.Path} {
		if err := cfg.FS.MkdirAll(dir); err != nil {
			return err
		}
		lock, err := cfg.FS.Lock(filepath.Join(dir, "lock"))
		if err != nil {
			return err
		}
		q.locks = append(q.locks, lock)
	}
	for _, w := range cfg.WhenFull {
		q.someDrop = q.someDrop || w != StopReading
	}
	q.reserve = newReserve(cfg.FS, cfg.Path)
	size, _ := cfg.FS.Size(cfg.Path) // not known: 0
	q.log = &folder{fs: cfg.FS, dir: cfg.Path, log: cfg.Log, target: cfg.segment(size), most: cfg.MaxBytes, machine: machine(cfg.FS)}
	q.books.since = time.Now().UTC()
	cur, st, err := openCursor(cfg.FS, cfg.Path, filepath.Join(cfg.Path, "cursor"))
	if err != nil {
		return err
	}
	q.cursor = cur
	fd, err := recall(q.log, st, &q.books, &q.acked, nil)
	if err != nil {
		return err
	}
	if err := q.log.mend(&fd, &q.acked); err != nil {
		return err
	}
	q.ages = ages{floor: cfg.ClockFloor, first: q.log.next}
	if q.letters, err = openDead(cfg); err != nil {
		return err
	}
	if q.letters.apart, err = cfg.FS.Apart(cfg.Path, cfg.Dead.Path); err != nil {
		return err
	}
	if err := q.begin(); err != nil {
		return err
	}
	q.stream = fmt.Sprintf("%08x", q.log.stream)
	q.mark, q.edge = q.log.mark(), math.MaxUint64
	now := time.Now()
	q.syncedAt, q.probed = now, now
	if err := q.reserve.take(0); errors.Is(err, errNoRoom) {
		err = q.enterDiskFull()
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	for _, f := range append(fd.headers, fd.damages...) {
		q.cfg.Log.Warn("damaged bytes in the queue", "file", f.seg.path(cfg.Path), "offset", f.from, "bytes", f.to-f.from, "err", f.why)
	}
	q.reports = fd.damages
	q.rescan = true
	return nil
}

// begin rolls where the folder is new or came from another machine, for the stream must be on disk before it is used, and
// where the last segment is not to be written any more.
func (q *Queue) begin() error {
	d := q.log
	for _, s := range slices.Backward(d.segs) {
		if s.stream == 0 {
			continue // its headers are damaged
		}
		if s.machine == 0 || d.machine == 0 || s.machine == d.machine {
			d.stream = s.stream
			if !d.mustRoll {
				return nil
			}
			if err := q.roll(); !errors.Is(err, errNoRoom) {
				return err
			}
			return nil // the next write does it
		}
		q.cfg.Log.Warn("the queue comes from another machine: events get ids of a new stream", "file", s.path(d.dir))
		break
	}
	for d.stream == 0 {
		var b [4]byte
		_, _ = rand.Read(b[:]) // it never fails
		d.stream = binary.LittleEndian.Uint32(b[:])
	}
	return q.roll()
}

// machine is this machine's id; 0 if it has none.
func machine(fsys FS) uint64 {
	f, err := fsys.Open("/etc/machine-id", os.O_RDONLY)
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }() // it was only read
	b := make([]byte, 64)
	n, _ := f.ReadAt(b, 0) // a short file ends with an error
	id := strings.TrimSpace(string(b[:n]))
	if id == "" {
		return 0
	}
	sum := sha256.Sum256([]byte("legacybridge queue " + id))
	return binary.LittleEndian.Uint64(sum[:])
}

// Close commits what waits and gives the folder back.
func (q *Queue) Close() error {
	q.mu.Lock()
	q.closing = true
	q.mu.Unlock()
	q.kick()
	<-q.done
	q.mu.Lock()
	err, again := q.err, q.closed
	q.closed = true
	if q.err == nil {
		q.err = errClosed
	}
	q.mu.Unlock()
	if again {
		return nil
	}
	return errors.Join(err, q.release())
}

func (q *Queue) release() error {
	var errs []error
	if q.log != nil {
		errs = append(errs, q.log.close())
	}
	if q.letters != nil {
		errs = append(errs, q.letters.close())
	}
	if q.cursor != nil {
		errs = append(errs, q.cursor.f.Close())
	}
	for _, l := range q.locks {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

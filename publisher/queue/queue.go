// Package queue is the durable log of events and checkpoints, and the dead letters.
package queue

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"legacybridge/mapping"
)

// ErrBusy means that another process owns the folder.
var ErrBusy = errors.New("another process owns this folder")

// WhenFull says what becomes of a link's new events while there is no room.
type WhenFull byte

const (
	StopReading WhenFull = iota
	DropOldest
	DropNewest
)

// Config is a queue folder and its dead letters.
type Config struct {
	Path     string
	MaxBytes int64               // of events; 0 = 512 MiB
	MaxAge   time.Duration       // 0 = 7 d
	Linger   time.Duration       // group commit; 0 = at once
	WhenFull map[string]WhenFull // by link; left out = StopReading
	Dead     DeadConfig
	Segment  int64 // bytes of a segment; 0 = 8 MiB
	FS       FS    // nil = the real one
	Log      *slog.Logger
}

// DeadConfig is the folder of the dead letters.
type DeadConfig struct {
	Path     string
	MaxBytes int64         // 0 = 64 MiB
	MaxAge   time.Duration // 0 = 30 d
}

// FS is all the queue asks of a file system.
type FS interface{}

// An Entry is an event in the queue.
type Entry struct {
	Number uint64    // rising, never used twice
	First  uint64    // number of part 1 of a chunked event; else Number
	Stored time.Time // when it was appended
	Event  mapping.Event
}

// A Queue is an open folder. All methods may be called concurrently.
type Queue struct{}

// Open takes the folder for this process (ErrBusy if another has it), makes it if it is not there, and recovers what a
// crash left: the torn tail is cut, damaged records are set aside with a message. It starts one goroutine, the committer.
func Open(cfg Config) (*Queue, error) { return nil, errors.New("not built") }

// Close commits what waits and gives the folder back.
func (q *Queue) Close() error { return nil }

// Failed is closed when the disk has failed; Err says how. The process must then end (exit 74).
func (q *Queue) Failed() <-chan struct{} { return nil }

// Err is why Failed was closed.
func (q *Queue) Err() error { return nil }

// Stream is the random id of this folder: 8 lower-case hex digits.
func (q *Queue) Stream() string { return "" }

// Checkpoint returns the stored position of a link, nil if there is none.
func (q *Queue) Checkpoint(link string) []byte { return nil }

// Append stores events and the checkpoint behind them as one record, with one fsync, which it shares with what
// others append within Config.Linger; a nil error means on disk. Dead letters are fsynced before. A nil
// checkpoint leaves the stored one. Without room it waits, or drops and counts, as the link's WhenFull
// says. It fails only when ctx is done or the queue has failed.
func (q *Queue) Append(ctx context.Context, link string, checkpoint []byte, out mapping.Output) error {
	return nil
}

// NewReader reads the durable events from the oldest unacknowledged on, passing over acknowledged ones.
func (q *Queue) NewReader() *Reader { return nil }

// Ack marks events as delivered; the cursor follows lazily. Numbers may come in any order.
func (q *Queue) Ack(numbers ...uint64) error { return nil }

// SetAside moves an event into the dead letters, durably, and then acknowledges it. All parts of a chunked event go together.
func (q *Queue) SetAside(e Entry, code, why string) error { return nil }

// A Reader belongs to one goroutine.
type Reader struct{}

// Next returns the next event; ok is false when there is none yet. The payload is the caller's to keep.
func (r *Reader) Next() (e Entry, ok bool, err error) { return Entry{}, false, nil }

// More receives a value after events were committed; it holds at most one.
func (r *Reader) More() <-chan struct{} { return nil }

// Close gives the reader's file back.
func (r *Reader) Close() error { return nil }

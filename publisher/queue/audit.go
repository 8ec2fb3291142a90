package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An Audit is the log of what was written to equipment, and of what was refused: a file of text, one fsynced line each.
// At maxAudit it becomes PATH.1, in place of the one before, so that both together bound what it takes.
type Audit struct {
	fs   FS
	path string

	mu   sync.Mutex // held over the writing: the lines stand in the order of the calls
	f    File
	size int64
}

// maxAudit is bytes of one file, some 20,000 lines.
const maxAudit = 8 << 20

// A Write is one line. What came from outside is quoted: it can neither end the line nor speak to a terminal.
type Write struct {
	Time                time.Time
	Way                 string // platform
	Topic               string
	Device, Command, ID string
	Args, Value         string
	Outcome             string // done, refused, failed, unknown
	Answer, Shows       string // of the equipment; what the read-back found
	Code, Why           string
	Left                int       // refusals before it that have no line of their own
	At                  time.Time // when it went out on the wire; zero: it did not
	Accepted            time.Time // as the queue has it; zero: it was not
}

// OpenAudit opens the log, or makes it with the folders above. A nil fs is the real one.
func OpenAudit(fsys FS, path string) (*Audit, error) {
	if fsys == nil {
		fsys = disk{}
	}
	a := &Audit{fs: fsys, path: path}
	if err := fsys.MkdirAll(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	return a, nil
}

func (a *Audit) open() error {
	f, err := a.fs.Open(a.path, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		if f, err = a.fs.Open(a.path, os.O_RDWR|os.O_CREATE|os.O_EXCL); err == nil {
			err = errors.Join(f.Sync(), a.fs.SyncDir(filepath.Dir(a.path)))
		}
	}
	if err != nil {
		return err
	}
	a.f = f
	if a.size, err = f.Size(); err != nil {
		return err
	}
	if a.size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, a.size-1); err != nil {
		return err
	}
	if last[0] != '\n' { // a line that a crash cut off
		return a.append([]byte{'\n'})
	}
	return nil
}

func (a *Audit) append(b []byte) error {
	if err := write(a.f, b, a.size); err != nil {
		return err
	}
	a.size += int64(len(b))
	return a.f.Sync()
}

// Log writes one line. A nil error means on disk.
func (a *Audit) Log(w Write) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.size >= maxAudit {
		_ = a.rotate() // a line in a file that is too long is better than none: the next line tries again
	}
	if err := a.append(w.line()); err != nil {
		return fmt.Errorf("audit log %s: %w", a.path, err)
	}
	return nil
}

// rotate closes the file last: if the disk refuses a new one, the old one goes on, under its name.
func (a *Audit) rotate() error {
	if err := a.fs.Rename(a.path, a.path+".1"); err != nil {
		return err
	}
	old, size := a.f, a.size
	if err := a.open(); err != nil {
		a.f, a.size = old, size
		return errors.Join(err, a.fs.Rename(a.path+".1", a.path))
	}
	return old.Close()
}

// auditTail is how far back a line is looked for: more than all commands that can be under way at once.
const auditTail = 256 << 10

// Told finds the line of an accepted command, if what became of it was written before a crash. Only Outcome, Code and Why
// are set.
func (a *Audit) Told(device, command string, accepted time.Time) (w Write, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	from := max(a.size-auditTail, 0)
	tail := make([]byte, a.size-from)
	if n, err := a.f.ReadAt(tail, from); n < len(tail) && err != nil {
		return w, false
	}
	// What came from outside is quoted and escaped, so that none of it looks like these.
	who := fmt.Sprintf(" device=%s command=%s ", strconv.QuoteToASCII(device), strconv.QuoteToASCII(command))
	when := fmt.Sprintf(" accepted=%q", acceptedText(accepted))
	for line := range strings.Lines(string(tail)) {
		if strings.Contains(line, who) && strings.Contains(line, when) {
			return Write{Outcome: auditField(line, "result"), Code: auditField(line, "code"), Why: auditField(line, "why")}, true
		}
	}
	return w, false
}

func auditField(line, key string) string {
	_, rest, _ := strings.Cut(line, " "+key+"=")
	quoted, _ := strconv.QuotedPrefix(rest)
	text, _ := strconv.Unquote(quoted)
	return text
}

func acceptedText(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Close closes the file.
func (a *Audit) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.f.Close()
}

// maxAuditText is how much of one text stands in a line.
const maxAuditText = 512

func (w Write) line() []byte {
	b := w.Time.UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z07:00")
	add := func(key, text string, always bool) {
		if text == "" && !always {
			return
		}
		b = append(append(append(b, ' '), key...), '=')
		if len(text) > maxAuditText {
			text = text[:maxAuditText] + "…"
		}
		b = strconv.AppendQuoteToASCII(b, text)
	}
	add("result", w.Outcome, true)
	add("way", w.Way, true)
	add("device", w.Device, true)
	add("command", w.Command, true)
	add("id", w.ID, false)
	add("args", w.Args, false)
	add("value", w.Value, false)
	if !w.At.IsZero() {
		add("sent", w.At.UTC().Format("2006-01-02T15:04:05.000Z07:00"), true)
	}
	add("answer", w.Answer, false)
	add("readback", w.Shows, false)
	add("code", w.Code, false)
	add("why", w.Why, false)
	add("topic", w.Topic, false)
	if !w.Accepted.IsZero() { // at the end: a line that holds it is whole
		add("accepted", acceptedText(w.Accepted), true)
	}
	if w.Left > 0 {
		b = strconv.AppendInt(append(b, " left_out="...), int64(w.Left), 10)
	}
	return append(b, '\n')
}

package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// newLogger writes to w in the form of [log].format: auto picks journald when stderr goes to the journal, else text.
func newLogger(w io.Writer, format string, level slog.Level) *slog.Logger {
	if format == "auto" || format == "" {
		format = "text"
		if os.Getenv("JOURNAL_STREAM") != "" {
			format = "journald"
		}
	}
	opt := &slog.HandlerOptions{Level: level, ReplaceAttr: tidy}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opt))
	case "journald":
		return slog.New(newLineHandler(w, opt, true))
	default:
		return slog.New(newLineHandler(w, opt, false))
	}
}

const maxLogged = 256 // bytes: what equipment sends does not fill the log

// tidy cuts texts that came from outside.
func tidy(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindString && len(a.Value.String()) > maxLogged {
		return slog.String(a.Key, a.Value.String()[:maxLogged]+"…")
	}
	if err, ok := a.Value.Any().(error); ok && len(err.Error()) > maxLogged {
		return slog.String(a.Key, err.Error()[:maxLogged]+"…")
	}
	return a
}

// A lineHandler writes "12:04:31 warn message key=value", or, for the journal, "<4>message key=value": the journal adds
// the time, and the prefix makes `journalctl -p warning` work.
type lineHandler struct {
	mu      *sync.Mutex
	w       io.Writer
	journal bool
	buf     *bytes.Buffer
	text    slog.Handler // writes the attributes into buf
}

func newLineHandler(w io.Writer, opt *slog.HandlerOptions, journal bool) *lineHandler {
	buf := &bytes.Buffer{}
	inner := *opt
	inner.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return opt.ReplaceAttr(groups, a)
	}
	return &lineHandler{mu: &sync.Mutex{}, w: w, journal: journal, buf: buf, text: slog.NewTextHandler(buf, &inner)}
}

func (h *lineHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.text.Enabled(ctx, l) }

func (h *lineHandler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Reset()
	if h.journal {
		h.buf.WriteString(priority(r.Level))
	} else {
		h.buf.WriteString(r.Time.Format(time.TimeOnly))
		h.buf.WriteString(levelName(r.Level))
	}
	h.buf.WriteString(r.Message)
	h.buf.WriteByte(' ')
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.w.Write(h.buf.Bytes())
	return err
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.text = h.text.WithAttrs(attrs)
	return &c
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.text = h.text.WithGroup(name)
	return &c
}

// priority is the syslog level that journald takes from the front of a line.
func priority(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return " error "
	case l >= slog.LevelWarn:
		return " warn  "
	case l >= slog.LevelInfo:
		return " info  "
	}
	return " debug "
}

package config

import (
	"errors"
	"strings"

	"github.com/BurntSushi/toml"
)

// syntax reports what the TOML package says, in our words where it is the usual mistake.
func (l *loader) syntax(src *source, w *walk, err error) {
	e, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		l.errorf("CFG010", src.whole(), "%s: %v", src.name, err)
		return
	}
	if len(w.twice) > 0 && strings.Contains(e.Message, "already") {
		c := w.twice[0]
		p := l.errorf("CFG003", src.place(c.second), "%q is written twice", c.name)
		p.label = "leave one of them out"
		p.second, p.there = src.place(c.first), "the other one"
		return
	}
	start := e.Position.Start // the package's lines are one too far where an end of line is what is wrong
	if strings.HasPrefix(src.text, byteOrderMark) {
		start += len(byteOrderMark)
	}
	at := src.place(span{min(max(start, 0), len(src.text)), 1})
	if n, _, _ := at.cells(); src.nearSecret(n) { // the message may quote the secret
		p := l.errorf("CFG002", at, "this line is not TOML; it is not shown, for it may hold a secret")
		p.hide = true
		return
	}
	if strings.HasPrefix(e.Message, "invalid escape") {
		p := l.errorf("CFG002", at, "a backslash in double quotes begins a special character, and this one does not exist")
		p.label = "not in double quotes"
		p.note("help", "put patterns and paths with backslashes in single quotes")
		return
	}
	why := strings.NewReplacer(`'\n'`, "the end of the line", `'\r'`, "the end of the line").Replace(e.Message)
	l.errorf("CFG002", at, "this is not TOML: %s", strings.TrimPrefix(why, "toml: "))
}

// nearSecret tells whether a line, or the assignment that it may go on with, has to do with a secret.
func (s *source) nearSecret(n int) bool {
	for ; n > 0; n-- {
		row := s.row(n)
		if secretKey.MatchString(row) {
			return true
		}
		if strings.Contains(row, "=") {
			return false
		}
	}
	return false
}

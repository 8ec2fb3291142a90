package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"
)

// What equipment, files and networks may send to people who read it: line ends, commands to the terminal, text that
// turns the direction of writing, bytes that are no text, and a megabyte.
var injections = []string{
	"kiln\nerror everything is lost source=platform",
	"kiln\r<3>everything is lost",
	"\x1b]0;owned\x07\x1b[2J\x1b[31m",
	"\u009b31m", "\u2028next", "\u202egnirts", "\x00\x7f\x08", "\xff\xfe\xc3",
	strings.Repeat("a\n", 1<<19),
	"level=error msg=\"x\" \" \\",
}

func TestNothingThatEquipmentSendsCanForgeALogLine(t *testing.T) {
	for _, format := range []string{"text", "journald", "json"} {
		for _, evil := range injections {
			var out bytes.Buffer
			log := newLogger(&out, format, slog.LevelDebug)
			log.With("source", evil).Warn("failing", "device", evil, "err", errors.New(evil), "topic", []byte(evil), "n", struct{ S string }{evil},
				slog.Group("g", "err", fmt.Errorf("x: %w", errors.New(evil))), "id", stringer(evil), "list", []string{evil})
			text := out.String()
			if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
				t.Errorf("%s: %d lines from %.60q: %.300q", format, strings.Count(text, "\n"), evil, text)
			}
			if strings.ContainsFunc(strings.TrimSuffix(text, "\n"), isCommand) || !utf8.ValidString(text) {
				t.Errorf("%s: %.60q came through: %.300q", format, evil, text)
			}
			if most := 10 * 6 * maxLogged; len(text) > most {
				t.Errorf("%s: %d bytes in the log, want at most %d", format, len(text), most)
			}
		}
	}
}

type stringer string

func (s stringer) String() string { return string(s) }

func TestNothingThatEquipmentSendsReachesTheTerminalRaw(t *testing.T) {
	for _, evil := range injections {
		for what, said := range map[string]string{"plain": plain(evil), "printable": printable([]byte(evil))} {
			if strings.ContainsFunc(said, isCommand) {
				t.Errorf("%s: %.60q came through: %.300q", what, evil, said)
			}
		}
	}
	for _, text := range []string{"kiln.csv:12: 온도 ist 21 °C", "", "a\u00a0b"} {
		if got := plain(text); got != text {
			t.Errorf("got %q, want it as it is: %q", got, text)
		}
	}
	if got, want := plain("a\x1b[1m\n"), `a\x1b[1m\n`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := plainLines(errors.New("a\x1bb\nc")); got != "a\\x1bb\nc" {
		t.Errorf("got %q, want its lines kept", got)
	}
}

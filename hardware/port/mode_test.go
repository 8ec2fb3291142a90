package port

import (
	"testing"
	"time"
)

func TestModesAreRead(t *testing.T) {
	for text, want := range map[string]Mode{
		"9600 8N1":           {9600, 8, 'N', 1, ""},
		"4800 7E1 xonxoff":   {4800, 7, 'E', 1, "xonxoff"},
		" 31250  8O2 rtscts": {31250, 8, 'O', 2, "rtscts"},
	} {
		if got, err := ParseMode(text); err != nil || got != want {
			t.Errorf("ParseMode(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestWrongModesAreRefused(t *testing.T) {
	for _, text := range []string{"", "9600", "8N1", "9600 8N", "9600 8N1.5", "9600 6N1", "9600 8M1", "9600 8N3",
		"9600 8n1", "0 8N1", "-9600 8N1", "99999999 8N1", "9600 8N1 dtr", "9600 8N1 xonxoff rtscts", "9600,8N1"} {
		if m, err := ParseMode(text); err == nil {
			t.Errorf("ParseMode(%q) = %+v, want an error", text, m)
		}
	}
}

func TestModePrintsAsWritten(t *testing.T) {
	for _, text := range []string{"9600 8N1", "4800 7E1 xonxoff"} {
		if m, err := ParseMode(text); err != nil || m.String() != text {
			t.Errorf("%q prints as %q (%v)", text, m, err)
		}
	}
}

func TestCharTimeCountsAllBits(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"9600 8N1": 10 * time.Second / 9600,
		"9600 8E1": 11 * time.Second / 9600,
		"1200 7O2": 11 * time.Second / 1200,
	} {
		m, err := ParseMode(text)
		if got := m.CharTime(); err != nil || got != want {
			t.Errorf("%s: one character takes %v, want %v (%v)", text, got, want, err)
		}
	}
	if got := (Mode{}).CharTime(); got != 0 {
		t.Errorf("without a baud rate: %v, want 0", got)
	}
}

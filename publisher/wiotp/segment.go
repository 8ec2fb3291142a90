package wiotp

import (
	"fmt"
	"unicode/utf8"
)

// anyLevel stands for one whole level of a filter.
const anyLevel = "+"

// ValidSegment says whether s may be a device type, device id, application or instance: 1 to 36 of A-Z a-z 0-9 - _ .
// The platform takes wider event ids and formats; legacybridge keeps to this alphabet there too, because it fits
// everywhere.
func ValidSegment(s string) bool {
	if len(s) == 0 || len(s) > MaxSegment {
		return false
	}
	for i := range len(s) {
		if !segmentByte[s[i]] {
			return false
		}
	}
	return true
}

// CheckSegment is ValidSegment with the reason; what names the part for the reader.
func CheckSegment(what, s string) error {
	switch {
	case ValidSegment(s):
		return nil
	case s == "":
		return fmt.Errorf("%s is empty", what)
	case len(s) > MaxSegment:
		return fmt.Errorf("%s has %d characters, at most %d are allowed", what, len(s), MaxSegment)
	}
	for _, r := range s {
		if r >= utf8.RuneSelf || !segmentByte[byte(r)] {
			return fmt.Errorf("%s %q contains %q, not one of A-Z a-z 0-9 . _ -", what, s, r)
		}
	}
	return nil
}

// validLevel says whether s may be an event id or a format on the platform: any text without / + # and characters
// that MQTT forbids.
func validLevel(s string) bool {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f || c == '/' || c == '+' || c == '#':
			return false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return s != "" && (ascii || validText(s))
}

// validText says whether s is UTF-8 without control characters and Unicode non-characters.
func validText(s string) bool {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return false
			}
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe {
			return false
		}
	}
	return true
}

var segmentByte = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") {
		t[c] = true
	}
	return t
}()

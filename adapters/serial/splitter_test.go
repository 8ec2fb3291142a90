package serial

import (
	"slices"
	"testing"
	"time"
)

// pauseMark in the text of a test stands for the silence that the splitter asks for.
const pauseMark = '~'

// split feeds text in chunks of so many bytes, 0 for one, and returns the frames, those that are torn in angles.
func split(s *splitter, text string, chunk int) []string {
	var frames []string
	emit := func(frame []byte, torn bool) {
		f := string(frame)
		if torn {
			f = "<" + f + ">"
		}
		frames = append(frames, f)
	}
	from := 0
	for i := range len(text) {
		switch {
		case text[i] == pauseMark:
			s.feed([]byte(text[from:i]), emit)
			if s.pause() > 0 {
				s.silence(emit)
			}
			from = i + 1
		case chunk > 0 && i-from == chunk:
			s.feed([]byte(text[from:i]), emit)
			from = i
		}
	}
	s.feed([]byte(text[from:]), emit)
	return frames
}

var (
	lines    = Frame{End: []byte("\r\n"), Max: 10}
	toledo   = Frame{Start: []byte{2}, Length: 6}
	toledoCR = Frame{Start: []byte{2}, Length: 6, End: []byte("\r")}
	telegram = Frame{Start: []byte{2}, End: []byte{3}, Max: 8}
	nmea     = Frame{Start: []byte("$G"), End: []byte("\r\n"), Max: 20}
	blocks   = Frame{Length: 4}
	blockEnd = Frame{Length: 4, End: []byte(";")}
	bursts   = Frame{Idle: time.Second, Max: 5}
	barcode  = Frame{End: []byte("\r"), Idle: time.Second}
	stxIdle  = Frame{Start: []byte{2}, Idle: time.Second}
	idleLen  = Frame{Length: 4, Idle: time.Second}
	flags    = Frame{Start: []byte("!"), End: []byte("!")}
)

func TestFramesAreFound(t *testing.T) {
	for _, c := range []struct {
		name string
		f    Frame
		in   string
		want []string
		bad  uint64
	}{
		{"lines", lines, "a\r\nbc\r\nd", []string{"a", "bc"}, 0},
		{"half an end is data", lines, "a\rb\n\r\n", []string{"a\rb\n"}, 0},
		{"empty lines are none", lines, "\r\n\r\na\r\n", []string{"a"}, 0},
		{"a line as long as allowed", lines, "1234567890\r\n", []string{"1234567890"}, 0},
		{"the rest of a line too long is no line", lines, "1234567890X tail\r\nb\r\n", []string{"b"}, 1},
		{"a line too long whose end is cut at the limit", lines, "12345678901\r\nb\r\n", []string{"b"}, 1},
		{"a pause inside a line tears it", lines, "12.~48\r\nb\r\n", []string{"<12.48>", "b"}, 0},
		{"a pause between lines does not", lines, "a\r\n~b\r\n", []string{"a", "b"}, 0},

		{"bytes before a start are skipped", telegram, "xx\x02a\x03yy\x02b\x03", []string{"\x02a", "\x02b"}, 0},
		{"a start inside means a frame was cut off", telegram, "\x0212\x02345\x03", []string{"\x02345"}, 1},
		{"a telegram too long", telegram, "\x02123456789\x03\x02b\x03", []string{"\x02b"}, 1},
		{"a telegram may pause", telegram, "\x021~2\x03", []string{"\x0212"}, 0},
		{"a start of two bytes", nmea, "$$GP1\r\nG$X\r\n$GP2\r\n", []string{"$GP1", "$GP2"}, 0},
		{"one byte as start and end, from between two frames", flags, "!!a!!b!", []string{"!a", "!b"}, 0},

		{"fixed length from a start", toledo, "x\x0212345\x026789A", []string{"\x0212345", "\x026789A"}, 0},
		{"a start byte is data inside", toledo, "\x021\x02345", []string{"\x021\x02345"}, 0},
		{"a pause ends what came of it", toledo, "\x02123~45\x02abcde", []string{"\x02abcde"}, 1},
		{"a lost byte is found by the end", toledoCR, "\x02123\r\x02abcd\r\x02efgh\r", []string{"\x02abcd", "\x02efgh"}, 1},
		{"and the start searched among what is here", toledoCR, "\x0212\x02abcd\r", []string{"\x02abcd"}, 1},
		{"no start among it", toledoCR, "\x0212345\x02abcd\r", []string{"\x02abcd"}, 1},

		{"fixed length alone", blocks, "abcdefgh", []string{"abcd", "efgh"}, 0},
		{"after a pause inside, what comes is no frame before the next pause", blocks, "ab~cdefgh~ijkl", []string{"ijkl"}, 1},
		{"a length with idle trusts the silence", idleLen, "ab~cdefgh~ijkl", []string{"cdef", "ijkl"}, 2},
		{"fixed length with an end", blockEnd, "abc;de;fgh;ijk;", []string{"abc", "ijk"}, 1},

		{"silence ends a burst", bursts, "ab~cd", []string{"ab"}, 0},
		{"a burst as long as allowed", bursts, "abcde~", []string{"abcde"}, 0},
		{"a burst too long", bursts, "abcdefghi~jk~", []string{"jk"}, 1},
		{"end or silence, whichever is first", barcode, "a\rb~c\r", []string{"a", "b", "c"}, 0},
		{"bytes of a start are data if silence is the end", stxIdle, "x\x02a\x02b~c~\x02d~", []string{"\x02a\x02b", "\x02d"}, 0},
	} {
		s := newSplitter(c.f)
		if got := split(s, c.in, 0); !slices.Equal(got, c.want) || s.bad != c.bad {
			t.Errorf("%s: %q gives %q, %d bad; want %q, %d", c.name, c.in, got, s.bad, c.want, c.bad)
		}
	}
}

func TestFrameUnderWayIsDropped(t *testing.T) {
	for _, c := range []struct {
		name string
		f    Frame
		in   string
		want []string
	}{
		{"up to its end", lines, ".48 kg\r\n 12.50\r\n", []string{" 12.50"}},
		{"an end in two parts", lines, "8 kg\r~\nab\r\n", []string{"ab"}},
		{"up to the next start", telegram, "2.4\x03\x0212.5\x03", []string{"\x0212.5"}},
		{"a whole frame with a start is kept", telegram, "\x0212.5\x03", []string{"\x0212.5"}},
		{"up to silence", bursts, "ab~cd~", []string{"cd"}},
		{"up to silence, fixed length", blocks, "cdabcd~abcd", []string{"abcd"}},
		{"up to the end or silence", barcode, "ab~cd\r", []string{"cd"}},
		{"up to the end, fixed length", blockEnd, "bc;abc;", []string{"abc"}},
	} {
		s := newSplitter(c.f)
		s.underWay()
		if got := split(s, c.in, 0); !slices.Equal(got, c.want) || s.bad != 0 {
			t.Errorf("%s: %q gives %q, %d bad; want %q", c.name, c.in, got, s.bad, c.want)
		}
	}
}

// FuzzSerialFrame: the same bytes and silences give the same frames in any chunks, and memory is bounded.
func FuzzSerialFrame(f *testing.F) {
	kinds := []Frame{lines, toledo, toledoCR, telegram, nmea, blocks, blockEnd, bursts, barcode, stxIdle, idleLen, flags}
	for i := range kinds {
		f.Add(uint8(i), "a\r\n\x0212\x02345\r\x03;!!x!~abcd~efgh;$$GP\r\n~1234567890123", uint8(7), false)
		f.Add(uint8(i), "\x02\x02\x02\x02\x02\x02\x02\x02", uint8(1), true)
	}
	f.Fuzz(func(t *testing.T, kind uint8, in string, chunk uint8, underWay bool) {
		frame := kinds[int(kind)%len(kinds)]
		whole, parts := newSplitter(frame), newSplitter(frame)
		if underWay {
			whole.underWay()
			parts.underWay()
		}
		want, got := split(whole, in, 0), split(parts, in, 1+int(chunk)%32)
		if !slices.Equal(got, want) || whole.bad != parts.bad {
			t.Errorf("in chunks %q, %d bad; in one %q, %d bad", got, parts.bad, want, whole.bad)
		}
		most := frame.limit() + 2
		for _, s := range got {
			if len(s) > most {
				t.Errorf("a frame of %d bytes, the maximum is %d", len(s), frame.limit())
			}
		}
		if len(parts.buf) > most || cap(parts.buf) > 2*most+64 {
			t.Errorf("%d bytes are held in %d, the maximum of a frame is %d", len(parts.buf), cap(parts.buf), frame.limit())
		}
	})
}

func BenchmarkSplitLines(b *testing.B) {
	line := []byte("      12.48 kg\r\n")
	s := newSplitter(Frame{End: []byte("\r\n"), Max: 64})
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		s.feed(line, func([]byte, bool) {})
	}
}

package serial

import (
	"bytes"
	"time"
)

const (
	// A frame of fixed length is sent in one go: a pause as long as this, where Idle says nothing else, means that
	// some of it is missing.
	lengthPause = 100 * time.Millisecond
	// No instrument pauses that long inside a line. What comes then may be the rest of it or another line.
	linePause = 10 * time.Second
)

// A splitter finds the frames in a stream of bytes. It knows no clock, and the same bytes and silences give the same
// frames however the bytes are chunked. It holds at most one frame.
//
// What cannot be told apart for certain is dropped and counted, never handed on: the rest of a frame looks like a frame.
type splitter struct {
	f    Frame
	max  int    // bytes that are too many for a frame if it does not end with them
	buf  []byte // the frame under way, or the last bytes that may begin a Start
	in   bool   // buf begins a frame; without Start it always does
	skip bool   // the bytes up to the next end (or, without End, silence) belong to no frame
	torn bool   // there was a silence inside the frame
	bad  uint64 // frames dropped since the splitter was made
}

func newSplitter(f Frame) *splitter {
	s := &splitter{f: f, max: f.limit() + max(len(f.End), 1)}
	s.begin()
	return s
}

// begin waits for a frame.
func (s *splitter) begin() {
	s.buf, s.in, s.skip, s.torn = s.buf[:0], len(s.f.Start) == 0, false, false
}

// underWay drops the frame that the next bytes belong to. With a Start nothing can be mistaken for a frame anyway.
func (s *splitter) underWay() {
	s.begin()
	s.skip = s.in
}

// feed takes bytes and hands every frame that ends in them to emit, without its End. A torn frame may be two in one.
// The frame is emit's for the time of the call.
func (s *splitter) feed(chunk []byte, emit func(frame []byte, torn bool)) {
	for _, c := range chunk {
		s.buf = append(s.buf, c)
		switch {
		case s.skip:
			s.skipped()
		case !s.in:
			s.search()
		case s.f.Length > 0:
			s.fixed(emit)
		default:
			s.delimited(emit)
		}
	}
}

// pause is the silence that must be told to the splitter, 0 if none matters now.
func (s *splitter) pause() time.Duration {
	switch {
	case s.skip && len(s.f.End) > 0 && s.f.Idle == 0, !s.in, !s.skip && len(s.buf) == 0:
		return 0
	case s.f.Idle > 0:
		return s.f.Idle
	case s.f.Length > 0:
		return lengthPause
	case len(s.f.Start) == 0 && !s.torn:
		return linePause
	}
	return 0
}

// silence says that nothing came for pause.
func (s *splitter) silence(emit func(frame []byte, torn bool)) {
	switch {
	case s.skip:
		s.begin()
	case s.f.Length > 0:
		// What comes next begins a frame if the configuration says so of its silences; else it may be the rest.
		s.drop()
		s.skip = s.in && s.f.Idle == 0
	case s.f.Idle > 0:
		s.deliver(s.buf, emit)
	default:
		s.torn = true
	}
}

// deliver ends a frame. An empty line is none.
func (s *splitter) deliver(frame []byte, emit func(frame []byte, torn bool)) {
	if len(frame) > 0 {
		emit(frame, s.torn)
	}
	s.begin()
}

// drop counts a frame that is no good.
func (s *splitter) drop() {
	s.bad++
	s.begin()
}

// skipped looks for the end of what belongs to no frame.
func (s *splitter) skipped() {
	if len(s.f.End) == 0 {
		s.buf = s.buf[:0]
		return
	}
	if bytes.HasSuffix(s.buf, s.f.End) {
		s.begin()
		return
	}
	s.keep(len(s.f.End) - 1)
}

// search looks for Start.
func (s *splitter) search() {
	if bytes.HasSuffix(s.buf, s.f.Start) {
		s.buf, s.in = append(s.buf[:0], s.f.Start...), true
		return
	}
	s.keep(len(s.f.Start) - 1)
}

// keep forgets all but the last n bytes.
func (s *splitter) keep(n int) {
	if over := len(s.buf) - n; over > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[over:])]
	}
}

// fixed ends a frame at its length, where its End must stand if there is one: that is what finds a lost byte.
func (s *splitter) fixed(emit func(frame []byte, torn bool)) {
	if len(s.buf) < s.f.Length {
		return
	}
	if bytes.HasSuffix(s.buf, s.f.End) {
		s.deliver(s.buf[:len(s.buf)-len(s.f.End)], emit)
		return
	}
	s.bad++
	if len(s.f.Start) == 0 {
		s.skip = true
		s.keep(len(s.f.End) - 1)
		return
	}
	// The true start may be among the bytes already here.
	if at := bytes.Index(s.buf[1:], s.f.Start); at >= 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[1+at:])]
		return
	}
	s.in = false
	s.keep(len(s.f.Start) - 1)
}

// delimited ends a frame at End. A Start before it means that the frame was cut off and another one began. Without an
// End (silence ends it) the bytes of a Start are data like others.
func (s *splitter) delimited(emit func(frame []byte, torn bool)) {
	body := s.buf[len(s.f.Start):]
	switch {
	case len(s.f.End) > 0 && bytes.HasSuffix(body, s.f.End):
		if len(body) == len(s.f.End) && bytes.Equal(s.f.Start, s.f.End) {
			s.buf = s.buf[:len(s.f.Start)] // the end of one frame and the start of the next, seen from between them
			return
		}
		s.deliver(s.buf[:len(s.buf)-len(s.f.End)], emit)
	case len(s.f.End) > 0 && len(s.f.Start) > 0 && bytes.HasSuffix(body, s.f.Start):
		s.drop()
		s.buf, s.in = append(s.buf, s.f.Start...), true
	case len(s.buf) >= s.max:
		// Without a Start, the rest of it looks like a frame.
		tail := len(s.f.End) - 1
		s.bad++
		if len(s.f.Start) > 0 {
			s.in, tail = false, len(s.f.Start)-1
		}
		s.skip = len(s.f.Start) == 0
		s.keep(max(tail, 0))
	}
}

package main_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A sink is the least MQTT broker there can be: it acknowledges and counts. What is measured against it is the publisher.
type sink struct {
	l        net.Listener
	received atomic.Int64
	bytes    atomic.Int64
	topics   sync.Map // of the first event of each

	cuts   atomic.Int64 // so many connections are still to be spoilt, after a few events each
	logins atomic.Int64
}

// cutAfter is how many events a connection takes before it is spoilt.
const cutAfter = 3

// arrived says whether an event "type/id/event" has come.
func (s *sink) arrived(event string) bool {
	part := strings.Split(event, "/")
	_, ok := s.topics.Load("iot-2/type/" + part[0] + "/id/" + part[1] + "/evt/" + part[2] + "/fmt/json")
	return ok
}

func newSink(tb testing.TB) *sink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	s := &sink{l: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *sink) addr() string { return s.l.Addr().String() }

// serve answers CONNECT, PUBLISH at QoS 1 and PINGREQ; it writes when the reader would wait, so acknowledgements go out in groups.
func (s *sink) serve(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
	var body []byte
	events, spoilt := 0, false
	known := map[string]bool{} // a look that costs nothing, for the benchmarks
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		head, err := r.ReadByte()
		if err != nil {
			return
		}
		n, err := binary.ReadUvarint(r) // MQTT's remaining length has the same form
		if err != nil {
			return
		}
		if int(n) > cap(body) {
			body = make([]byte, n)
		}
		body = body[:n]
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		switch head >> 4 {
		case 1:
			s.logins.Add(1)
			w.Write([]byte{0x20, 2, 0, 0})
		case 3:
			topic := 2 + int(binary.BigEndian.Uint16(body))
			if head&0x06 != 0 {
				w.Write([]byte{0x40, 2, body[topic], body[topic+1]})
			}
			if !known[string(body[2:topic])] {
				known[string(body[2:topic])] = true
				s.topics.Store(string(body[2:topic]), true)
			}
			if events++; events >= cutAfter && !spoilt && s.cuts.Add(-1) >= 0 {
				spoilt = true
				w.Write([]byte{0xf0, 0}) // as from a broken box between: no client goes on after that, and none takes it for its rival
			}
			s.received.Add(1)
			s.bytes.Add(int64(len(body)))
		case 12:
			w.Write([]byte{0xd0, 0})
		case 14:
			return
		}
	}
}

package publisher

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// Whatever a server says after it has let us in: no panic, an end, no packet kept that is larger than the limit, and nothing taken
// for acknowledged without an acknowledgement among what it said.
func FuzzWhatAServerSays(f *testing.F) {
	f.Add([]byte{0x40, 2, 0, 1})
	f.Add([]byte{0x40, 2, 0, 2, 0x50, 2, 0, 2, 0x70, 2, 0, 2, 0x62, 2, 0, 9})
	f.Add([]byte{0x32, 7, 0, 1, 'a', 0, 7, 'x', 'y', 0x34, 6, 0, 1, 'a', 0, 8, 'z', 0x30, 3, 0, 1, 'a'})
	f.Add([]byte{0x32, 2, 0xff, 0xff, 0x30, 0, 0x36, 4, 0, 0, 0, 0})
	f.Add([]byte{0xd0, 0, 0x20, 2, 0, 0, 0x20, 2, 1, 5, 0x30, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) > 10_000 {
			return
		}
		cfg, err := Config{ClientID: "a:legacy:test", MaxPayload: 1000}.defaults()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		said = bytes.Clone(said)
		received := make(chan struct{})
		s, err := open(ctx, cfg, server{addr: "broker:1883", host: "broker"}, func(context.Context, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer close(received)
				b := make([]byte, 4096)
				if _, err := theirs.Read(b); err != nil { // the CONNECT
					return
				}
				if _, err := theirs.Write([]byte{0x20, 2, 0, 0}); err != nil {
					return
				}
				if _, err := io.ReadFull(theirs, b[:2*8]); err != nil { // two PUBLISH
					return
				}
				talked := make(chan struct{})
				go func() {
					defer close(talked)
					_, _ = theirs.Write(said)
					_ = theirs.Close()
				}()
				_, _ = io.Copy(io.Discard, theirs) // until the end
				<-talked
			}()
			return ours, nil
		}, 0, nil)
		if err != nil {
			t.Fatalf("got %v, want to be let in", err)
		}
		one, two := s.publish("t", 1, []byte("x")), s.publish("t", 2, []byte("y"))
		<-s.gone()
		if err := s.lost(errEnded); err == nil {
			t.Error("got no reason for the end, want one")
		}
		<-received
		for _, token := range []token{one, two} {
			<-token.Done()
			if token.Error() == nil && !bytes.Contains(said, []byte{2, 0}) {
				t.Errorf("got an acknowledgement, want an error: the server said % x", said)
			}
		}
	})
}

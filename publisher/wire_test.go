package publisher

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestGuardLetsPassWhatAServerSends(t *testing.T) {
	whole := slices.Concat([]byte{0x20, 2, 0, 0}, []byte{0x40, 2, 0, 1}, []byte{0x50, 2, 0, 1}, []byte{0x62, 2, 0, 1},
		[]byte{0x70, 2, 0, 1}, []byte{0x90, 4, 0, 1, 0, 2}, []byte{0xd0, 0}, append([]byte{0x30, 0xc8, 1}, make([]byte, 200)...), []byte{0xd0, 0})
	for size := 1; size <= len(whole); size++ {
		g := newGuard(2, 200)
		for p := range slices.Chunk(whole, size) {
			if err := g.pass(p); err != nil {
				t.Fatalf("in pieces of %d bytes: got %v, want nil", size, err)
			}
		}
		if g.at != inHeader {
			t.Errorf("in pieces of %d bytes: got state %d, want the beginning of a packet", size, g.at)
		}
	}
}

func TestGuardRefusesWhatPahoWouldTakeBadly(t *testing.T) {
	for name, p := range map[string][]byte{
		"a reserved type":                 {0x00, 0},
		"a login of a client":             {0x10, 0},
		"a subscription of a client":      {0x82, 0},
		"an answer to no subscription":    {0x90, 3, 0, 1, 0},
		"an acknowledgement without id":   {0x40, 0},
		"a long acknowledgement":          {0x40, 3},
		"an unknown answer to the login":  {0x20, 2, 0, 6},
		"a packet that fills the memory":  {0x30, 0xff, 0xff, 0xff, 0x7f},
		"a length without end":            {0x30, 0xff, 0xff, 0xff, 0xff},
		"HTTP":                            []byte("HTTP/1.1 400"),
		"a ping answer that has contents": {0xd0, 1},
	} {
		g := newGuard(0, 1000)
		if err := g.pass(p); err == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
	}
	g := newGuard(1, 1000)
	if err := g.pass([]byte{0x90, 4, 0, 1, 0, 0}); err == nil {
		t.Error("more answers than filters: got nil, want an error")
	}
}

// Whatever comes, in whatever pieces, the guard says the same and never lets a header promise more than the limit.
func FuzzGuard(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0x40, 2, 0, 1}, 3)
	f.Add([]byte{0x30, 0x80, 0x80, 0x80, 0x01}, 1)
	f.Add([]byte{0xd0, 0x80, 0x00, 0x90, 3, 0, 1, 2}, 2)
	f.Fuzz(func(t *testing.T, p []byte, size int) {
		const limit = 500
		whole, pieces := newGuard(1, limit), newGuard(1, limit)
		want := whole.pass(p)
		var got error
		for part := range slices.Chunk(p, max(1, size&31)) {
			if got = pieces.pass(part); got != nil {
				break
			}
			if pieces.at == inBody && pieces.body > limit {
				t.Fatalf("got %d bytes still to come, limit %d", pieces.body, limit)
			}
		}
		if (got == nil) != (want == nil) {
			t.Fatalf("in pieces of %d: got %v, want %v", size, got, want)
		}
	})
}

func TestWritesAreSentInOrderAndTogether(t *testing.T) {
	ours, theirs := net.Pipe()
	s := newStream(ours)
	w := newWire(s, s, newGuard(0, 1000), 1<<20)
	var want []byte
	received := make(chan []byte)
	go func() {
		b, err := io.ReadAll(theirs)
		if err != nil {
			t.Error(err)
		}
		received <- b
	}()
	for i := range 1000 {
		p := bytes.Repeat([]byte{byte(i)}, i%50)
		want = append(want, p...)
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil { // sends what waits
		t.Fatal(err)
	}
	if got := <-received; !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want the %d written, in order", len(got), len(want))
	}
	if _, err := w.Write([]byte{1}); err == nil {
		t.Error("after Close: got nil, want an error")
	}
}

func TestPeerThatTakesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		s := newStream(ours)
		w := newWire(s, s, newGuard(0, 1000), 1<<20)
		began := time.Now()
		if _, err := w.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		<-w.gone
		if d := time.Since(began); d != writePatience {
			t.Errorf("got the end after %v, want %v", d, writePatience)
		}
		if closedByPeer(w.cause()) {
			t.Errorf("got %v taken for a peer that closed, want a time-out", w.cause())
		}
		_ = w.Close()
	})
}

func TestPeerThatTakesLittleIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := newStream(ours)
		w := newWire(s, s, newGuard(0, 1000), 1<<20)
		if _, err := w.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 1000; {
			time.Sleep(9 * time.Second)
			got, err := theirs.Read(make([]byte, 50))
			if err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			n += got
		}
		_ = w.Close()
		_ = theirs.Close()
	})
}

func TestWhatGathersHasAnEnd(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	s := newStream(ours)
	w := newWire(s, s, newGuard(0, 1000), 10_000)
	defer w.Close()
	for range 100 {
		if _, err := w.Write(make([]byte, 1000)); err != nil {
			return
		}
	}
	t.Error("got 100000 bytes taken for a peer that reads none, want an error at 10000")
}

package localplatform_test

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestP49ThrottleIsBackPressure(t *testing.T) {
	t.Parallel() // it waits
	s := start(t, func(cfg *localplatform.Config) { cfg.Throttle = 10 })
	pub := login(t, s, "pub")
	began := time.Now()
	for i := range 25 { // 3 seconds' worth, or the last part of one less
		pub.publish(kilnTopic, []byte("x"), 1, uint16(i+1), false)
	}
	for i := range 25 {
		pub.want(puback(uint16(i + 1))...)
	}
	if got := time.Since(began); got < time.Second {
		t.Errorf("got 25 units in %v, want at least the second that 20 take", got)
	}
	pub.publish(kilnTopic, bytes.Repeat([]byte("x"), 5*wiotp.ThrottleUnit), 1, 30, false)
	pub.want(puback(30)...)
	pub.ping()
	if got := s.Stats(); got.Connections != 1 || got.Refused != 0 || got.Events != 26 {
		t.Errorf("got %+v, want no error and no disconnect", got)
	}
}

func TestSubscribersOfOneGroupNeverHoldUpThePublisher(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) { cfg.Buffer = 20 })
	stuck := enter(t, s, kept(s, "A:legacy:app"))
	stuck.subscribed(0, allEvents)
	reader := enter(t, s, kept(s, "A:legacy:app"))
	reader.subscribed(0, allEvents)
	pub := login(t, s, "pub")
	big := bytes.Repeat([]byte("x"), 100_000)
	const n = 200
	got := 0
	for range n {
		pub.publish(kilnTopic, big, 1, 1, false)
		pub.want(puback(1)...)
		got += len(reader.take())
	}
	if got < n/2 || s.Stats().Dropped != 0 {
		t.Errorf("got %d of %d at the one that reads, %d dropped; want what the other has no room for", got, n, s.Stats().Dropped)
	}
	if slices.Contains(payloads(reader.take()), "x") {
		t.Error("got a piece of an event")
	}
}

// A subscriber that reads more slowly than is published loses nothing: the publisher is held back.
func TestSubscriberThatReadsLosesNothing(t *testing.T) {
	for _, persistent := range []bool{true, false} {
		s := start(t, func(cfg *localplatform.Config) { cfg.Buffer = 500 })
		s.SetPatience(patience)
		l := own(s, "a:legacy:sub")
		l.persistent = persistent
		sub := enter(t, s, l)
		sub.subscribed(1, allEvents)
		pub := login(t, s, "pub")
		n := proof(2000, 20_000, 20_000)
		big := bytes.Repeat([]byte("x"), 2000) // the socket is soon full
		go func() {
			for range n {
				b := append(append(str(nil, kilnTopic), 0, 1), big...)
				if _, err := pub.Write(packet(0x32, b)); err != nil {
					return
				}
			}
		}()
		go io.Copy(io.Discard, pub.r)
		if got := len(sub.until(n)); got != n || s.Stats().Dropped != 0 {
			t.Errorf("durable %v: got %d of %d, %d dropped, want all", persistent, got, n, s.Stats().Dropped)
		}
	}
}

// One that takes nothing costs its publishers a moment, and then its oldest messages.
func TestStuckDurableSubscriberHoldsUpNobodyForLong(t *testing.T) {
	t.Parallel() // it waits
	s := start(t, func(cfg *localplatform.Config) { cfg.Buffer = 100 })
	stuck := enter(t, s, kept(s, "a:legacy:stuck"))
	stuck.subscribed(0, allEvents)
	reader := listen(t, s, "reader", 1)
	pub := login(t, s, "pub")
	big := string(bytes.Repeat([]byte("x"), 100_000))
	began := time.Now()
	const n = 400
	for range n {
		pub.publish(kilnTopic, []byte(big), 1, 1, false)
		pub.want(puback(1)...)
		reader.send(puback(reader.event().id))
	}
	if got := time.Since(began); got > patience {
		t.Errorf("got %d events in %v, want one short wait", n, got)
	}
	if got := s.Stats().Dropped; got == 0 {
		t.Error("got none dropped, want the oldest of the stuck one")
	}
	if got := s.log.find("rule=buffer"); len(got) != 1 || got[0]["id"] != "a:legacy:stuck" {
		t.Errorf("got %v, want one line about the stuck one", got)
	}
}

func TestClientThatHearsItselfDoesNotWaitForItself(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) { cfg.Buffer = 500 })
	c := listen(t, s, "both", 1)
	big := bytes.Repeat([]byte("x"), 2000)
	n := proof(2000, 20_000, 20_000)
	go func() {
		for range n {
			if _, err := c.Write(packet(0x32, append(append(str(nil, kilnTopic), 0, 1), big...))); err != nil {
				return
			}
		}
	}()
	for acked, heard := 0, 0; acked < n; {
		first, body, err := c.next()
		if err != nil {
			t.Fatalf("got %v after %d acknowledged and %d heard", err, acked, heard)
		}
		if first == 0x40 {
			acked++
			continue
		}
		heard++
		c.Write(puback(parseEvent(first, body).id))
	}
}

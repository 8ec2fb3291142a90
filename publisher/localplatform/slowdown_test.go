package localplatform

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestTenWrongLoginsAMinuteSlowAnAddressDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bad, good := newSlowdown(), addressOf("192.0.2.1"), addressOf("192.0.2.2")
		for i := range 9 {
			if s.wrong(bad) || s.delay(bad) != 0 {
				t.Fatalf("wrong login %d: got it slow, want ten free", i+1)
			}
			time.Sleep(6 * time.Second) // virtual time
		}
		if !s.wrong(bad) {
			t.Fatal("got no beginning with the tenth within a minute")
		}
		var got []time.Duration
		for range 7 {
			got = append(got, s.delay(bad))
			s.wrong(bad)
		}
		want := "[250ms 500ms 1s 2s 4s 4s 4s]"
		if fmt.Sprint(got) != want {
			t.Errorf("got delays %v, want %s", got, want)
		}
		if d := s.delay(good); d != 0 {
			t.Errorf("got another address delayed by %v", d)
		}
		time.Sleep(slowdownTime)
		if d := s.delay(bad); d != lastSlowdown {
			t.Errorf("got %v within the minute, want %v", d, lastSlowdown)
		}
		time.Sleep(time.Millisecond)
		if d := s.delay(bad); d != 0 || len(s.tries) != 0 {
			t.Errorf("got %v and %d addresses after a quiet minute, want none", d, len(s.tries))
		}
	})
}

func TestSlowlyRepeatedWrongLoginsAreNotGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := newSlowdown(), addressOf("192.0.2.1")
		for range 100 {
			if time.Sleep(7 * time.Second); s.wrong(a) {
				t.Fatal("got it slow with fewer than ten a minute")
			}
		}
	})
}

func TestWaitOfASlowAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := newSlowdown(), addressOf("192.0.2.1")
		for range freeTries + 1 {
			s.wrong(a)
		}
		began := time.Now()
		if !s.wait(t.Context(), a, nil) || time.Since(began) != 2*firstSlowdown {
			t.Errorf("got %v, want %v", time.Since(began), 2*firstSlowdown)
		}
		gone := make(chan struct{})
		close(gone)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if s.wait(t.Context(), a, gone) || s.wait(ended, a, nil) {
			t.Error("got the wait of a connection that ended as one that is over")
		}
	})
}

func TestAddressesOfGuessersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowdown()
		for i := range 2 * maxSlowAddresses {
			s.wrong(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
			time.Sleep(time.Millisecond) // virtual time
		}
		if len(s.tries) != maxSlowAddresses {
			t.Errorf("got %d addresses, want at most %d", len(s.tries), maxSlowAddresses)
		}
		newest := 0
		for i := 2*maxSlowAddresses - 100; i < 2*maxSlowAddresses; i++ {
			if s.tries[netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})] != nil {
				newest++
			}
		}
		if newest < 95 {
			t.Errorf("got %d of the newest 100, want the quiet ones to go", newest)
		}
	})
}

func TestAddressesAreThoseOfHosts(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2", true},
	} {
		if got := addressOf(c.a) == addressOf(c.b); got != c.same {
			t.Errorf("%s and %s: got the same %v, want %v", c.a, c.b, got, c.same)
		}
	}
}

// The crowd of one address makes room, not whoever came first.
func TestCrowdMakesRoomForOthers(t *testing.T) {
	few, many := addressOf("192.0.2.1"), addressOf("192.0.2.2")
	for _, c := range []struct {
		waiting []netip.Addr
		want    int
	}{
		{[]netip.Addr{few, many, few, many, many}, 1},
		{[]netip.Addr{few, many, many, few}, 0},
		{[]netip.Addr{many}, 0},
	} {
		if got := crowded(len(c.waiting), func(i int) netip.Addr { return c.waiting[i] }); got != c.want {
			t.Errorf("%v: got %d, want %d", c.waiting, got, c.want)
		}
	}
}

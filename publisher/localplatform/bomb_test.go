package localplatform_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestPacketIDUsedAgain(t *testing.T) {
	s := start(t, nil)
	sub := listen(t, s, "sub", 1)
	pub := login(t, s, "pub")
	for i := range 3 { // QoS 1: each is a message
		pub.publish(kilnTopic, []byte(fmt.Sprint("one", i)), 1, 7, false)
		pub.want(puback(7)...)
	}
	for i := range 3 { // QoS 2 without PUBREL: repeats of the first
		pub.publish(kilnTopic, []byte(fmt.Sprint("two", i)), 2, 7, false)
		pub.want(0x50, 2, 0, 7)
	}
	pub.send([]byte{0x62, 2, 0, 7})
	pub.want(0x70, 2, 0, 7)
	pub.publish(kilnTopic, []byte("new"), 2, 7, false)
	pub.want(0x50, 2, 0, 7)
	same(t, "subscriber", payloads(sub.until(5)), []string{"one0", "one1", "one2", "two0", "new"})
	// Acknowledgements of what was never sent change nothing.
	sub.send([]byte{0x40, 2, 0xff, 0xff, 0x50, 2, 0xff, 0xfe, 0x70, 2, 0xff, 0xfd})
	sub.want(0x62, 2, 0xff, 0xfe)
	sub.ping()
}

// Large wills of many clients that go at once are messages like others.
func TestManyWillsAtOnce(t *testing.T) {
	s := start(t, nil)
	sub := listen(t, s, "sub", 1)
	const n = 100
	var all []*raw
	for i := range n {
		l := own(s, fmt.Sprintf("a:legacy:will%d", i))
		l.willTopic, l.will, l.flags = kilnTopic, strings.Repeat("x", 60_000), 1<<3
		all = append(all, enter(t, s, l))
	}
	for _, c := range all {
		c.Close()
	}
	for i, g := range sub.until(n) {
		if len(g.payload) != 60_000 {
			t.Fatalf("will %d: got %d bytes", i, len(g.payload))
		}
	}
	sub.ping()
	if held, _ := s.Held(); held != 0 {
		t.Errorf("got %d bytes held, want nothing left", held)
	}
}

// A key that makes ever new durable sessions is stopped, and that costs only new durable sessions.
func TestKeptSessionsAreBounded(t *testing.T) {
	s := start(t, nil)
	old := enter(t, s, kept(s, "a:legacy:old"))
	for i := range localplatform.MaxKept - 1 {
		c := enter(t, s, kept(s, fmt.Sprintf("a:legacy:kept%d", i)))
		c.send([]byte{0xe0, 0})
		c.wantClosed()
	}
	refused(t, s, kept(s, "a:legacy:onemore"), 3)
	if line := s.log.wait(t, "msg=login refused", "rule=connections", "code=173", "id=a:legacy:onemore"); line["err"] == "" {
		t.Errorf("got %v, want the reason", line)
	}
	login(t, s, "clean")
	old.Close()
	resume(t, s, kept(s, "a:legacy:old"))
	s.Expire(time.Now().Add(wiotp.KeptFor + time.Minute))
	enter(t, s, kept(s, "a:legacy:onemore")) // a day later
}

// Logins that are refused leave no status behind, whatever device they name.
func TestRefusedLoginsLeaveNoStatus(t *testing.T) {
	s := startFull(t, nil)
	enter(t, s, theDevice)
	for i := range 30 {
		s.Forgive()
		refused(t, s, connect{id: fmt.Sprintf("d:legacy:bomb:B-%d", i), user: wiotp.UseTokenAuth, password: kilnToken}, 5)
	}
	c := login(t, s, "app")
	c.subscribed(0, anyDevice)
	if all := c.take(); len(all) != 1 || status(t, all[0])["ClientID"] != theDevice.id {
		t.Errorf("got %v, want the status of the one that is connected", payloads(all))
	}
}

// Large logins that never come whole hold up none that are small, and leave when their time is over.
func TestLargeLoginsAreReadFewAtATime(t *testing.T) {
	s := start(t, nil)
	s.SetLoginWait(time.Second)
	var all []*raw
	for range 2 * localplatform.MaxLarge {
		c := dial(t, s)
		c.send(append([]byte{0x10, 0xff, 0xff, 3}, make([]byte, 10_000)...))
		all = append(all, c)
	}
	for late := time.Now().Add(patience); s.LargeLogins() < localplatform.MaxLarge; login(t, s, "small") {
		if time.Now().After(late) {
			t.Fatalf("got %d large logins read at a time, want %d", s.LargeLogins(), localplatform.MaxLarge)
		}
	}
	for _, c := range all {
		for { // what was not read makes it a reset
			if _, err := c.r.ReadByte(); err != nil {
				break
			}
		}
	}
	large := own(s, "a:legacy:large")
	large.willTopic, large.will = kilnTopic, strings.Repeat("x", 60_000)
	enter(t, s, large) // there is room again
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, "rule=silent", "code=164", fmt.Sprint("n=", len(all)))
}

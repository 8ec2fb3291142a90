package localplatform_test

import (
	"fmt"
	"testing"

	"legacybridge/publisher/localplatform"
)

func TestStatsTellWhoSharesWhat(t *testing.T) {
	s := start(t, nil)
	one, two := enter(t, s, kept(s, "A:legacy:app:1")), enter(t, s, kept(s, "A:legacy:app:2"))
	one.subscribed(1, allEvents)
	two.subscribed(1, allEvents)
	pub := login(t, s, "pub")
	for i := range 6 {
		pub.sent(kilnTopic, fmt.Sprint(i))
	}
	for range 3 { // they have all that they were sent; one of them says so
		one.event()
		two.send(puback(two.event().id))
	}
	two.ping()
	two.leave(s, "A:legacy:app:2")
	got := s.Stats()
	want := []localplatform.Member{
		{Name: "A:legacy:app:1", Client: "A:legacy:app:1", Connected: true, Sent: 3, Unacked: 3},
		{Name: "A:legacy:app:2", Client: "A:legacy:app:2", Sent: 3},
	}
	if len(got.Members) != 2 || got.Members[0] != want[0] || got.Members[1] != want[1] {
		t.Errorf("got %+v, want %+v", got.Members, want)
	}
	if got.Sent != 6 || got.Waiting != 3 || got.Kept != 1 || got.Connections != 2 {
		t.Errorf("got %+v, want 6 sent, 3 of them waiting for their acknowledgement, 1 session kept, 2 connections", got)
	}
}

func TestStatsOfManyMembersAreBounded(t *testing.T) {
	s := start(t, nil)
	for range 11 { // of one client id
		enter(t, s, kept(s, "A:legacy:app"))
	}
	got := s.Stats()
	if last := got.Members[10].Name; len(got.Members) != 11 || last != "A:legacy:app#11" {
		t.Errorf("got %d members, the last of them %s; want 11 in their order", len(got.Members), last)
	}
	for i := range 1000 {
		enter(t, s, own(s, fmt.Sprint("A:legacy:app:", i))).Close()
		enter(t, s, kept(s, fmt.Sprint("A:legacy:app:kept", i))).Close()
	}
	if got := s.Stats(); len(got.Members) != 1000 || got.MoreMembers < 11 {
		t.Errorf("got %d members and %d more, want 1000 and the rest", len(got.Members), got.MoreMembers)
	}
}

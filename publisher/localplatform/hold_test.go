package localplatform

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"legacybridge/publisher/wiotp"
)

var heldTopic = wiotp.Topic{Kind: wiotp.Event, Type: "t", ID: "i", Name: "e", Format: "f"}

const heldFilter = "iot-2/type/+/id/+/evt/+/fmt/+"

func freshHub() *hub { return newHub(slog.New(slog.DiscardHandler), 10, func(who, int) {}) }

// A recalledRecord is a message, or any other record.
type recalledRecord struct {
	kind    byte
	body    []byte
	m       *message
	holders []uint64
}

// recall gives records to a hub, as the journal does at a start.
func recall(t *testing.T, h *hub, records ...recalledRecord) {
	t.Helper()
	for _, r := range records {
		if r.m != nil {
			r.kind, r.body = kindMessage, messageRecord(r.m, r.holders)
		}
		if err := h.replay(r.kind, r.body); err != nil {
			t.Fatal(err)
		}
	}
}

func sessionKept(n uint64, id string, since int64) recalledRecord {
	b := appendText(numRecord(n), id)
	return recalledRecord{kind: kindSession, body: append(b, numRecord(uint64(since))...)}
}

func heldSince(at time.Time, id uint64, holders ...uint64) recalledRecord {
	return recalledRecord{m: &message{id: id, topic: heldTopic, name: heldTopic.String(), payload: []byte("x"), qos: 1, at: at}, holders: holders}
}

// What is written while a snapshot is taken stands behind it, though the snapshot has it already: an older end of what
// it holds must not take away what follows.
func TestSnapshotThatIsAheadOfWhatFollowsLosesNothing(t *testing.T) {
	const app, member = "a:legacy:app", "A:legacy:app:1"
	now := time.Now()
	for name, records := range map[string][]recalledRecord{
		"a session that ended and began anew": {
			sessionKept(9, app, 1), {kind: kindSubscribed, body: subscribedRecord(9, heldFilter, 1)}, heldSince(now, 1, 9),
			sessionKept(3, app, 0), {kind: kindForgotten, body: numRecord(3)},
			sessionKept(9, app, 0), {kind: kindSubscribed, body: subscribedRecord(9, heldFilter, 1)}, heldSince(now, 1, 9),
		},
		"a group that ended and began anew": {
			sessionKept(2, member, 1), {kind: kindSubscribed, body: subscribedRecord(2, heldFilter, 1)},
			{kind: kindGroup, body: appendText(appendText(appendText(numRecord(7), "legacy"), "app"), heldFilter)}, heldSince(now, 1, 7),
			{kind: kindUnsubscribed, body: unsubscribedRecord(2, heldFilter)}, {kind: kindForgotten, body: numRecord(5)},
			{kind: kindSubscribed, body: subscribedRecord(2, heldFilter, 1)},
			{kind: kindGroup, body: appendText(appendText(appendText(numRecord(7), "legacy"), "app"), heldFilter)}, heldSince(now, 1, 7),
		},
	} {
		h := freshHub()
		recall(t, h, records...)
		h.open(&journal{})
		got := 0
		for _, s := range h.sessions {
			got += s.pending.live
		}
		for _, g := range h.groups {
			got += g.backlog.live
		}
		if got != 1 {
			t.Errorf("%s: got %d messages that wait, want 1", name, got)
		}
	}
}

// What was sent with QoS 2 and not answered is sent again under its packet id, or the client takes it for a new one: also
// after a snapshot that was taken while the client was away.
func TestSnapshotKnowsWhatWasSentToAClientThatIsAway(t *testing.T) {
	h := freshHub()
	m := heldSince(time.Now(), 1, 1)
	m.m.qos = 2
	recall(t, h, sessionKept(1, "a:legacy:app", time.Now().UnixMilli()), recalledRecord{kind: kindSubscribed, body: subscribedRecord(1, heldFilter, 2)},
		m, recalledRecord{kind: kindSent, body: sentRecord(1, 1, 77)})
	h.open(&journal{})
	again := freshHub()
	h.snapshot(func(kind byte, body []byte) {
		if err := again.replay(kind, body); err != nil {
			t.Fatal(err)
		}
	})
	again.open(&journal{})
	for name, h := range map[string]*hub{"start": h, "snapshot": again} {
		if d := h.sessions["a:legacy:app"].resend.peek(); d == nil || d.pid != 77 || !d.dup {
			t.Errorf("%s: got %+v, want it sent again with packet id 77", name, d)
		}
	}
}

func TestClockThatWasNotSetGivesUpNothing(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		at   time.Time
		want int
	}{
		"of a clock that was not set": {time.Unix(100, 0), 1},
		"ahead of the clock":          {now.Add(48 * time.Hour), 1},
		"of an hour ago":              {now.Add(-time.Hour), 1},
		"of the day before yesterday": {now.Add(-48 * time.Hour), 0},
	} {
		h := freshHub()
		recall(t, h, sessionKept(1, "a:legacy:app", c.at.UnixMilli()), recalledRecord{kind: kindSubscribed, body: subscribedRecord(1, heldFilter, 1)},
			heldSince(c.at, 1, 1))
		h.open(&journal{})
		h.expired(now.Add(time.Minute))
		got := 0
		for _, s := range h.sessions {
			got += s.pending.live
		}
		if got != c.want {
			t.Errorf("%s: got %d messages kept, want %d", name, got, c.want)
		}
	}
	// Only a time with Go's monotonic reading does not change its age when the clock jumps.
	if got := recalled(uint64(now.UnixMilli())); !strings.Contains(got.String(), " m=") {
		t.Errorf("got %v, want a time that a jump of the clock does not age", got)
	}
}

func TestNobodyWaitsWhileASnapshotIsWritten(t *testing.T) {
	h := freshHub()
	recall(t, h, sessionKept(1, "a:legacy:app", time.Now().UnixMilli()), recalledRecord{kind: kindSubscribed, body: subscribedRecord(1, heldFilter, 1)},
		heldSince(time.Now(), 1, 1))
	h.open(&journal{})
	r := newRegistry()
	r.journal = &journal{}
	if _, err := r.adopt("t", "i", ""); err != nil {
		t.Fatal(err)
	}
	p := &Platform{hub: h, registry: r}
	n := 0
	p.snapshot(func(kind byte, _ []byte) {
		n++
		if !h.mu.TryLock() {
			t.Fatalf("got the hub locked while a record of kind %d is written", kind)
		}
		h.mu.Unlock()
		if !r.mu.TryLock() {
			t.Fatalf("got the registry locked while a record of kind %d is written", kind)
		}
		r.mu.Unlock()
	})
	if n != 5 { // type, device, session, subscription, message
		t.Errorf("got %d records, want 5", n)
	}
}

// A publisher waits for one that is stuck, but not for each of many.
func TestManyStuckSubscribersHoldUpAPublisherNoLongerThanTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := freshHub()
		publisher, _ := pair(t)
		var stuck []*session
		for range 50 {
			s := h.newSession("a", wiotp.ClientID{}, wiotp.Rights{})
			s.conn, _ = pair(t)
			s.num = 1
			for range h.buffer {
				s.pending.push(&delivery{m: &message{}})
			}
			stuck = append(stuck, s)
		}
		for round := range 3 {
			began := time.Now()
			for _, s := range stuck {
				h.yield(publisher, s)
			}
			if got := time.Since(began); got != mostHeld {
				t.Errorf("round %d: got %v for 50 that are stuck, want %v", round, got, mostHeld)
			}
			time.Sleep(2 * slowFor)
		}
	})
}

// While the disk is full, what would be written for a client is not asked for.
func TestSubscriptionsWaitForRoomOnTheDisk(t *testing.T) {
	p := &Platform{journal: &journal{buf: make([]byte, roomFor)}}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	gone := make(chan struct{})
	close(gone)
	for _, kind := range []byte{packets.Subscribe, packets.Unsubscribe, packets.Publish} {
		pk := &packets.Packet{FixedHeader: packets.FixedHeader{Type: kind}, PacketID: 1, Filters: packets.Subscriptions{{Filter: heldFilter}}}
		err := p.handle(ended, &conn{}, pk)
		if r, ok := errors.AsType[*wiotp.Refusal](err); !ok || r.Code != wiotp.ServerProblem {
			t.Errorf("got %v, want a wait that ends with the platform", err)
		}
		if err := p.handle(t.Context(), &conn{gone: gone}, pk); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want a wait that ends with the connection", err)
		}
	}
	err := p.roomForLogin(t.Context(), &conn{gone: gone})
	if r, ok := errors.AsType[*wiotp.Refusal](err); !ok || r.Connack != wiotp.ConnackUnavailable {
		t.Errorf("got %v for a login, want answer 3", err)
	}
}

// What comes over HTTP is kept for durable subscribers too.
func TestHTTPMessagesWaitForRoomOnTheDisk(t *testing.T) {
	r := newRegistry()
	r.journal = &journal{}
	if _, err := r.adopt("kiln", "K-1", ""); err != nil {
		t.Fatal(err)
	}
	p := &Platform{org: "legacy", maxPayload: 100, journal: &journal{buf: make([]byte, roomFor)}, registry: r, hub: freshHub(),
		users: newUsers(nil, "a-legacy-k", "secret")}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := httptest.NewRequestWithContext(ctx, "POST", apiBase+"/application/types/kiln/devices/K-1/events/t", strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth("a-legacy-k", "secret")
	c := &call{Request: req, p: p, rw: httptest.NewRecorder(), begin: func() {}}
	_, _, err := c.answer()
	if e, ok := errors.AsType[*restError](err); !ok || e.status != http.StatusServiceUnavailable {
		t.Errorf("got %v, want 503", err)
	}
}

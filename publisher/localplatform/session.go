package localplatform

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"legacybridge/publisher/wiotp"
)

// A session is what the platform knows of one client: its rights, its subscriptions and what is on its way to it. A
// durable one outlasts its connection by a day, and the process. All of it is guarded by hub.mu.
type session struct {
	key     string // its client id; with A:ORG:APP, of which many are connected, made unique
	id      wiotp.ClientID
	rights  wiotp.Rights
	num     uint64 // of a durable one in the journal, else 0
	conn    *conn  // nil while it is not connected
	since   time.Time
	subs    map[string]*subscription // by raw filter
	pending queue                    // waits to be sent
	resend  queue                    // was sent on an earlier connection and not acknowledged
	bytes   int                      // of pending
	sent    uint64                   // messages
	unacked int                      // bytes of inflight

	inflight map[uint16]*delivery
	lastPID  uint16
	released map[uint16]struct{} // QoS 2 to the client: PUBREL is due or sent
	received map[uint16]struct{} // QoS 2 from the client: passed on, PUBREL has not come

	room    chan struct{} // closed once it has caught up; nil while nobody waits
	slow    time.Time     // not waited for until then
	strikes int           // waits that were long

	round uint64 // the last route that hit it
	hit   *subscription
}

func (s *session) durable() bool { return s.num != 0 }

// stores says whether the journal holds m for s. A message of QoS 0 is kept for a client that is away, but not waited
// for.
func (s *session) stores(m *message, qos byte) bool {
	return s.durable() && (qos > 0 || s.conn == nil)
}

func (s *session) who() who {
	if s.conn != nil {
		return s.conn.who()
	}
	return who{id: s.id.String()}
}

// freeID returns a packet id that is not in use; the window has far fewer places than there are ids.
func (s *session) freeID() uint16 {
	for {
		s.lastPID++
		_, sent := s.inflight[s.lastPID]
		_, released := s.released[s.lastPID]
		if s.lastPID != 0 && !sent && !released {
			return s.lastPID
		}
	}
}

// attach makes c the connection of its client's session: a new one, or the one that was kept. An older connection of
// the same client ends. The login is answered before anything else is sent.
func (h *hub) attach(c *conn, l *login) *wiotp.Refusal {
	h.lock()
	defer h.unlock()
	id := l.rights.ID
	key := id.String()
	if id.Class == wiotp.ScalableApplication && id.Instance == "" {
		h.number++
		key += "#" + strconv.FormatUint(h.number, 10) // no client id has #
	}
	s := h.sessions[key]
	durable := id.KeepsState(l.clean)
	if (s == nil || s.conn == nil) && h.live >= maxSessions || s == nil && durable && len(h.sessions) >= maxKept {
		return &wiotp.Refusal{Rule: "connections", Code: wiotp.TooManyConns, Connack: wiotp.ConnackUnavailable,
			Why: "too many connections or kept sessions"}
	}
	if s == nil && id.Org == wiotp.Quickstart && h.quickLive() >= maxQuick {
		return &wiotp.Refusal{Rule: "connections", Code: wiotp.TooManyConns, Connack: wiotp.ConnackUnavailable,
			Why: "too many connections of " + wiotp.Quickstart}
	}
	if s != nil && s.conn != nil {
		older := &wiotp.Refusal{Rule: "client_id", Code: wiotp.ClientIDReused,
			Why: "the same client id connected again from " + c.host + "; the newer connection stays"}
		s.conn.end(older)
		h.leave(s, older)
		s = h.sessions[key]
	}
	if s != nil && !durable {
		h.remove(s)
		s = nil
	}
	present := s != nil
	if s == nil {
		s = h.newSession(key, id, l.rights)
		if durable {
			h.number++
			s.num = h.number
			h.holders[s.num] = s
		}
	}
	narrower := s.rights.Role != l.rights.Role || !slices.Equal(s.rights.Group, l.rights.Group)
	s.rights, s.conn = l.rights, c
	for raw := range maps.Clone(s.subs) { // the key may have another role than last time
		if _, err := s.rights.Subscribe(raw); err != nil {
			h.unsubscribe(s, raw)
		}
	}
	if narrower {
		h.withhold(s)
	}
	c.session = s
	h.live++
	if durable {
		h.write(kindSession, s.record())
	}
	c.greet(present)
	h.announce(s, l, present)
	for pid := range s.released {
		c.send(answer(pubrelPacket, pid))
	}
	for _, sub := range s.subs {
		if sub.group != nil {
			h.drain(sub.group)
		}
	}
	h.pump(s)
	return nil
}

// withhold gives up what was kept for a session whose client has logged in with another API key, and what that one may
// not receive.
func (h *hub) withhold(s *session) {
	hidden := func(d *delivery) bool {
		_, err := s.rights.Subscribe(d.m.name)
		return err != nil || !s.rights.Sees(d.m.topic)
	}
	n := 0
	for _, q := range [...]*queue{&s.resend, &s.pending} {
		for _, d := range q.take(hidden) {
			if q == &s.pending {
				h.unqueue(s, d)
			}
			h.done(d)
			n++
		}
	}
	s.conn.withheld = n
}

func (h *hub) newSession(key string, id wiotp.ClientID, rights wiotp.Rights) *session {
	s := &session{key: key, id: id, rights: rights, subs: map[string]*subscription{}, inflight: map[uint16]*delivery{},
		released: map[uint16]struct{}{}, received: map[uint16]struct{}{}}
	h.sessions[key] = s
	return s
}

// detach ends the connection c of a session, unless a newer one has taken over.
func (h *hub) detach(c *conn, cause *wiotp.Refusal) {
	h.lock()
	defer h.unlock()
	if s := c.session; s != nil && s.conn == c {
		h.leave(s, cause)
	}
}

// leave takes the connection from s: its will is published, its status told, and what it shared goes to others.
func (h *hub) leave(s *session, cause *wiotp.Refusal) {
	c := s.conn
	s.conn, s.since = nil, time.Now()
	if s.room != nil { // nobody waits for a client that has gone
		close(s.room)
		s.room = nil
	}
	h.live--
	if c.will != nil && cause.Code != wiotp.ClosedByClient {
		c.will.at = s.since
		h.route(h.world(s.id), c.will)
	}
	c.will = nil
	h.farewell(s, c, cause)
	back := append(s.inOrder(), s.resend.take(anyDelivery)...)
	clear(s.inflight)
	s.unacked = 0
	for _, d := range back {
		switch {
		case d.group != nil && d.group.alive():
			continue
		case s.durable():
			d.dup = true
			s.resend.push(d)
		default:
			h.done(d)
		}
	}
	var shared []*delivery
	for _, d := range back {
		if d.group != nil && d.group.alive() {
			shared = append(shared, d)
		}
	}
	for _, d := range s.pending.take(func(d *delivery) bool { return d.group != nil && d.group.alive() }) {
		h.unqueue(s, d)
		shared = append(shared, d)
	}
	if !s.durable() {
		h.remove(s)
	} else {
		h.write(kindSession, s.record())
	}
	h.pass(shared)
}

// remove forgets s.
func (h *hub) remove(s *session) {
	delete(h.sessions, s.key)
	for raw := range maps.Clone(s.subs) {
		h.unsubscribe(s, raw)
	}
	for _, q := range [...]*queue{&s.resend, &s.pending} {
		for _, d := range q.take(anyDelivery) {
			h.done(d)
		}
	}
	for _, d := range s.inOrder() {
		h.done(d)
	}
	clear(s.inflight)
	s.unacked = 0
	if s.num != 0 {
		h.write(kindForgotten, numRecord(s.num))
		delete(h.holders, s.num)
	}
}

// subscribe adds or renews filters. It returns the number of the journal's record to be waited for, 0 for none.
func (h *hub) subscribe(s *session, raw string, f wiotp.Filter, qos byte) (record uint64) {
	sub := s.subs[raw]
	if sub != nil && sub.qos == qos {
		return 0
	}
	if s.durable() {
		record = h.write(kindSubscribed, subscribedRecord(s.num, raw, qos))
	}
	if sub != nil {
		sub.qos = qos
		return record
	}
	sub = &subscription{s: s, raw: raw, filter: f, qos: qos}
	s.subs[raw] = sub
	if share, ok := s.id.Share(); ok {
		return max(record, h.join(share, sub))
	}
	h.world(s.id).index.add(sub)
	return record
}

// unsubscribe ends a subscription. What waits to be sent is still sent, unless others share it.
func (h *hub) unsubscribe(s *session, raw string) {
	sub := s.subs[raw]
	if sub == nil {
		return
	}
	delete(s.subs, raw)
	if s.durable() {
		h.write(kindUnsubscribed, unsubscribedRecord(s.num, raw))
	}
	if sub.group != nil {
		h.part(sub)
		return
	}
	h.world(s.id).index.remove(sub)
}

package localplatform

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"legacybridge/publisher/wiotp"
)

// A hub is what passes messages on: sessions, subscriptions, what waits for them, and status. One lock guards all of
// it, and nothing waits for disk or network while it is held: that keeps the order of messages, of take-overs and of
// the journal one and the same.
type hub struct {
	log     *slog.Logger
	journal *journal
	kept    bool // the journal is on disk
	buffer  int  // messages for one subscription
	lose    func(who, int)

	patience patience

	mu       sync.Mutex
	org      world
	quick    world
	sessions map[string]*session // by client id, see session.key
	live     int                 // sessions with a connection
	holders  map[uint64]any      // sessions and groups that the journal knows, by number
	groups   map[groupKey]*group
	held     int                // bytes of all messages of the organisation that wait or are in flight
	heldFree int                // the same of Quickstart, see memory.go
	most     int                // for held: maxHeld
	number   uint64             // last one given to a holder
	messages uint64             // last one given to a message
	sent     uint64             // messages to subscribers
	seq      uint64             // last one given to a sent delivery
	round    uint64             // of route
	replayed map[held]*delivery // while the journal is read
	losses   map[who]int
	hits     []*session // of route
	behind   *session   // of route: one of those it reached that is filling
	shared   []*group
}

// A world is an organisation: nothing passes from one to the other.
type world struct {
	index   index
	devices map[Device]*deviceStatus
	apps    map[string][]appStatus // connections by application, the newest last
}

func newWorld() world {
	return world{index: newIndex(), devices: map[Device]*deviceStatus{}, apps: map[string][]appStatus{}}
}

func newHub(log *slog.Logger, buffer int, lose func(who, int)) *hub {
	return &hub{patience: patience{stuckAfter, stuckAfterBrief, slowWait, mostHeld}, log: log, buffer: buffer, lose: lose, most: maxHeld, org: newWorld(), quick: newWorld(), sessions: map[string]*session{},
		holders: map[uint64]any{}, groups: map[groupKey]*group{}, losses: map[who]int{}, replayed: map[held]*delivery{}}
}

func (h *hub) world(id wiotp.ClientID) *world {
	if id.Org == wiotp.Quickstart {
		return &h.quick
	}
	return &h.org
}

func (h *hub) lock() { h.mu.Lock() }

// unlock tells of what was lost meanwhile, after the lock is given back.
func (h *hub) unlock() {
	losses := h.losses
	if len(losses) > 0 {
		h.losses = map[who]int{}
	} else {
		losses = nil
	}
	h.mu.Unlock()
	for w, n := range losses {
		h.lose(w, n)
	}
}

// publish passes m on to everybody in w who subscribes to it. It returns the number of the journal's record after which
// all durable subscriptions have it, 0 if none is to be waited for.
func (h *hub) publish(w *world, m *message) uint64 {
	h.lock()
	defer h.unlock()
	return h.route(w, m)
}

// route is publish under the lock.
func (h *hub) route(w *world, m *message) (record uint64) {
	h.round++
	h.behind = nil
	m.free = w == &h.quick
	hits, shared := h.hits[:0], h.shared[:0]
	w.index.match(m.topic, func(sub *subscription) {
		s := sub.s
		if s.round == h.round { // overlapping filters: once, with the higher QoS
			if sub.qos > s.hit.qos {
				s.hit = sub
			}
			return
		}
		if s.rights.Sees(m.topic) {
			s.round, s.hit = h.round, sub
			hits = append(hits, s)
		}
	}, func(g *group) {
		if g.sees(m.topic) {
			shared = append(shared, g)
		}
	})
	if len(hits)+len(shared) == 0 {
		return 0
	}
	record = h.store(m, hits, shared)
	for _, s := range hits {
		d := &delivery{m: m, sub: s.hit, qos: min(m.qos, s.hit.qos)}
		if s.stores(m, d.qos) && m.id != 0 {
			d.holder = s.num
		}
		h.give(s, d)
	}
	for _, g := range shared {
		d := &delivery{m: m, group: g, qos: m.qos}
		if g.stores(m) && m.id != 0 {
			d.holder = g.num
		}
		h.deal(g, d)
	}
	clear(hits)
	clear(shared)
	h.hits, h.shared = hits[:0], shared[:0]
	return record
}

// give queues d for s and sends what there is room for.
func (h *hub) give(s *session, d *delivery) {
	h.retain(d.m)
	d.sub.waiting++
	s.pending.push(d)
	s.bytes += d.m.size()
	for d.sub.waiting > h.buffer {
		h.dropOldest(s, s.pending.first(func(o *delivery) bool { return o.sub == d.sub }))
	}
	for s.bytes > s.maxBytes() && s.pending.live > 1 {
		h.dropOldest(s, s.pending.peek())
	}
	h.relieve(d.m)
	h.pump(s)
	if d.qos > 0 && h.filling(s) {
		h.behind = s
	}
}

// dropOldest gives up a delivery that waits, as the platform does when a buffer is full, and counts it.
func (h *hub) dropOldest(s *session, d *delivery) {
	if d == nil {
		return
	}
	s.pending.drop(d)
	h.unqueue(s, d)
	h.done(d)
	h.losses[s.who()]++
}

// unqueue takes d out of what s counts; the caller took it out of the queue.
func (h *hub) unqueue(s *session, d *delivery) {
	s.bytes -= d.m.size()
	if d.sub != nil {
		d.sub.waiting--
	}
}

func (h *hub) retain(m *message) {
	if m.refs++; m.refs == 1 {
		*h.heldWith(m) += m.size()
	}
}

// done is the end of a delivery: acknowledged, sent with QoS 0, or given up.
func (h *hub) done(d *delivery) {
	h.release(d.m)
	if d.holder != 0 {
		delete(h.replayed, held{d.holder, d.m.id}) // the journal may bring it again
		h.write(kindDone, doneRecord(d.holder, d.m.id))
		d.holder = 0
	}
}

func (h *hub) release(m *message) {
	if m.refs--; m.refs == 0 {
		*h.heldWith(m) -= m.size()
	}
}

// pump sends to s what its window and its socket have room for.
func (h *hub) pump(s *session) {
	c := s.conn
	if c == nil {
		return
	}
	for {
		q, d := &s.resend, s.resend.peek()
		if d == nil {
			q, d = &s.pending, s.pending.peek()
		}
		if d == nil || d.qos > 0 && d.pid == 0 && h.full(s) {
			return
		}
		if !c.room() {
			return
		}
		q.pop()
		if q == &s.pending {
			h.unqueue(s, d)
			h.caughtUp(s)
		}
		if d.qos > 0 {
			if d.pid == 0 {
				d.pid = s.freeID()
				if d.qos == 2 && d.holder != 0 && d.group == nil {
					h.write(kindSent, sentRecord(s.num, d.m.id, d.pid))
				}
			}
			h.seq++
			d.seq = h.seq
			s.inflight[d.pid] = d
			s.unacked += d.m.size()
		}
		c.deliver(s.id, d)
		h.sent++
		s.sent++
		if d.qos == 0 {
			h.done(d)
		}
	}
}

// inOrder is what is in flight to s, oldest first.
func (s *session) inOrder() []*delivery {
	all := make([]*delivery, 0, len(s.inflight))
	for _, d := range s.inflight {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b *delivery) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	return all
}

// acked ends a delivery of QoS 1, and the first half of one of QoS 2.
func (h *hub) acked(s *session, pid uint16, qos byte) {
	d := s.inflight[pid]
	if d == nil || d.qos != qos {
		return
	}
	delete(s.inflight, pid)
	s.unacked -= d.m.size()
	if qos == 2 {
		s.released[pid] = struct{}{}
		if s.num != 0 {
			h.write(kindReleased, pidRecord(s.num, pid))
		}
	}
	h.done(d)
	h.pump(s)
}

// expire gives up sessions and messages that are older than the platform keeps them, and status that nobody renewed.
func (h *hub) expire(now time.Time) {
	for _, key := range h.expired(now) {
		h.log.Info("kept session has expired", "id", key)
	}
}

func (h *hub) expired(now time.Time) (sessions []string) {
	h.lock()
	defer h.unlock()
	old := func(d *delivery) bool { return now.Sub(d.m.at) > wiotp.KeptFor }
	for _, s := range h.sessions {
		if s.conn != nil {
			continue
		}
		if now.Sub(s.since) > wiotp.KeptFor {
			sessions = append(sessions, s.key)
			h.remove(s)
			continue
		}
		for d := s.pending.peek(); d != nil && old(d); d = s.pending.peek() {
			h.dropOldest(s, d)
		}
	}
	for _, g := range h.groups {
		for d := g.backlog.peek(); d != nil && old(d); d = g.backlog.peek() {
			h.dropBacklog(g, d)
		}
	}
	h.org.expire(now)
	return sessions
}

// refill goes on with the session of c once its socket has room again.
func (h *hub) refill(c *conn) {
	h.lock()
	defer h.unlock()
	if s := c.session; s.conn == c {
		h.pump(s)
	}
}

package localplatform

import (
	"legacybridge/publisher/wiotp"
)

// A group is the scalable applications that share one filter. Each message goes to one member that is connected, in
// turn. What a member has not acknowledged when it leaves goes to another; while no member is connected, a group with
// a durable one keeps what comes.
type group struct {
	key     groupKey
	filter  wiotp.Filter
	num     uint64 // in the journal, 0 while no member is durable
	members []*subscription
	next    int
	durable int   // members that are durable
	backlog queue // for nobody yet
	bytes   int   // of backlog
}

type groupKey struct {
	share wiotp.Share
	raw   string
}

func (g *group) alive() bool { return len(g.members) > 0 }

// stores says whether the journal holds m for the group.
func (g *group) stores(m *message) bool {
	return g.durable > 0 && (m.qos > 0 || g.turn(1<<30) == nil)
}

// sees says whether any member may receive what is about t: members may use API keys of their own.
func (g *group) sees(t wiotp.Topic) bool {
	for _, sub := range g.members {
		if sub.s.rights.Sees(t) {
			return true
		}
	}
	return false
}

// join makes sub a member. What was kept for the group is drained by the caller, who waits for the record.
func (h *hub) join(share wiotp.Share, sub *subscription) (record uint64) {
	k := groupKey{share, sub.raw}
	g := h.groups[k]
	if g == nil {
		g = &group{key: k, filter: sub.filter}
		h.groups[k] = g
		h.org.index.addGroup(g)
	}
	sub.group = g
	g.members = append(g.members, sub)
	if sub.s.durable() {
		g.durable++
		record = h.keepGroup(g)
	}
	return record
}

// keepGroup gives a group with a durable member its number. While the journal is read, the number stands there.
func (h *hub) keepGroup(g *group) (record uint64) {
	if g.num != 0 || h.replayed != nil {
		return 0
	}
	h.number++
	g.num = h.number
	h.holders[g.num] = g
	return h.write(kindGroup, g.record())
}

// part ends a membership. What waited for the member goes to the others; with the last member the group ends, and what
// waits for that one is still sent to it.
func (h *hub) part(sub *subscription) {
	g, s := sub.group, sub.s
	g.members, _ = without(g.members, sub)
	if s.durable() {
		g.durable--
	}
	if g.alive() {
		var shared []*delivery
		for _, d := range s.pending.take(func(d *delivery) bool { return d.group == g }) {
			h.unqueue(s, d)
			shared = append(shared, d)
		}
		h.pass(shared)
		if g.durable == 0 {
			h.drain(g)
		}
		return
	}
	for _, d := range g.backlog.take(anyDelivery) {
		h.done(d)
	}
	h.org.index.removeGroup(g)
	delete(h.groups, g.key)
	if g.num != 0 {
		// What is still under way belongs to no group any more.
		h.write(kindForgotten, numRecord(g.num))
		delete(h.holders, g.num)
	}
}

// turn returns the member whose turn it is, of those that are connected and have fewer than limit deliveries waiting.
func (g *group) turn(limit int) *subscription {
	for i := range g.members {
		sub := g.members[(g.next+i)%len(g.members)]
		if sub.s.conn != nil && sub.waiting < limit {
			return sub
		}
	}
	return nil
}

// deal gives d to a member, or keeps it if none is connected. d is not retained yet.
func (h *hub) deal(g *group, d *delivery) {
	sub := h.choose(g, d)
	if sub != nil {
		d.sub, d.qos, d.pid, d.dup = sub, min(d.m.qos, sub.qos), 0, false
		h.give(sub.s, d)
		return
	}
	d.sub, d.pid, d.dup = nil, 0, false
	h.retain(d.m)
	if g.durable == 0 {
		h.done(d)
		return
	}
	g.backlog.push(d)
	g.bytes += d.m.size()
	for g.backlog.live > h.buffer || g.bytes > maxDurableBytes && g.backlog.live > 1 {
		h.dropBacklog(g, g.backlog.peek())
	}
	h.relieve(d.m)
}

// choose returns the member whose turn it is: one that has room, else one that will lose its oldest.
func (h *hub) choose(g *group, d *delivery) *subscription {
	for _, limit := range [...]int{h.buffer, 1 << 30} {
		for range g.members {
			sub := g.turn(limit)
			if sub == nil {
				break
			}
			for i, m := range g.members {
				if m == sub {
					g.next = (i + 1) % len(g.members)
				}
			}
			if sub.s.rights.Sees(d.m.topic) {
				return sub
			}
		}
	}
	return nil
}

func (h *hub) dropBacklog(g *group, d *delivery) {
	if d == nil {
		return
	}
	g.backlog.drop(d)
	g.bytes -= d.m.size()
	h.done(d)
	h.losses[who{id: "A:" + g.key.share.Org + ":" + g.key.share.App + ":…"}]++
}

// drain hands out what was kept while nobody was connected.
func (h *hub) drain(g *group) {
	if g.turn(1<<30) == nil {
		return
	}
	for _, d := range g.backlog.take(anyDelivery) {
		g.bytes -= d.m.size()
		h.release(d.m)
		h.deal(g, d)
	}
}

// pass deals what a member gave back, in its order.
func (h *hub) pass(shared []*delivery) {
	for _, d := range shared {
		h.release(d.m)
		if !d.group.alive() { // it was the last member
			h.retain(d.m)
			h.done(d)
			continue
		}
		h.deal(d.group, d)
	}
}

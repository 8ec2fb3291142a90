package localplatform

import (
	"time"

	"legacybridge/publisher/wiotp"
)

func (h *hub) replaySession(n uint64, key string, since uint64) {
	id, err := wiotp.ParseClientID(key)
	if err != nil || n == 0 || !id.KeepsState(false) {
		return
	}
	s := h.sessions[key]
	if s != nil && s.num != n {
		h.remove(s)
		s = nil
	}
	if s == nil {
		s = h.newSession(key, id, wiotp.Rights{ID: id})
		s.num = n
		h.holders[n] = s
	}
	s.since = time.Time{}
	if since != 0 {
		s.since = recalled(since)
	}
}

func (h *hub) replayMessage(r *recordReader) {
	m := &message{id: r.number(), at: r.time(), qos: min(r.byte(), 2)}
	m.topic = wiotp.Topic{Kind: wiotp.Kind(r.byte()), Type: r.text(), ID: r.text(), Name: r.text(), Format: r.text(), App: r.text()}
	var holders []uint64
	for range min(r.number(), uint64(len(r.b))) {
		holders = append(holders, r.number())
	}
	if r.short {
		return
	}
	m.name, m.payload = m.topic.String(), r.b
	h.messages = max(h.messages, m.id)
	for _, n := range holders {
		k := held{n, m.id}
		if h.replayed[k] != nil {
			continue
		}
		d := &delivery{m: m, qos: m.qos, holder: n}
		switch holder := h.holders[n].(type) {
		case *session:
			if d.sub = holder.subFor(m.topic); d.sub != nil {
				d.qos = min(m.qos, d.sub.qos)
				d.sub.waiting++
			}
			holder.pending.push(d)
			holder.bytes += m.size()
		case *group:
			d.group = holder
			holder.backlog.push(d)
			holder.bytes += m.size()
		default:
			continue
		}
		h.retain(m)
		h.replayed[k] = d
	}
}

// subFor is the subscription by which s gets what is about t; nil if it was ended meanwhile.
func (s *session) subFor(t wiotp.Topic) (best *subscription) {
	for _, sub := range s.subs {
		if sub.group == nil && sub.filter.Matches(t) && (best == nil || sub.qos > best.qos) {
			best = sub
		}
	}
	return best
}

func (h *hub) replayDone(n, message uint64) {
	k := held{n, message}
	d := h.replayed[k]
	if d == nil {
		return
	}
	delete(h.replayed, k)
	d.holder = 0
	switch holder := h.holders[n].(type) {
	case *session:
		holder.pending.drop(d)
		h.unqueue(holder, d)
	case *group:
		holder.backlog.drop(d)
		holder.bytes -= d.m.size()
	default: // forgotten, and its messages with it
		return
	}
	h.release(d.m)
}

func (h *hub) replayStatus(r *recordReader) {
	d := Device{Type: r.text(), ID: r.text()}
	st := &deviceStatus{connected: r.byte() == 1, at: r.time()}
	if st.payload = r.b; !r.short {
		h.org.devices[d] = st
	}
}

// open takes the journal after it was replayed. Nobody is connected yet: devices that were get the Disconnect that the
// end of the last process left out.
func (h *hub) open(j *journal) {
	h.lock()
	defer h.unlock()
	now := time.Now()
	for _, s := range h.sessions {
		if s.since.IsZero() {
			s.since = now
		}
		// What was sent with QoS 2 is sent again under its packet id, before all that was not.
		for _, d := range s.pending.take(func(d *delivery) bool { return d.pid != 0 }) {
			h.unqueue(s, d)
			s.resend.push(d)
		}
	}
	h.replayed = nil
	h.journal, h.kept = j, j.dir != ""
	for _, g := range h.groups {
		h.keepGroup(g) // where the end came between its first member and its number
	}
	h.org.recover(h, now)
}

package localplatform

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"legacybridge/publisher/wiotp"
)

// Kinds of records in the journal. Numbers are varints, texts have their length in front. A holder is a session or a
// group; both have numbers of one row.
const (
	kindSession      byte = 64 + iota // holder, client id, since when it is away in ms (0: connected)
	kindForgotten                     // holder
	kindSubscribed                    // holder, qos, filter
	kindUnsubscribed                  // holder, filter
	kindGroup                         // holder, org, app, filter
	kindMessage                       // see messageRecord
	kindDone                          // holder, message
	kindSent                          // holder, message, packet id: QoS 2 was sent
	kindReleased                      // holder, packet id: QoS 2 to the client, PUBREC came
	kindCompleted                     // holder, packet id: PUBCOMP came
	kindReceived                      // holder, packet id: QoS 2 from the client was passed on
	kindFreed                         // holder, packet id: PUBREL came
	kindStatus                        // type, id, connected, time in ms, message
)

// write adds a record and returns its number, 0 where nothing is kept.
func (h *hub) write(kind byte, body []byte) uint64 {
	if !h.kept {
		return 0
	}
	return h.journal.write(kind, body)
}

// store keeps m for everybody durable who gets it, and returns the record to be waited for: none where all who get it
// get it with QoS 0.
func (h *hub) store(m *message, hits []*session, shared []*group) (record uint64) {
	if !h.kept {
		return 0
	}
	var holders []uint64
	must := false
	for _, s := range hits {
		if qos := min(m.qos, s.hit.qos); s.stores(m, qos) {
			holders = append(holders, s.num)
			must = must || qos > 0
		}
	}
	for _, g := range shared {
		if g.stores(m) {
			holders = append(holders, g.num)
			must = must || m.qos > 0
		}
	}
	if len(holders) == 0 {
		return 0
	}
	h.messages++
	m.id = h.messages
	if n := h.write(kindMessage, messageRecord(m, holders)); must {
		record = n
	}
	return record
}

func numRecord(n uint64) []byte { return binary.AppendUvarint(nil, n) }

func pidRecord(n uint64, pid uint16) []byte {
	return binary.AppendUvarint(numRecord(n), uint64(pid))
}

func doneRecord(holder, message uint64) []byte {
	return binary.AppendUvarint(numRecord(holder), message)
}

func sentRecord(holder, message uint64, pid uint16) []byte {
	return binary.AppendUvarint(doneRecord(holder, message), uint64(pid))
}

func subscribedRecord(n uint64, raw string, qos byte) []byte {
	return appendText(append(numRecord(n), qos), raw)
}

func unsubscribedRecord(n uint64, raw string) []byte { return appendText(numRecord(n), raw) }

func (s *session) record() []byte {
	since := uint64(0)
	if s.conn == nil {
		since = uint64(s.since.UnixMilli())
	}
	return binary.AppendUvarint(appendText(numRecord(s.num), s.id.String()), since)
}

func (g *group) record() []byte {
	return appendText(appendText(appendText(numRecord(g.num), g.key.share.Org), g.key.share.App), g.key.raw)
}

func messageRecord(m *message, holders []uint64) []byte {
	b := make([]byte, 0, m.size()+10*len(holders))
	b = binary.AppendUvarint(b, m.id)
	b = binary.AppendUvarint(b, uint64(m.at.UnixMilli()))
	b = append(b, m.qos, byte(m.topic.Kind))
	for _, s := range [...]string{m.topic.Type, m.topic.ID, m.topic.Name, m.topic.Format, m.topic.App} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(holders)))
	for _, n := range holders {
		b = binary.AppendUvarint(b, n)
	}
	return append(b, m.payload...)
}

func statusRecord(d Device, st *deviceStatus) []byte {
	b := appendText(appendText(nil, d.Type), d.ID)
	connected := byte(0)
	if st.connected {
		connected = 1
	}
	b = binary.AppendUvarint(append(b, connected), uint64(st.at.UnixMilli()))
	return append(b, st.payload...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// snapshot is all records that would build up what h holds. Messages, which may be a hundred megabytes, are only noted
// under the lock, then sorted and written: they never change, and meanwhile everybody would wait.
func (h *hub) snapshot(emit func(kind byte, body []byte)) {
	holders, messages, others := h.noteAll()
	for _, r := range holders {
		emit(r.kind, r.body)
	}
	slices.SortStableFunc(messages, func(a, b noted) int { return cmp.Compare(a.m.id, b.m.id) })
	for len(messages) > 0 {
		m := messages[0].m
		var kept []uint64
		for len(messages) > 0 && messages[0].m == m {
			kept = append(kept, messages[0].holder)
			messages = messages[1:]
		}
		emit(kindMessage, messageRecord(m, kept))
	}
	for _, r := range others {
		emit(r.kind, r.body)
	}
}

// An entryRecord is any record but a message.
type entryRecord struct {
	kind byte
	body []byte
}

// A noted message is kept for a holder.
type noted struct {
	m      *message
	holder uint64
}

// noteAll returns what must stand before messages, the messages, and what must stand behind them.
func (h *hub) noteAll() (holders []entryRecord, messages []noted, others []entryRecord) {
	h.lock()
	defer h.unlock()
	note := func(all ...*delivery) {
		for _, d := range all {
			if d != nil && !d.gone && d.holder != 0 {
				messages = append(messages, noted{d.m, d.holder})
			}
		}
	}
	for _, s := range h.sessions {
		all := s.everything()
		note(all...) // of one that is not durable: its share of a durable group
		if !s.durable() {
			continue
		}
		holders = append(holders, entryRecord{kindSession, s.record()})
		for raw, sub := range s.subs {
			holders = append(holders, entryRecord{kindSubscribed, subscribedRecord(s.num, raw, sub.qos)})
		}
		for pid := range s.released {
			holders = append(holders, entryRecord{kindReleased, pidRecord(s.num, pid)})
		}
		for pid := range s.received {
			holders = append(holders, entryRecord{kindReceived, pidRecord(s.num, pid)})
		}
		for _, d := range all {
			if d != nil && !d.gone && d.qos == 2 && d.pid != 0 && d.holder == s.num {
				others = append(others, entryRecord{kindSent, sentRecord(s.num, d.m.id, d.pid)})
			}
		}
	}
	for _, g := range h.groups {
		if g.num == 0 {
			continue
		}
		holders = append(holders, entryRecord{kindGroup, g.record()})
		note(g.backlog.all[g.backlog.head:]...)
	}
	for d, st := range h.org.devices {
		others = append(others, entryRecord{kindStatus, statusRecord(d, st)})
	}
	return holders, messages, others
}

// everything is all deliveries of s.
func (s *session) everything() []*delivery {
	all := append(s.inOrder(), s.resend.all[s.resend.head:]...)
	return append(all, s.pending.all[s.pending.head:]...)
}

// replay takes a record of the journal. A record that is damaged in itself is an error; one about something that is not
// there any more means nothing.
func (h *hub) replay(kind byte, body []byte) error {
	r := recordReader{b: body}
	if kind == kindStatus {
		h.replayStatus(&r)
		return r.err(kind)
	}
	if kind == kindMessage {
		h.replayMessage(&r)
		return r.err(kind)
	}
	n := r.number()
	h.number = max(h.number, n)
	s, _ := h.holders[n].(*session)
	switch kind {
	case kindSession:
		h.replaySession(n, r.text(), r.number())
	case kindGroup:
		k := groupKey{wiotp.Share{Org: r.text(), App: r.text(), Durable: true}, r.text()}
		if g := h.groups[k]; g != nil {
			delete(h.holders, g.num)
			g.num = n
			h.holders[n] = g
		}
	case kindForgotten:
		if s != nil {
			h.remove(s)
		}
		delete(h.holders, n)
	case kindSubscribed:
		qos, raw := r.byte(), r.text()
		if s != nil && qos <= 2 {
			if f, err := s.rights.Subscribe(raw); err == nil {
				h.subscribe(s, raw, f, qos)
			}
		}
	case kindUnsubscribed:
		if raw := r.text(); s != nil {
			h.unsubscribe(s, raw)
		}
	case kindDone:
		h.replayDone(n, r.number())
	case kindSent:
		if d := h.replayed[held{n, r.number()}]; d != nil {
			d.pid, d.dup = r.packetID(), true
		}
	case kindReleased, kindCompleted, kindReceived, kindFreed:
		pid := r.packetID()
		if s == nil || r.short {
			break
		}
		switch kind {
		case kindReleased:
			s.released[pid] = struct{}{}
		case kindCompleted:
			delete(s.released, pid)
		case kindReceived:
			s.received[pid] = struct{}{}
		case kindFreed:
			delete(s.received, pid)
		}
	default:
		return fmt.Errorf("a record of kind %d, of a newer version of this program", kind)
	}
	if kind == kindSent { // what it is about may be gone, and the rest unread
		return nil
	}
	return r.err(kind)
}

// held is what a holder has of a message.
type held struct{ holder, message uint64 }

// recordReader reads a record's fields in their order.
type recordReader struct {
	b     []byte
	short bool
}

func (r *recordReader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.b, r.short = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *recordReader) packetID() uint16 {
	n := r.number()
	if n == 0 || n > math.MaxUint16 {
		r.short = true
		return 0
	}
	return uint16(n)
}

func (r *recordReader) byte() byte {
	if len(r.b) == 0 {
		r.short = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *recordReader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.short = nil, true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *recordReader) time() time.Time { return recalled(r.number()) }

// recalled is a time of the journal, in such a form that a clock that jumps later does not change how long ago it was.
// One that cannot be, ahead of the clock or from a clock that was not set, is now: what waits is rather kept too long
// than given up too early.
func recalled(ms uint64) time.Time {
	now, at := time.Now(), time.UnixMilli(int64(ms&math.MaxInt64))
	age := now.Sub(at)
	if age < 0 || at.Before(clockSet) {
		age = 0
	}
	return now.Add(-age)
}

// clockSet is earlier than any time of a clock that is set: machines without a clock of their own start in 1970.
var clockSet = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func (r *recordReader) err(kind byte) error {
	if r.short {
		return fmt.Errorf("a record of kind %d is too short: %w", kind, errRecord)
	}
	return nil
}

var errRecord = errors.New("it was not written by this program")

package localplatform

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"legacybridge/publisher/wiotp"
)

// converse reads what a client sends, until the connection ends, and returns why it did. The library takes the packets
// apart, nothing more.
func (p *Platform) converse(ctx context.Context, c *conn) *wiotp.Refusal {
	for {
		if !c.settled(wiotp.MaxInflight) {
			return diagnose(net.ErrClosed)
		}
		if err := c.arm(); err != nil {
			return diagnose(err)
		}
		pk, err := c.readPacket(p.maxPacket())
		if err != nil {
			if c.hasEnded() {
				err = net.ErrClosed
			}
			return diagnose(err)
		}
		if err := p.handle(ctx, c, &pk); err != nil {
			return diagnose(err)
		}
	}
}

// maxPacket is the longest PUBLISH that the payload limit allows, so that a longer one is refused before its body is
// read. A small limit must leave room for subscriptions.
func (p *Platform) maxPacket() int {
	return max(p.maxPayload, math.MaxUint16) + wiotp.FreeTopic + len("hllll") + len("ttpp")
}

// handle does what one packet asks for. An error ends the connection, without an answer.
func (p *Platform) handle(ctx context.Context, c *conn, pk *packets.Packet) error {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		return p.published(ctx, c, pk)
	case packets.Subscribe, packets.Unsubscribe:
		if err := p.room(ctx, c); err != nil {
			return err
		}
		if pk.FixedHeader.Type == packets.Subscribe {
			return p.subscribe(c, pk)
		}
		return p.unsubscribe(c, pk)
	case packets.Pingreq:
		c.send([]byte{pingrespPacket, 0})
		return nil
	case packets.Disconnect:
		return &wiotp.Refusal{Code: wiotp.ClosedByClient}
	}
	h := p.hub
	h.lock()
	defer h.unlock()
	s := c.session
	if s.conn != c {
		return net.ErrClosed
	}
	switch pk.FixedHeader.Type {
	case packets.Puback:
		h.acked(s, pk.PacketID, 1)
	case packets.Pubrec:
		h.acked(s, pk.PacketID, 2)
		c.send(answer(pubrelPacket, pk.PacketID)) // also for one that is not known: the client waits for it
	case packets.Pubcomp:
		if _, ok := s.released[pk.PacketID]; ok {
			delete(s.released, pk.PacketID)
			if s.durable() {
				h.write(kindCompleted, pidRecord(s.num, pk.PacketID))
			}
			h.pump(s)
		}
	case packets.Pubrel:
		if _, ok := s.received[pk.PacketID]; ok {
			delete(s.received, pk.PacketID)
			if s.durable() {
				h.write(kindFreed, pidRecord(s.num, pk.PacketID))
			}
		}
		c.send(answer(pubcompPacket, pk.PacketID))
	default:
		return &wiotp.Refusal{Rule: "protocol", Code: wiotp.BadData, Why: "not valid MQTT: a packet that only a login or a server may send"}
	}
	return nil
}

// published takes a message: it is passed on, and acknowledged once it is durable for all durable subscriptions.
func (p *Platform) published(ctx context.Context, c *conn, pk *packets.Packet) error {
	c.readMsgs.Add(1)
	qos := pk.FixedHeader.Qos
	if qos > 0 && pk.PacketID == 0 {
		return packets.ErrProtocolViolationNoPacketID
	}
	if qos > 0 && c.rights.ID.Org == wiotp.Quickstart {
		return &wiotp.Refusal{Rule: "quickstart", Code: wiotp.BadQoS, Why: fmt.Sprintf("QoS %d was published, %s has QoS 0 only", qos, wiotp.Quickstart)}
	}
	again := qos == 2 && p.hub.knows(c, pk.PacketID)
	if !again {
		if err := p.room(ctx, c); err != nil {
			return err
		}
	}
	var record uint64
	var behind *session
	t, err := p.mayPublish(&c.rights, pk.TopicName, len(pk.Payload))
	switch {
	case again:
	case err == nil:
		record, behind, err = p.take(c, t, pk.Payload, qos, pk.PacketID)
	case c.rights.ID.Class == wiotp.Gateway && !isTooLarge(err):
		p.notice(c, "publish", pk.TopicName, err)
		err = nil
	}
	if err != nil {
		return err
	}
	switch qos {
	case 1:
		p.acker.promise(c, record, answer(pubackPacket, pk.PacketID))
	case 2:
		p.acker.promise(c, record, answer(pubrecPacket, pk.PacketID))
	}
	p.hub.yield(c, behind)
	if p.throttle > 0 {
		return c.pause(c.spent.spend(wiotp.Units(len(pk.Payload)), p.throttle, time.Now()))
	}
	return nil
}

// knows says whether the client repeats a message of QoS 2 that was passed on already.
func (h *hub) knows(c *conn, pid uint16) bool {
	h.lock()
	defer h.unlock()
	_, ok := c.session.received[pid]
	return ok
}

// take passes on what a client has published and returns the record to be waited for, and
// a subscriber that is filling.
func (p *Platform) take(c *conn, t wiotp.Topic, payload []byte, qos byte, pid uint16) (record uint64, behind *session, err error) {
	h := p.hub
	h.lock()
	defer h.unlock()
	s := c.session
	if s.conn != c {
		return 0, nil, net.ErrClosed
	}
	if qos == 2 {
		if len(s.received) >= wiotp.MaxInflight {
			return 0, nil, &wiotp.Refusal{Rule: "inflight", Code: wiotp.BadData,
				Why: fmt.Sprintf("more than %d messages of QoS 2 that were not released", wiotp.MaxInflight)}
		}
		s.received[pid] = struct{}{}
	}
	record = h.route(h.world(s.id), newMessage(t, payload, qos))
	if qos == 2 && s.durable() {
		record = h.write(kindReceived, pidRecord(s.num, pid))
	}
	p.count(t)
	if behind = h.behind; behind == s { // it would wait for itself to read its acknowledgements
		behind = nil
	}
	return record, behind, nil
}

func newMessage(t wiotp.Topic, payload []byte, qos byte) *message {
	return &message{topic: t, name: t.String(), payload: payload, qos: qos, at: time.Now()}
}

func (p *Platform) count(t wiotp.Topic) {
	switch t.Kind {
	case wiotp.Event:
		p.events.Add(1)
	case wiotp.Command:
		p.commands.Add(1)
	}
}

func isTooLarge(err error) bool {
	r, ok := errors.AsType[*wiotp.Refusal](err)
	return ok && r.Code == wiotp.TooLarge
}

// subscribe answers a SUBSCRIBE as a whole: one bad filter among several ends the connection.
func (p *Platform) subscribe(c *conn, pk *packets.Packet) error {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return packets.ErrProtocolViolationNoFilters
	}
	filters := make([]wiotp.Filter, len(pk.Filters))
	bad := make([]bool, len(pk.Filters))
	for i, f := range pk.Filters {
		var err error
		if filters[i], err = c.rights.Subscribe(f.Filter); err == nil {
			continue
		}
		if c.rights.ID.Class != wiotp.Gateway {
			return err
		}
		bad[i] = true
		p.notice(c, "subscribe", f.Filter, err)
	}
	if err := p.subscribed(c, pk, filters, bad); err != nil {
		return err
	}
	for _, f := range pk.Filters {
		p.log.Debug("client subscribed", "id", c.id, "topic", f.Filter)
	}
	return nil
}

// maxFilters bounds the filters of one client, in bytes: each may have 64 KiB.
const maxFilters = 128 << 10

// subscribed sets up what was found good, answers, and tells the known status.
func (p *Platform) subscribed(c *conn, pk *packets.Packet, filters []wiotp.Filter, bad []bool) error {
	h := p.hub
	h.lock()
	defer h.unlock()
	s := c.session
	if s.conn != c {
		return net.ErrClosed
	}
	added := map[string]bool{}
	for i, f := range pk.Filters {
		if s.subs[f.Filter] == nil && !bad[i] {
			added[f.Filter] = true
		}
	}
	if n, most := len(s.subs)+len(added), s.id.Class.MaxSubscriptions(); n > most {
		return &wiotp.Refusal{Rule: "subscriptions", Code: wiotp.TooManyFilters,
			Why: fmt.Sprintf("%d subscriptions, at most %d are allowed", n, most)}
	}
	size := 0
	for raw := range s.subs {
		size += len(raw)
	}
	for raw := range added {
		size += len(raw)
	}
	if size > maxFilters {
		return &wiotp.Refusal{Rule: "subscriptions", Code: wiotp.TooManyFilters,
			Why: fmt.Sprintf("the filters of all subscriptions have %d bytes, at most %d are allowed", size, maxFilters)}
	}
	granted := make([]byte, len(pk.Filters))
	var record uint64
	for i, f := range pk.Filters {
		if granted[i] = f.Qos; s.id.Org == wiotp.Quickstart {
			granted[i] = 0
		}
		if !bad[i] {
			record = max(record, h.subscribe(s, strings.Clone(f.Filter), filters[i], granted[i]))
		}
	}
	b := appendHeader(nil, subackPacket, 2+len(granted))
	b = append(binary.BigEndian.AppendUint16(b, pk.PacketID), granted...)
	p.acker.promise(c, record, b)
	for i, f := range pk.Filters {
		if bad[i] {
			continue
		}
		sub := s.subs[f.Filter]
		if sub.group == nil || len(sub.group.members) == 1 {
			h.tellKnown(s, sub)
		}
		if sub.group != nil {
			h.drain(sub.group)
		}
	}
	return nil
}

func (p *Platform) unsubscribe(c *conn, pk *packets.Packet) error {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return packets.ErrProtocolViolationNoFilters
	}
	h := p.hub
	h.lock()
	defer h.unlock()
	s := c.session
	if s.conn != c {
		return net.ErrClosed
	}
	for _, f := range pk.Filters {
		h.unsubscribe(s, f.Filter)
	}
	p.acker.promise(c, 0, answer(unsubackPacket, pk.PacketID))
	return nil
}

// diagnose puts the end of a connection into the platform's words.
func diagnose(err error) *wiotp.Refusal {
	if r, ok := errors.AsType[*wiotp.Refusal](err); ok {
		return r
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET):
		return &wiotp.Refusal{Code: wiotp.ConnectionLost}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &wiotp.Refusal{Rule: "keepalive", Code: wiotp.KeepaliveTimeout, Why: "nothing came for one and a half times the keepalive"}
	case errors.Is(err, packets.ErrMalformedTopic):
		return &wiotp.Refusal{Rule: "topic", Code: wiotp.BadTopic, Why: "a topic or filter that is not UTF-8"}
	}
	return &wiotp.Refusal{Rule: "protocol", Code: wiotp.BadData, Why: "not valid MQTT: " + err.Error()}
}

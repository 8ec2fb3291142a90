package localplatform

import (
	"errors"
	"log/slog"
	"math"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"legacybridge/publisher/wiotp"
)

const listenerID = "tcp"

// keepFor is how long a session with clean session false outlasts its connection, and an event its subscriber.
const keepFor = 24 * time.Hour

// maxBehind is how many bytes of events a subscriber may be behind before it loses some.
const maxBehind = maxUnwritten / 2

// newBroker sets every limit of the library: its defaults are none.
func (p *Platform) newBroker() (*mqtt.Server, error) {
	limits := mqtt.NewDefaultServerCapabilities()
	limits.MaximumClients = maxOpen // never reached, see enter
	limits.MaximumMessageExpiryInterval = int64(keepFor / time.Second)
	limits.MaximumSessionExpiryInterval = uint32(keepFor / time.Second)
	limits.MaximumClientWritesPending = 8192 // only what its own goroutine has not yet put into conn.out
	// The longest PUBLISH that the payload limit allows, so that a longer one is refused before its body is read. A
	// small limit must leave room for subscriptions.
	limits.MaximumPacketSize = uint32(max(p.maxPayload, math.MaxUint16) + wiotp.FreeTopic + len("htllpp"))
	limits.ReceiveMaximum = wiotp.MaxInflight
	limits.MaximumInflight = math.MaxUint16 // never reached, see tooFarBehind
	limits.MinimumProtocolVersion = 3

	b := mqtt.New(&mqtt.Options{
		Capabilities:             limits,
		ClientNetReadBufferSize:  16 << 10,
		ClientNetWriteBufferSize: 1, // conn buffers
		Logger:                   slog.New(slog.DiscardHandler),
		SysTopicResendInterval:   int64(keepFor / time.Second), // nobody can read them
	})
	return b, b.AddHook(&hooks{p: p}, nil)
}

// hooks is where the broker asks. A hook runs in the goroutine of the client whose packet is read; for a delivery that
// is the publisher, not the subscriber that is passed.
type hooks struct {
	mqtt.HookBase
	p *Platform
}

func (h *hooks) ID() string { return "rules" }

func (h *hooks) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnectAuthenticate, mqtt.OnSessionEstablished, mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnSubscribed,
		mqtt.OnACLCheck, mqtt.OnQosPublish, mqtt.OnPublishDropped, mqtt.OnWill, mqtt.OnClientExpired:
		return true
	}
	return false
}

// OnConnectAuthenticate has nothing to decide: only admitted logins come here.
func (h *hooks) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnPacketRead is asked before anything is done with a packet. ErrRejectPacket ends the connection without an answer.
func (h *hooks) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	c := cl.Net.Conn.(*conn)
	var err error
	switch pk.FixedHeader.Type {
	case packets.Publish:
		if err = h.p.mayPublish(pk.TopicName, len(pk.Payload)); err == nil {
			pk.FixedHeader.Retain = false
			h.p.events.Add(1)
		}
	case packets.Puback, packets.Pubrec:
		if m, ok := cl.State.Inflight.Get(pk.PacketID); ok && m.FixedHeader.Type == packets.Publish {
			c.unacked.Add(-int64(len(m.Payload)))
		}
	case packets.Subscribe:
		filters := make([]string, len(pk.Filters))
		for i := range pk.Filters {
			filters[i] = pk.Filters[i].Filter
		}
		subs := cl.State.Subscriptions
		has := func(f string) bool { _, ok := subs.Get(f); return ok }
		if err = maySubscribe(filters, has, subs.Len()); err == nil {
			c.subscribe.Store(true)
			pk.PacketID = c.freeID(cl, pk.PacketID)
		}
	case packets.Unsubscribe:
		pk.PacketID = c.freeID(cl, pk.PacketID)
	case packets.Auth:
		err = &wiotp.Refusal{Rule: "protocol", Code: wiotp.BadData, Why: "not valid MQTT: AUTH is a packet of MQTT 5"}
	}
	if r, ok := errors.AsType[*wiotp.Refusal](err); ok {
		c.end(r)
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

// freeID avoids a fault of the library: it keeps the ids of both directions in one table, and answers a SUBSCRIBE or
// ignores an UNSUBSCRIBE whose id an event on its way to the same client happens to have.
func (c *conn) freeID(cl *mqtt.Client, id uint16) uint16 {
	if _, taken := cl.State.Inflight.Get(id); !taken {
		return id
	}
	free := uint16(math.MaxUint16) // the library counts up from 1
	for taken := true; taken && free > 1; {
		free--
		_, taken = cl.State.Inflight.Get(free)
	}
	c.ackID, c.ownID = free, id
	return free
}

func (h *hooks) OnSubscribed(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	cl.Net.Conn.(*conn).subscribe.Store(false)
	for _, f := range pk.Filters {
		h.p.log.Debug("client subscribed", "id", cl.ID, "topic", f.Filter)
	}
}

func (h *hooks) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Suback, packets.Unsuback:
		c := cl.Net.Conn.(*conn)
		if c.ackID != 0 && pk.PacketID == c.ackID {
			pk.PacketID, c.ackID = c.ownID, 0
		}
	case packets.Disconnect: // a server says it in MQTT 5 only
		pk.FixedHeader.Type = packets.Reserved
	}
	return pk
}

// OnACLCheck is asked about each delivery: here a subscriber that is too far behind loses the event. Writes and
// subscriptions were settled by OnPacketRead.
func (h *hooks) OnACLCheck(cl *mqtt.Client, _ string, write bool) bool {
	c := cl.Net.Conn.(*conn)
	if write || c.subscribe.Load() || !c.tooFarBehind(cl) {
		return true
	}
	h.drop(c)
	return false
}

// tooFarBehind counts what was not written and what was not acknowledged.
func (c *conn) tooFarBehind(cl *mqtt.Client) bool {
	over := func() bool {
		return int64(c.unwritten())+c.unacked.Load() > maxBehind || cl.State.Inflight.Len() >= wiotp.MaxBuffer
	}
	if !over() {
		return false
	}
	// The count may be too high: what the library itself gives up is not seen here. It is taken anew, once a second.
	now := time.Now().Unix()
	if last := c.recounted.Load(); last == now || !c.recounted.CompareAndSwap(last, now) {
		return true
	}
	c.recount(cl)
	return over()
}

func (c *conn) recount(cl *mqtt.Client) {
	n := 0
	for _, m := range cl.State.Inflight.GetAll(false) {
		n += len(m.Payload)
	}
	c.unacked.Store(int64(n))
}

// OnSessionEstablished counts what a kept session brought along.
func (h *hooks) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	if cl.State.Inflight.Len() > 0 {
		cl.Net.Conn.(*conn).recount(cl)
	}
}

// OnQosPublish sees each event that will need an acknowledgement; Dup is one that was counted before.
func (h *hooks) OnQosPublish(cl *mqtt.Client, pk packets.Packet, _ int64, _ int) {
	if !pk.FixedHeader.Dup {
		cl.Net.Conn.(*conn).unacked.Add(int64(len(pk.Payload)))
	}
}

func (h *hooks) OnPublishDropped(cl *mqtt.Client, _ packets.Packet) { h.drop(cl.Net.Conn.(*conn)) }

func (h *hooks) drop(c *conn) {
	h.p.dropped.Add(1)
	h.p.refusals.lost(c.who())
}

func (h *hooks) OnWill(_ *mqtt.Client, will mqtt.Will) (mqtt.Will, error) {
	will.Retain = false
	h.p.events.Add(1)
	return will, nil
}

// OnClientExpired does what the library leaves out when it forgets a session.
func (h *hooks) OnClientExpired(cl *mqtt.Client) {
	cl.ClearInflights()
	h.p.broker.UnsubscribeClient(cl)
}

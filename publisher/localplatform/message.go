package localplatform

import (
	"encoding/binary"
	"time"

	"legacybridge/publisher/wiotp"
)

// A message is what was published. It is shared by all that it goes to and never changed.
type message struct {
	id      uint64 // in the journal; 0: kept in memory only
	topic   wiotp.Topic
	name    string // the long form of topic
	payload []byte
	qos     byte
	retain  bool // a status message that is replayed to a new subscriber
	at      time.Time
	free    bool // of Quickstart

	refs int // deliveries that wait or are in flight, guarded by hub.mu
}

// perMessage is what a message costs beside its payload.
const perMessage = 256

func (m *message) size() int { return len(m.payload) + len(m.name) + perMessage }

// A delivery is a message on its way to one subscriber.
type delivery struct {
	m      *message
	sub    *subscription // whose buffer it fills while it waits; nil once the subscription is gone
	group  *group        // where it goes back to if the subscriber leaves; nil unless shared
	holder uint64        // session or group that the journal holds it for; 0: none
	seq    uint64        // order of sending
	pid    uint16        // packet id, 0 before it is sent and with QoS 0
	qos    byte
	dup    bool
	gone   bool // taken out of its queue
}

// A queue is deliveries in order. Those that are gone are passed over.
type queue struct {
	all  []*delivery
	head int
	live int
}

func (q *queue) push(d *delivery) {
	if q.head > 64 && q.head > len(q.all)/2 {
		n := copy(q.all, q.all[q.head:])
		clear(q.all[n:])
		q.all, q.head = q.all[:n], 0
	}
	q.all = append(q.all, d)
	q.live++
}

// peek returns the first delivery, nil if there is none.
func (q *queue) peek() *delivery {
	for q.head < len(q.all) {
		d := q.all[q.head]
		if !d.gone {
			return d
		}
		q.all[q.head] = nil
		q.head++
	}
	q.all, q.head = nil, 0
	return nil
}

func (q *queue) pop() {
	if q.peek() != nil {
		q.all[q.head] = nil
		q.head++
		q.live--
	}
}

// first returns the oldest delivery that match admits.
func (q *queue) first(match func(*delivery) bool) *delivery {
	for _, d := range q.all[q.head:] {
		if d != nil && !d.gone && match(d) {
			return d
		}
	}
	return nil
}

// take removes and returns, in order, what match admits.
func (q *queue) take(match func(*delivery) bool) (taken []*delivery) {
	rest := queue{}
	for _, d := range q.all[q.head:] {
		switch {
		case d == nil || d.gone:
		case match(d):
			taken = append(taken, d)
		default:
			rest.push(d)
		}
	}
	*q = rest
	return taken
}

// drop takes d out wherever it is.
func (q *queue) drop(d *delivery) {
	d.gone = true
	q.live--
	if len(q.all)-q.head > 2*q.live+64 {
		q.take(func(*delivery) bool { return false })
	}
}

func anyDelivery(*delivery) bool { return true }

// appendPublish encodes d as its subscriber sees it.
func appendPublish(b []byte, id wiotp.ClientID, d *delivery) []byte {
	name := d.m.name
	if id.Class == wiotp.Device {
		name = id.Name(d.m.topic)
	}
	first := publishPacket | d.qos<<1
	if d.dup {
		first |= flagDup
	}
	if d.m.retain {
		first |= flagRetain
	}
	size := 2 + len(name) + len(d.m.payload)
	if d.qos > 0 {
		size += 2
	}
	b = appendHeader(b, first, size)
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	if d.qos > 0 {
		b = binary.BigEndian.AppendUint16(b, d.pid)
	}
	return append(b, d.m.payload...)
}

// First bytes of the packets that we send.
const (
	connectPacket  byte = 0x10
	connackPacket  byte = 0x20
	publishPacket  byte = 0x30
	pubackPacket   byte = 0x40
	pubrecPacket   byte = 0x50
	pubrelPacket   byte = 0x62
	pubcompPacket  byte = 0x70
	subackPacket   byte = 0x90
	unsubackPacket byte = 0xb0
	pingrespPacket byte = 0xd0

	flagRetain byte = 1
	flagDup    byte = 8
)

func appendHeader(b []byte, first byte, size int) []byte {
	return binary.AppendUvarint(append(b, first), uint64(size)) // MQTT's length is a varint of the same form
}

// answer is a packet of nothing but a packet id.
func answer(first byte, pid uint16) []byte { return []byte{first, 2, byte(pid >> 8), byte(pid)} }

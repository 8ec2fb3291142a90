package localplatform

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"legacybridge/publisher/wiotp"
)

var errFarTooLarge = &wiotp.Refusal{Rule: "max_payload", Code: wiotp.TooLarge, Why: "a packet longer than max_payload allows; its content was not read"}

// readPacket reads one packet and takes it apart.
func (c *conn) readPacket(limit int) (pk packets.Packet, err error) {
	first, err := c.r.ReadByte()
	if err != nil {
		return pk, err
	}
	pk.ProtocolVersion = 4
	if err := pk.FixedHeader.Decode(first); err != nil {
		return pk, err
	}
	size, head := 0, 1
	for shift := 0; ; shift += 7 {
		b, err := c.r.ReadByte()
		if err != nil {
			return pk, err
		}
		size |= int(b&0x7f) << shift
		head++
		if b&0x80 == 0 {
			break
		}
		if head == 5 {
			return pk, packets.ErrMalformedVariableByteInteger
		}
	}
	if head+size > limit {
		return pk, errFarTooLarge
	}
	body, err := c.readBody(size)
	if err != nil {
		return pk, err
	}
	c.readBytes.Add(uint64(head + size))
	pk.FixedHeader.Remaining = size
	switch pk.FixedHeader.Type {
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Subscribe:
		err = pk.SubscribeDecode(body)
	case packets.Unsubscribe:
		err = pk.UnsubscribeDecode(body)
	case packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp:
		if size != 2 {
			return pk, errLength
		}
		pk.PacketID = binary.BigEndian.Uint16(body)
	default:
		if size != 0 {
			return pk, errLength
		}
	}
	return pk, err
}

var errLength = errors.New("a packet of the wrong length")

// packetWait is how long a large packet may take to come whole, where no keepalive says so: what has come of it is held.
const packetWait = 5 * time.Minute

var errUnfinished = &wiotp.Refusal{Rule: "keepalive", Code: wiotp.KeepaliveTimeout, Why: "a packet did not come whole within " + packetWait.String()}

// readBody grows with what comes, not with what is announced.
func (c *conn) readBody(size int) ([]byte, error) {
	if size <= readAhead {
		body := make([]byte, size)
		_, err := io.ReadFull(c.r, body)
		return body, err
	}
	if err := c.armFor(packetWait); err != nil {
		return nil, err
	}
	var body bytes.Buffer
	body.Grow(readAhead)
	if n, err := io.CopyN(&body, c.r, int64(size)); err != nil || n < int64(size) {
		if c.keepalive == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, errUnfinished
		}
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return body.Bytes(), nil
}

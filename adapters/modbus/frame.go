package modbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The longest frames there are (Modbus Messaging Implementation Guide V1.0b 4.1.2; over Serial Line V1.02 2.3).
const (
	maxMBAP = 260
	maxRTU  = 256

	mbapHeader = 7
	exception  = 0x80 // set in the function of an exception reply
)

// A question is what a reply must match.
type question struct {
	transaction    uint16 // MBAP only
	unit, function byte
	bytes          int    // the byte count that the request makes
	echo           []byte // of a write: what the reply repeats of the request; nil for a read
}

// questionOf reads back a request from its frame: unit, function, address and quantity or value.
func questionOf(framing Framing, adu []byte) question {
	var q question
	if framing == TCP {
		q.transaction = binary.BigEndian.Uint16(adu)
		adu = adu[mbapHeader-1:]
	}
	q.unit, q.function = adu[0], adu[1]
	if isWrite(q.function) {
		q.echo, q.bytes = adu[2:2+writeReply], writeReply-1
		return q
	}
	quantity := int(binary.BigEndian.Uint16(adu[4:]))
	if q.function <= 2 {
		q.bytes = (quantity + 7) / 8
	} else {
		q.bytes = 2 * quantity
	}
	return q
}

// answers tells whether pdu, function and data, is the answer or the refusal of q.
func (q question) answers(pdu []byte) bool {
	switch pdu[0] {
	case q.function:
		if q.echo != nil {
			return bytes.Equal(pdu[1:], q.echo)
		}
		return len(pdu) == 2+q.bytes && int(pdu[1]) == q.bytes
	case q.function | exception:
		return len(pdu) == 2
	}
	return false
}

// cutMBAP returns the first frame of b, and nothing while it is incomplete. After an error the place of the next frame
// is not known.
func cutMBAP(b []byte) ([]byte, error) {
	if len(b) < mbapHeader {
		return nil, nil
	}
	protocol, length := binary.BigEndian.Uint16(b[2:]), int(binary.BigEndian.Uint16(b[4:]))
	if protocol != 0 || length < 2 || length > maxMBAP-6 {
		return nil, fmt.Errorf("%w: protocol %d, length %d in the header of a reply", errDamaged, protocol, length)
	}
	if len(b) < 6+length {
		return nil, nil
	}
	return b[:6+length], nil
}

// findRTU returns the frame in b that matches q, wherever it begins: noise and foreign frames before it are skipped.
func findRTU(b []byte, q question) (frame []byte, at int) {
	for ; len(b) >= 5; b, at = b[1:], at+1 {
		if b[0] != q.unit {
			continue
		}
		n := 5 // an exception
		if b[1] == q.function {
			n = 5 + q.bytes
		}
		if len(b) >= n && q.answers(b[1:n-2]) && crc(b[:n-2]) == binary.LittleEndian.Uint16(b[n-2:]) {
			return b[:n], at
		}
	}
	return nil, 0
}

// crc is that of Modbus over Serial Line V1.02, 6.2.2.
func crc(b []byte) uint16 {
	sum := uint16(0xFFFF)
	for _, c := range b {
		sum ^= uint16(c)
		for range 8 {
			if sum&1 != 0 {
				sum = sum>>1 ^ 0xA001
			} else {
				sum >>= 1
			}
		}
	}
	return sum
}

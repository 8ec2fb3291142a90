package publisher

import "fmt"

// Packet types of MQTT that a server sends.
const (
	connack  = 2
	publish  = 3
	puback   = 4
	pubrec   = 5
	pubrel   = 6
	pubcomp  = 7
	suback   = 9
	unsuback = 11
	pingresp = 13
)

// foreignError is something that no server of MQTT 3.1.1 sends to us.
type foreignError struct{ why string }

func (e *foreignError) Error() string { return "not MQTT 3.1.1: " + e.why }

// guard follows the packets in what the server sends and refuses what paho would take badly: it makes room for as many
// bytes as a header announces, takes any acknowledgement for any packet, counts on a SUBACK to have as many codes
// as were asked for, and takes an unknown return code in a CONNACK for a login.
type guard struct {
	most [16]int // bytes after the header, by type; 0: the type never comes

	kind, digits int
	body         int // bytes still to come
	at           state
}

type state byte

const (
	inHeader state = iota
	inLength
	inBody
)

// newGuard is for a session that subscribes to that many filters; a packet may have maxPacket bytes.
func newGuard(filters, maxPacket int) guard {
	g := guard{most: [16]int{connack: 2, publish: maxPacket, puback: 2, pubrec: 2, pubrel: 2, pubcomp: 2, pingresp: 0}}
	if filters > 0 {
		g.most[suback] = 2 + filters
	}
	return g
}

func (g *guard) pass(p []byte) error {
	for len(p) > 0 {
		switch g.at {
		case inHeader:
			g.kind, g.body, g.digits, g.at = int(p[0]>>4), 0, 0, inLength
			if g.most[g.kind] == 0 && g.kind != pingresp {
				return &foreignError{fmt.Sprintf("a packet of type %d", g.kind)}
			}
			p = p[1:]
		case inLength:
			g.body |= int(p[0]&0x7f) << (7 * g.digits)
			g.digits++
			if p[0] >= 0x80 {
				if g.digits == 4 {
					return &foreignError{"a length of more than four bytes"}
				}
			} else if err := g.check(); err != nil {
				return err
			}
			p = p[1:]
		case inBody:
			if g.kind == connack && g.body == 1 && p[0] > 5 {
				return &foreignError{fmt.Sprintf("return code %d to the login", p[0])}
			}
			n := 1 // byte by byte through a CONNACK, for its return code is the second
			if g.kind != connack {
				n = min(len(p), g.body)
			}
			g.body -= n
			p = p[n:]
			if g.body == 0 {
				g.at = inHeader
			}
		}
	}
	return nil
}

// check judges the length in a header that is complete.
func (g *guard) check() error {
	short := g.kind == publish || g.kind == suback // the others have one length only
	if g.body > g.most[g.kind] || !short && g.body != g.most[g.kind] || g.kind == suback && g.body < 3 {
		return &foreignError{fmt.Sprintf("a packet of type %d with %d bytes", g.kind, g.body)}
	}
	g.at = inBody
	if g.body == 0 {
		g.at = inHeader
	}
	return nil
}

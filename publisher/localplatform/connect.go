package localplatform

import (
	"encoding/binary"
	"fmt"
	"time"

	"legacybridge/publisher/wiotp"
)

// A login is a CONNECT packet taken apart. It is done here and not by the library because the platform answers where
// the library closes.
type login struct {
	id        string
	protocol  string // as status messages name it
	clean     bool
	keepalive time.Duration
	hasUser   bool
	user      string
	password  []byte
	will      struct {
		set     bool
		topic   string
		payload []byte
		qos     byte
	}
	rights wiotp.Rights // once it was admitted
}

// Bits of the connect flags.
const (
	flagReserved   = 1 << 0
	flagClean      = 1 << 1
	flagWill       = 1 << 2
	flagsWillQoS   = 3 << 3
	flagWillRetain = 1 << 5
	flagPassword   = 1 << 6
	flagUser       = 1 << 7
)

// parseLogin takes raw, a whole packet, apart by the rules of MQTT 3.1 and 3.1.1.
func parseLogin(raw []byte) (*login, error) {
	b := raw[1:]
	for b[0]&0x80 != 0 {
		b = b[1:]
	}
	f := fields{b: b[1:]}
	name := string(f.text())
	level := f.byte()
	flags := f.byte()
	keepalive := f.take(2)
	switch {
	case f.short:
		return nil, badLogin("the packet is too short")
	case name == "MQTT" && level == 5:
		return nil, &wiotp.Refusal{Rule: "version", Code: wiotp.BadData, Connack: refusedLevel5, Why: "MQTT 5 is not spoken here; use MQTT 3.1.1"}
	case name != "MQTT" && name != "MQIsdp":
		return nil, badLogin("the protocol is not MQTT")
	case name == "MQTT" && level != 4, name == "MQIsdp" && level != 3:
		return nil, &wiotp.Refusal{Rule: "version", Code: wiotp.BadData, Connack: wiotp.ConnackVersion, Why: "an unknown version of MQTT; use 3.1.1"}
	case flags&flagReserved != 0:
		return nil, badLogin("a reserved flag is set")
	case flags&flagWill == 0 && flags&(flagsWillQoS|flagWillRetain) != 0, flags&flagsWillQoS == flagsWillQoS:
		return nil, badLogin("the flags of the will contradict each other")
	case flags&flagUser == 0 && flags&flagPassword != 0:
		return nil, badLogin("a password without a user name")
	}
	l := &login{protocol: fmt.Sprintf("mqtt%d", level), clean: flags&flagClean != 0, id: string(f.text()), keepalive: time.Duration(binary.BigEndian.Uint16(keepalive)) * time.Second}
	if flags&flagWill != 0 {
		l.will.set = true
		l.will.topic = string(f.text())
		l.will.payload = f.text()
		l.will.qos = flags & flagsWillQoS >> 3
	}
	if flags&flagUser != 0 {
		l.hasUser = true
		l.user = string(f.text())
	}
	if flags&flagPassword != 0 {
		l.password = f.text()
	}
	if f.short || len(f.b) > 0 {
		return nil, badLogin("the packet is longer or shorter than its fields")
	}
	return l, nil
}

func badLogin(why string) error {
	return &wiotp.Refusal{Rule: "login", Code: wiotp.BadData, Why: "not a valid login: " + why}
}

// fields reads a packet's fields in their order. After one that is not there, short is set and the rest are empty.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if n > len(f.b) {
		f.b, f.short = nil, true
		return nil
	}
	field := f.b[:n]
	f.b = f.b[n:]
	return field
}

func (f *fields) byte() byte {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

// text is a field with its length in front.
func (f *fields) text() []byte {
	n := f.take(2)
	if n == nil {
		return nil
	}
	return f.take(int(binary.BigEndian.Uint16(n)))
}

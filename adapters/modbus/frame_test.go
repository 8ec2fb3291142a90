package modbus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/goburrow/modbus"
)

// Frames of the specifications' own examples.
func TestFramesOfTheSpecificationAreRead(t *testing.T) {
	unhex := func(s string) []byte { b, _ := hex.DecodeString(s); return b }
	// Modbus over Serial Line, 6.2.2 has CRC 0x1241 for 02 07, low byte first on the wire.
	if got := crc(unhex("0207")); got != 0x1241 {
		t.Errorf("crc of 02 07 = %04x, want 1241", got)
	}
	q := question{unit: 0x11, function: 3, bytes: 6}
	reply := unhex("110306ae415652434049ad")
	if got, _ := findRTU(reply, q); !bytes.Equal(got, reply) {
		t.Errorf("got % x, want the whole reply", got)
	}
	for name, b := range map[string][]byte{
		"noise before":       append(unhex("00ff11"), reply...),
		"a foreign frame":    append(sealed(0x12, 3, 6, 1, 2, 3, 4, 5, 6), reply...),
		"another length":     append(sealed(0x11, 3, 2, 1, 2), reply...),
		"another function":   append(sealed(0x11, 4, 6, 1, 2, 3, 4, 5, 6), reply...),
		"a torn one before":  append(reply[:5:5], reply...),
		"a wrong CRC before": append(append(reply[:10:10], 0), reply...),
		"noise behind":       append(slices.Clone(reply), 0xff),
	} {
		if got, _ := findRTU(b, q); !bytes.Equal(got, reply) {
			t.Errorf("%s: got % x, want the reply", name, got)
		}
	}
	for name, b := range map[string][]byte{
		"half":               reply[:10],
		"foreign":            sealed(0x12, 3, 6, 1, 2, 3, 4, 5, 6),
		"foreign exception":  sealed(0x12, 0x83, 2),
		"other's exception":  sealed(0x11, 0x84, 2),
		"byte count lies":    sealed(0x11, 3, 8, 1, 2, 3, 4, 5, 6),
		"one bit is wrong":   append([]byte{0x11, 3, 6, 0xaf}, reply[4:]...),
		"shorter than asked": sealed(0x11, 3, 4, 1, 2, 3, 4),
		"longer than asked":  sealed(0x11, 3, 8, 1, 2, 3, 4, 5, 6, 7, 8),
		"our own request":    sealed(0x11, 3, 0, 0x6b, 0, 3),
		"nothing":            nil,
	} {
		if got, _ := findRTU(b, q); got != nil {
			t.Errorf("%s: got % x, want nothing", name, got)
		}
	}
	if got, _ := findRTU(sealed(0x11, 0x83, 2), q); len(got) != 5 {
		t.Errorf("exception: got % x, want it", got)
	}
}

// sealed appends the CRC.
func sealed(b ...byte) []byte { return binary.LittleEndian.AppendUint16(b, crc(b)) }

func TestMBAPFramesAreCut(t *testing.T) {
	whole := []byte{0, 1, 0, 0, 0, 5, 9, 3, 2, 7, 7}
	if got, err := cutMBAP(append(slices.Clone(whole), 0, 2)); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("got % x, %v, want the first frame", got, err)
	}
	for n := range len(whole) {
		if got, err := cutMBAP(whole[:n]); got != nil || err != nil {
			t.Errorf("%d bytes: got % x, %v, want to wait for more", n, got, err)
		}
	}
	for name, b := range map[string][]byte{
		"protocol":     {0, 1, 0, 1, 0, 5, 9},
		"length 0":     {0, 1, 0, 0, 0, 0, 9},
		"length 1":     {0, 1, 0, 0, 0, 1, 9},
		"length 255":   {0, 1, 0, 0, 0, 255, 9},
		"length 65535": {0, 1, 0, 0, 255, 255, 9},
	} {
		if got, err := cutMBAP(b); got != nil || !errors.Is(err, errDamaged) {
			t.Errorf("%s: got % x, %v, want it refused", name, got, err)
		}
	}
}

// FuzzRTU: whatever comes, only a frame that answers the request is found, and goburrow reads it alike.
func FuzzRTU(f *testing.F) {
	f.Add([]byte{0x11, 3, 6, 0xae, 0x41, 0x56, 0x52, 0x43, 0x40, 0x49, 0xad}, byte(0x11), byte(3), uint16(3))
	f.Add(sealed(1, 0x84, 2), byte(1), byte(4), uint16(1))
	f.Add(sealed(1, 1, 1, 5), byte(1), byte(1), uint16(8))
	f.Add(append([]byte{1, 3, 2}, sealed(1, 3, 2, 1, 2)...), byte(1), byte(3), uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, unit, function byte, count uint16) {
		adu := readRequest(RTU, unit, function, count)
		q := questionOf(RTU, adu)
		got, _ := findRTU(b, q)
		if got == nil {
			return
		}
		want := 5 + q.bytes
		if got[1] == q.function|exception {
			want = 5
		}
		if len(got) != want || len(got) > maxRTU || !bytes.Contains(b, got) || got[0] != unit ||
			got[1] == q.function && int(got[2]) != q.bytes || got[1]&^exception != q.function {
			t.Fatalf("% x answers %+v", got, q)
		}
		p := modbus.NewRTUClientHandler("")
		p.SlaveId = unit
		if err := p.Verify(adu, got); err != nil {
			t.Fatal(err)
		}
		if pdu, err := p.Decode(got); err != nil || pdu.FunctionCode != got[1] {
			t.Fatalf("goburrow reads %+v, %v", pdu, err)
		}
	})
}

// FuzzMBAP: whatever comes, in whatever pieces, only a frame that answers the request is taken.
func FuzzMBAP(f *testing.F) {
	f.Add([]byte{0, 7, 0, 0, 0, 5, 9, 3, 2, 7, 7}, byte(9), byte(3), uint16(1), 3)
	f.Add([]byte{0, 6, 0, 0, 0, 5, 9, 3, 2, 7, 7, 0, 7, 0, 0, 0, 3, 9, 0x83, 2}, byte(9), byte(3), uint16(1), 1)
	f.Add([]byte{0, 7, 0, 0, 0, 255, 9, 3}, byte(9), byte(3), uint16(1), 100)
	f.Fuzz(func(t *testing.T, b []byte, unit, function byte, count uint16, piece int) {
		adu := readRequest(TCP, unit, function, count)
		q := questionOf(TCP, adu)
		w := newWire(&Config{Framing: TCP})
		piece = max(1, min(piece, maxMBAP))
		for came := b; len(came) > 0; {
			n := copy(w.buf[w.n:], came[:min(piece, len(came))])
			if n == 0 {
				t.Fatal("no room for what comes")
			}
			w.n, came = w.n+n, came[n:]
			got, err := w.take(q, adu)
			if err != nil {
				if got != nil || !errors.Is(err, errDamaged) {
					t.Fatalf("got % x, %v", got, err)
				}
				return
			}
			if got == nil {
				continue
			}
			pdu := got[mbapHeader:]
			if !bytes.Contains(b, got) || !bytes.Equal(got[:4], []byte{0, 7, 0, 0}) || got[6] != unit || int(got[5]) != len(pdu)+1 ||
				!(pdu[0] == q.function && len(pdu) == 2+q.bytes && int(pdu[1]) == q.bytes || pdu[0] == q.function|exception && len(pdu) == 2) {
				t.Fatalf("% x answers %+v", got, q)
			}
			p := modbus.NewTCPClientHandler("")
			if err := p.Verify(adu, got); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Decode(got); err != nil {
				t.Fatal(err)
			}
			return
		}
	})
}

// readRequest is a read request with transaction 7, held within what the specification allows.
func readRequest(framing Framing, unit, function byte, count uint16) []byte {
	function = (function-1)%4 + 1
	if count = max(1, min(count, maxBits)); function > 2 {
		count = min(count, maxRegisters)
	}
	adu := binary.BigEndian.AppendUint16([]byte{unit, function, 0, 0}, count)
	if framing == TCP {
		return append([]byte{0, 7, 0, 0, 0, 6}, adu...)
	}
	return sealed(adu...)
}

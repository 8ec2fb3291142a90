package sim_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
	"net"
	"strings"
	"testing"

	"legacybridge/hardware/sim"
)

// meter runs a meter and returns a connection to it.
func meter(t *testing.T, units byte) net.Conn {
	t.Helper()
	m, err := sim.NewMeter("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.Units = units
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	c, err := net.Dial("tcp", m.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v, want nil", err)
		}
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("the connection outlived Run: %v", err)
		}
		c.Close()
	})
	return c
}

// ask sends unit and PDU in hex and returns those of the reply.
func ask(t *testing.T, c net.Conn, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(append([]byte{0x12, 0x34, 0, 0, 0, byte(len(b))}, b...)); err != nil {
		t.Fatal(err)
	}
	var header [6]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(header[:4], []byte{0x12, 0x34, 0, 0}) {
		t.Fatalf("header of the reply % x, want that of the request", header)
	}
	reply := make([]byte, binary.BigEndian.Uint16(header[4:]))
	if _, err := io.ReadFull(c, reply); err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestMeterShowsPlausibleValues(t *testing.T) {
	c := meter(t, 2)
	for _, fc := range []string{"03", "04"} {
		reply := ask(t, c, "02 "+fc+" 0000 004a")
		if len(reply) != 3+2*0x4a || reply[0] != 2 || reply[2] != 2*0x4a {
			t.Fatalf("got % x, want 74 registers", reply)
		}
		for at, span := range map[int][2]float32{0: {225, 235}, 2: {225, 235}, 4: {225, 235}, 6: {3, 21}, 12: {600, 5000}, 70: {49.9, 50.1}, 72: {0, 24000}} {
			v := math.Float32frombits(binary.BigEndian.Uint32(reply[3+2*at:]))
			if !(v >= span[0] && v <= span[1]) {
				t.Errorf("fc %s register %d = %v, want %v", fc, at, v, span)
			}
		}
	}
}

func TestMeterRefusesAsTheStandardSays(t *testing.T) {
	c := meter(t, 1)
	for request, want := range map[string]string{
		"01 05 0000 ff00": "018501", // no such function
		"01 2b 0e 01 00":  "01ab01",
		"01 04 007f 0002": "018402", // ends beyond the table
		"01 03 ffff 0001": "018302",
		"01 01 000f 0002": "018102",
		"01 04 0000 0000": "018403", // quantity
		"01 04 0000 007e": "018403",
		"01 02 0000 07d1": "018203",
		"01 04 0000":      "018403",
		"02 04 0000 0001": "02840b", // no such unit
		"00 04 0000 0001": "00840b",
	} {
		if got := hex.EncodeToString(ask(t, c, request)); got != want {
			t.Errorf("%s: got %s, want %s", request, got, want)
		}
	}
	for _, request := range []string{"01 01 0000 0010", "01 02 0000 0009"} {
		if got := ask(t, c, request); len(got) != 5 || got[2] != 2 {
			t.Errorf("%s: got % x, want two bytes of bits", request, got)
		}
	}
}

func TestMeterHangsUpOnWhatIsNotModbus(t *testing.T) {
	c := meter(t, 1)
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 10)); err == nil {
		t.Errorf("%d bytes of reply, want the end", n)
	}
}

package port

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Mode is how a tty speaks: "9600 8N1", "4800 7E1 xonxoff".
type Mode struct {
	Baud   int
	Bits   int    // 7 or 8
	Parity byte   // 'N', 'E', 'O'
	Stop   int    // 1 or 2
	Flow   string // "", "xonxoff", "rtscts"
}

// What UARTs and USB adapters can do; odd rates between are set through the side descriptor.
const minBaud, maxBaud = 50, 4_000_000

// ParseMode reads "BAUD BITS PARITY STOP [xonxoff|rtscts]" as config.md writes it: "9600 8N1".
func ParseMode(s string) (Mode, error) {
	fields := strings.Fields(s)
	if len(fields) < 2 || len(fields) > 3 {
		return Mode{}, fmt.Errorf(`mode %q: write baud rate, bits, parity and stop bits, as in "9600 8N1" or "4800 7E1 xonxoff"`, s)
	}
	var m Mode
	var err error
	if m.Baud, err = strconv.Atoi(fields[0]); err != nil || m.Baud < minBaud || m.Baud > maxBaud {
		return Mode{}, fmt.Errorf("mode %q: the baud rate is a number from %d to %d, not %q", s, minBaud, maxBaud, fields[0])
	}
	c := fields[1]
	if len(c) != 3 || c[0] != '7' && c[0] != '8' || !strings.Contains("NEO", c[1:2]) || c[2] != '1' && c[2] != '2' {
		return Mode{}, fmt.Errorf(`mode %q: %q is not bits (7, 8), parity (N, E, O) and stop bits (1, 2), as in "8N1"`, s, c)
	}
	m.Bits, m.Parity, m.Stop = int(c[0]-'0'), c[1], int(c[2]-'0')
	if len(fields) == 3 {
		if m.Flow = fields[2]; m.Flow != "xonxoff" && m.Flow != "rtscts" {
			return Mode{}, fmt.Errorf(`mode %q: the flow control is "xonxoff" or "rtscts", not %q`, s, m.Flow)
		}
	}
	return m, nil
}

func (m Mode) String() string {
	s := fmt.Sprintf("%d %d%c%d", m.Baud, m.Bits, m.Parity, m.Stop)
	if m.Flow != "" {
		s += " " + m.Flow
	}
	return s
}

// CharTime is how long one character takes on the wire, with start, parity and stop bits; 0 without a baud rate.
func (m Mode) CharTime() time.Duration {
	if m.Baud <= 0 {
		return 0
	}
	bits := 1 + m.Bits + m.Stop
	if m.Parity == 'E' || m.Parity == 'O' {
		bits++
	}
	return time.Duration(bits) * time.Second / time.Duration(m.Baud)
}

package sim

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"net"
	"sync"
	"time"
)

// Sizes of the tables; a read beyond is exception 2.
const (
	meterRegisters = 128
	meterBits      = 16
)

// A Meter is a Modbus TCP electricity meter whose values drift with the time. It answers FC 1 to 4. Input registers hold
// f32, high word first, where an Eastron SDM630 has them:
//
//	0 2 4  voltage_l1 voltage_l2 voltage_l3 (V)
//	6      current_l1 (A)
//	12     power (W)
//	70     frequency (Hz)
//	72     energy_import (kWh)
//
// Holding registers mirror them; coils and discrete inputs are the lowest bits of the seconds.
type Meter struct {
	Units byte // answers 1 to Units, each with values of its own; others get exception 11. Set it before Run

	listener net.Listener
}

// NewMeter listens on addr, "127.0.0.1:0" for a free port. It answers unit 1.
func NewMeter(addr string) (*Meter, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Meter{Units: 1, listener: l}, nil
}

// Addr is where the meter listens.
func (m *Meter) Addr() string { return m.listener.Addr().String() }

// Run serves until ctx is done.
func (m *Meter) Run(ctx context.Context) error {
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	stop := context.AfterFunc(ctx, func() {
		m.listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			c.Close()
		}
	})
	defer stop()
	var served sync.WaitGroup
	defer served.Wait()
	for {
		c, err := m.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		mu.Lock()
		open[c] = true
		if ctx.Err() != nil {
			c.Close()
		}
		mu.Unlock()
		served.Go(func() {
			m.serve(c)
			c.Close()
			mu.Lock()
			delete(open, c)
			mu.Unlock()
		})
	}
}

// serve answers the requests of one connection until it ends or sends what is not Modbus.
func (m *Meter) serve(c net.Conn) {
	var header [7]byte
	var pdu, reply [260]byte
	for {
		if _, err := io.ReadFull(c, header[:]); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint16(header[4:]))
		if binary.BigEndian.Uint16(header[2:]) != 0 || length < 2 || length > 254 {
			return
		}
		request := pdu[:length-1]
		if _, err := io.ReadFull(c, request); err != nil {
			return
		}
		b := append(reply[:0], header[:]...)
		b = m.answer(b, header[6], request, time.Now())
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-6))
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// answer appends the PDU that answers request.
func (m *Meter) answer(b []byte, unit byte, request []byte, now time.Time) []byte {
	fc := request[0]
	refuse := func(code byte) []byte { return append(b, fc|0x80, code) }
	if unit == 0 || unit > m.Units {
		return refuse(11)
	}
	if fc < 1 || fc > 4 {
		return refuse(1)
	}
	if len(request) != 5 {
		return refuse(3)
	}
	start, count := int(binary.BigEndian.Uint16(request[1:])), int(binary.BigEndian.Uint16(request[3:]))
	limit, size := 125, meterRegisters
	if fc <= 2 {
		limit, size = 2000, meterBits
	}
	if count < 1 || count > limit {
		return refuse(3)
	}
	if start+count > size {
		return refuse(2)
	}
	if fc <= 2 {
		bits := uint32(now.Unix()) >> start & (1<<count - 1)
		b = append(b, fc, byte((count+7)/8))
		for range (count + 7) / 8 {
			b = append(b, byte(bits))
			bits >>= 8
		}
		return b
	}
	registers := meterValues(unit, now)
	b = append(b, fc, byte(2*count))
	for _, r := range registers[start : start+count] {
		b = binary.BigEndian.AppendUint16(b, r)
	}
	return b
}

// meterValues is the whole register table of a unit at a moment.
func meterValues(unit byte, now time.Time) (registers [meterRegisters]uint16) {
	t := float64(now.UnixMilli())/1000 + 37*float64(unit) // units do not move in step
	swing := func(period, by float64) float64 { return by * math.Sin(2*math.Pi*t/period) }
	voltage := func(phase float64) float64 { return 230 + swing(613+phase, 3) + swing(31+phase, 0.6) }
	current := 12 + swing(127, 7) + swing(17, 1.5)
	set := func(at int, v float64) {
		bits := math.Float32bits(float32(v))
		registers[at], registers[at+1] = uint16(bits>>16), uint16(bits)
	}
	set(0, voltage(0))
	set(2, voltage(5))
	set(4, voltage(11))
	set(6, current)
	set(12, voltage(0)*current*0.97)
	set(70, 50+swing(47, 0.03))
	set(72, 2.7*float64(now.Unix()%(365*24*3600))/3600) // 2.7 kW on average since the new year, roughly
	return registers
}

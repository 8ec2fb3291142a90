package modbus_test

import (
	"strconv"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/adapterstest"
	"legacybridge/adapters/modbus"
	"legacybridge/hardware/port"
)

func TestContract(t *testing.T) {
	t.Parallel()
	for text, framing := range map[string]modbus.Framing{"TCP": modbus.TCP, "RTU over TCP": modbus.RTUOverTCP} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			// The meter counts the polls it answers.
			polls := uint32(0)
			s := &station{framing: framing}
			s.answer = func(q asked) []piece {
				n := polls
				polls++
				return now(q.registers(func(address int) uint16 { return uint16(n >> (16 * (1 - address))) }))
			}
			addr := s.listen(t)
			adapterstest.Run(t, adapterstest.Contract{
				Live: true,
				New: func() (adapters.Source, error) {
					return modbus.New(modbus.Config{Link: "plc", Framing: framing, Port: port.Config{TCP: addr}, Timeout: 50 * time.Millisecond,
						Devices: units(1, 5*time.Millisecond, modbus.Point{Name: "n", Type: "u32"})})
				},
				Number: func(r adapters.Reading) (int, bool) {
					if r.Fault != nil || r.Device != "unit-1" || len(r.Values) != 1 {
						return 0, false
					}
					n, err := strconv.Atoi(r.Values[0])
					return n, err == nil
				},
			})
		})
	}
}

func TestWriterContract(t *testing.T) {
	t.Parallel()
	for text, framing := range map[string]modbus.Framing{"TCP": modbus.TCP, "RTU over TCP": modbus.RTUOverTCP} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			d := newDrive(framing)
			addr := d.listen(t)
			adapterstest.RunWriter(t, adapterstest.WriterContract{
				New: func() (adapters.Writer, error) {
					ds := units(1, 20*time.Millisecond, modbus.Point{Name: "speed"})
					ds[0].Commands = []modbus.Command{{Name: "speed"}}
					return modbus.New(modbus.Config{Link: "plc", Framing: framing, Port: port.Config{TCP: addr}, Devices: ds})
				},
				Order: order("speed", "5"), Written: func() int { return len(d.written()) }, Point: "speed",
			})
		})
	}
}

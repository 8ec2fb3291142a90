package modbus

import (
	"context"

	"github.com/goburrow/modbus"
)

// client speaks to one unit over w. ctx is that of the Run that owns w.
func (w *wire) client(ctx context.Context, unit byte) modbus.Client {
	send := transporter(func(adu []byte) ([]byte, error) { return w.exchange(ctx, adu) })
	if w.cfg.Framing == TCP {
		p := modbus.NewTCPClientHandler("")
		p.SlaveId = unit
		return modbus.NewClient2(numbered{p, w}, send)
	}
	p := modbus.NewRTUClientHandler("")
	p.SlaveId = unit
	return modbus.NewClient2(p, send)
}

type transporter func(adu []byte) ([]byte, error)

func (t transporter) Send(adu []byte) ([]byte, error) { return t(adu) }

// numbered takes transaction numbers from the wire, where goburrow would count for each unit.
type numbered struct {
	modbus.Packager
	w *wire
}

func (p numbered) Encode(pdu *modbus.ProtocolDataUnit) ([]byte, error) {
	adu, err := p.Packager.Encode(pdu)
	if err != nil {
		return nil, err
	}
	p.w.transaction++
	adu[0], adu[1] = byte(p.w.transaction>>8), byte(p.w.transaction)
	return adu, nil
}

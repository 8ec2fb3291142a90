package modbus

import (
	"errors"
	"fmt"

	"github.com/goburrow/modbus"
)

// Exception codes (Modbus Application Protocol V1.1b3, 7) that are more than a refusal.
const (
	exceptionBusy        = 6
	exceptionPath        = 0x0A
	exceptionUnreachable = 0x0B
)

func isBusy(err error) bool {
	e, ok := errors.AsType[*modbus.ModbusError](err)
	return ok && e.ExceptionCode == exceptionBusy
}

// silentBehindGateway tells whether a gateway says that the unit did not answer it.
func silentBehindGateway(e *modbus.ModbusError) bool {
	return e.ExceptionCode == exceptionPath || e.ExceptionCode == exceptionUnreachable
}

// meaning says what an exception code means to a technician.
func meaning(code byte) string {
	switch code {
	case 1:
		return "exception 1, it does not know this function (the other register table?)"
	case 2:
		return "exception 2, it has no such registers (address, or counted from 1?)"
	case 3:
		return "exception 3, it does not take this many registers at once (max_read, max_gap)"
	case 4:
		return "exception 4, it has a fault of its own"
	case 5:
		return "exception 5, it has taken the request and needs time"
	case exceptionBusy:
		return "exception 6, it is busy"
	case 7:
		return "exception 7, it cannot do this now"
	case 8:
		return "exception 8, its memory has a parity error"
	case exceptionPath:
		return "exception 10, the gateway has no way to this unit (its configuration)"
	case exceptionUnreachable:
		return "exception 11, the unit does not answer the gateway (wiring, address, or power)"
	}
	return fmt.Sprintf("exception %d, which only its maker explains", code)
}

package modbus

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Limits of one read request in the specification (Modbus Application Protocol V1.1b3, 6.1 to 6.4).
const (
	maxRegisters = 125
	maxBits      = 2000
)

// A request is one read for points that stand next to each other in one table.
type request struct {
	table  Table
	start  int // address on the wire
	count  int // registers, or bits
	points []int

	misses int       // times in a row that it went unanswered
	after  time.Time // not asked before, once it is ignored
	fault  error     // what became of it when it was last asked, nil if it was answered
}

// plan groups points into requests. Points that overlap or are at most maxGap apart (registers, or bits: what lies between
// may not exist) share one, up to maxRead registers or 2000 bits; a point is never split.
func plan(points []Point, maxGap, maxRead int) ([]request, error) {
	order := make([]int, len(points))
	sizes := make([]int, len(points))
	for i, p := range points {
		size, err := p.size()
		if err != nil {
			return nil, err
		}
		if limit := limitOf(p.Table, maxRead); size > limit {
			return nil, fmt.Errorf("point %s: %d registers do not fit into one request of at most %d", p.Name, size, limit)
		}
		if int(p.Address)+size > 1<<16 {
			return nil, fmt.Errorf("point %s: %d registers from address %d end beyond 65535", p.Name, size, p.Address)
		}
		order[i], sizes[i] = i, size
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(points[a].Table, points[b].Table), cmp.Compare(points[a].Address, points[b].Address))
	})
	var requests []request
	for _, i := range order {
		p, end := points[i], int(points[i].Address)+sizes[i]
		if len(requests) > 0 {
			r := &requests[len(requests)-1]
			if p.Table == r.table && int(p.Address) <= r.start+r.count+maxGap && end-r.start <= limitOf(p.Table, maxRead) {
				r.count = max(r.count, end-r.start)
				r.points = append(r.points, i)
				continue
			}
		}
		requests = append(requests, request{table: p.Table, start: int(p.Address), count: sizes[i], points: []int{i}})
	}
	return requests, nil
}

func limitOf(t Table, maxRead int) int {
	if t.bits() {
		return maxBits
	}
	return maxRead
}

func (t Table) bits() bool { return t == Coil || t == Discrete }

// String names what is read, for people: "input registers 70 to 75".
func (r *request) String() string {
	one := [...]string{Holding: "holding register", Input: "input register", Coil: "coil", Discrete: "discrete input"}[r.table]
	if r.count == 1 {
		return fmt.Sprintf("%s %d", one, r.start)
	}
	return fmt.Sprintf("%ss %d to %d", one, r.start, r.start+r.count-1)
}

// raw cuts the bytes of p out of the reply to r.
func (r *request) raw(p *point, reply []byte, bit *[1]byte) []byte {
	at := int(p.Address) - r.start
	if r.table.bits() {
		bit[0] = reply[at/8] >> (at % 8) & 1
		return bit[:]
	}
	return reply[2*at : 2*(at+p.registers)]
}

package localplatform

import (
	"maps"
	"strings"
	"sync"
)

// A registry is the registered devices, and a count for those that are not but had events.
type registry struct {
	known map[Device]struct{}

	mu      sync.Mutex
	unknown map[Device]uint64
	others  uint64
}

// maxStrangers bounds what a publisher with ever new names can make us remember.
const maxStrangers = 1000

func newRegistry(devices []Device) *registry {
	r := &registry{known: make(map[Device]struct{}, len(devices)), unknown: map[Device]uint64{}}
	for _, d := range devices {
		r.known[d] = struct{}{}
	}
	return r
}

func (r *registry) has(d Device) bool {
	_, ok := r.known[d]
	return ok
}

// stranger counts an event for a device that is not registered. It returns true for the first one of a device.
func (r *registry) stranger(d Device) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.unknown[d]
	if !ok && len(r.unknown) >= maxStrangers {
		r.others++
		return false
	}
	if !ok {
		// The names are parts of a packet: keep them, not the packet.
		d = Device{Type: strings.Clone(d.Type), ID: strings.Clone(d.ID)}
	}
	r.unknown[d] = n + 1
	return !ok
}

func (r *registry) strangers() (map[Device]uint64, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.unknown), r.others
}

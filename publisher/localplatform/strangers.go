package localplatform

import (
	"maps"
	"strings"
	"sync"
)

// strangers counts events for devices that are not registered.
type strangers struct {
	mu      sync.Mutex
	unknown map[Device]uint64
	others  uint64
}

// maxStrangers bounds what a publisher with ever new names can make us remember.
const maxStrangers = 1000

// add counts an event for a device that is not registered. It returns true for the first one of a device.
func (s *strangers) add(d Device) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.unknown[d]
	if !ok && len(s.unknown) >= maxStrangers {
		s.others++
		return false
	}
	if !ok {
		// The names are parts of a packet: keep them, not the packet.
		d = Device{Type: strings.Clone(d.Type), ID: strings.Clone(d.ID)}
	}
	s.unknown[d] = n + 1
	return !ok
}

func (s *strangers) counts() (map[Device]uint64, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.unknown), s.others
}

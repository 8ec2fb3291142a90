package localplatform

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Kinds of the registry's records. A body is the JSON of the entry; of a deleted one, its names.
const (
	recordType       byte = 1
	recordTypeGone   byte = 2
	recordDevice     byte = 3
	recordDeviceGone byte = 4
)

// lastRegistryKind bounds the kinds that belong to the registry.
const lastRegistryKind byte = 63

func (r *registry) createType(t *deviceType) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.types[t.ID] != nil {
		return 0, errExists
	}
	if len(r.types) >= maxTypes {
		return 0, fmt.Errorf("%w: it has %d device types", errMax, maxTypes)
	}
	return r.writeType(t)
}

// updateType replaces a type by what change makes of a copy.
func (r *registry) updateType(id string, change func(*deviceType)) (*deviceType, uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.types[id]
	if old == nil {
		return nil, 0, errNoType
	}
	t := *old
	change(&t)
	n, err := r.writeType(&t)
	return &t, n, err
}

func (r *registry) deleteType(id string) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.types[id] == nil {
		return 0, errNoType
	}
	at, _ := slices.BinarySearchFunc(r.order, Device{Type: id}, compareDevices)
	if at < len(r.order) && r.order[at].Type == id {
		return 0, errInUse
	}
	r.dropType(id)
	return r.journal.write(recordTypeGone, encoded(deviceType{ID: id})), nil
}

func (r *registry) createDevice(d *device) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.types[d.Type] == nil:
		return 0, errNoType
	case r.devices[d.key()] != nil:
		return 0, errExists
	case len(r.devices) >= maxDevices:
		return 0, fmt.Errorf("%w: it has %d devices", errMax, maxDevices)
	}
	return r.writeDevice(d)
}

func (r *registry) updateDevice(key Device, change func(*device)) (*device, uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.devices[key]
	switch {
	case old == nil && r.types[key.Type] == nil:
		return nil, 0, errNoType
	case old == nil:
		return nil, 0, errNoDevice
	}
	d := *old
	change(&d)
	n, err := r.writeDevice(&d)
	return &d, n, err
}

func (r *registry) deleteDevice(key Device) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.types[key.Type] == nil:
		return 0, errNoType
	case r.devices[key] == nil:
		return 0, errNoDevice
	}
	r.dropDevice(key)
	return r.journal.write(recordDeviceGone, encoded(device{Type: key.Type, ID: key.ID})), nil
}

// The rest runs with r.mu held, or before the platform serves.

func (r *registry) writeType(t *deviceType) (uint64, error) {
	body := encoded(t)
	if r.size+len(body) > maxRegistrySize {
		return 0, fmt.Errorf("%w: it holds %d MiB", errMax, maxRegistrySize>>20)
	}
	t.size = len(body)
	r.setType(t)
	return r.journal.write(recordType, body), nil
}

func (r *registry) writeDevice(d *device) (uint64, error) {
	body := encoded(d)
	if r.size+len(body) > maxRegistrySize {
		return 0, fmt.Errorf("%w: it holds %d MiB", errMax, maxRegistrySize>>20)
	}
	d.size = len(body)
	r.setDevice(d)
	return r.journal.write(recordDevice, body), nil
}

func (r *registry) setType(t *deviceType) {
	r.dropType(t.ID)
	r.types[t.ID] = t
	r.size += t.size
}

func (r *registry) dropType(id string) {
	if t := r.types[id]; t != nil {
		r.size -= t.size
		delete(r.types, id)
	}
}

func (r *registry) setDevice(d *device) {
	key := d.key()
	if old := r.devices[key]; old != nil {
		r.size -= old.size
	} else {
		at, _ := slices.BinarySearchFunc(r.order, key, compareDevices)
		r.order = slices.Insert(r.order, at, key)
	}
	r.devices[key] = d
	r.size += d.size
}

func (r *registry) dropDevice(key Device) {
	d := r.devices[key]
	if d == nil {
		return
	}
	r.size -= d.size
	delete(r.devices, key)
	at, _ := slices.BinarySearchFunc(r.order, key, compareDevices)
	r.order = slices.Delete(r.order, at, at+1)
}

// snapshot emits every entry, for the journal's compact. Entries never change, so they are written without the lock:
// every event that is published asks the registry.
func (r *registry) snapshot(emit func(kind byte, body []byte)) {
	r.mu.RLock()
	types := slices.Collect(maps.Values(r.types))
	devices := slices.Collect(maps.Values(r.devices))
	r.mu.RUnlock()
	for _, t := range types {
		emit(recordType, encoded(t))
	}
	for _, d := range devices {
		emit(recordDevice, encoded(d))
	}
}

// replay does again what a record says. A record that it does not know was written by a later version: going on would
// lose it at the next snapshot.
func (r *registry) replay(kind byte, body []byte) error {
	switch kind {
	case recordType, recordTypeGone:
		t := &deviceType{size: len(body)}
		if err := json.Unmarshal(body, t); err != nil {
			return fmt.Errorf("a device type cannot be read: %w", err)
		}
		if kind == recordType {
			r.setType(t)
		} else {
			r.dropType(t.ID)
		}
	case recordDevice, recordDeviceGone:
		d := &device{size: len(body)}
		if err := json.Unmarshal(body, d); err != nil {
			return fmt.Errorf("a device cannot be read: %w", err)
		}
		if kind == recordDevice {
			r.setDevice(d)
		} else {
			r.dropDevice(d.key())
		}
	default:
		return fmt.Errorf("a record of kind %d, which this version does not know: start the version that wrote it", kind)
	}
	return nil
}

// encoded is v as JSON. All that can go in was checked before.
func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

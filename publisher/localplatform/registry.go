package localplatform

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A registry is the device types and devices that the platform knows, kept in the journal, and a count for those that
// it does not know but had events. Entries are never changed, only replaced: what a method returns may be read freely.
type registry struct {
	journal *journal // set once it has been replayed

	mu      sync.RWMutex
	types   map[string]*deviceType
	devices map[Device]*device
	order   []Device // of all devices, sorted
	size    int      // bytes of all entries in the journal

	strange strangers
}

// A deviceType is what devices have in common. Its JSON is what the journal holds.
type deviceType struct {
	ID          string          `json:"id"`
	Description string          `json:"description,omitempty"`
	Class       string          `json:"classId"`
	Info        *deviceInfo     `json:"deviceInfo,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated"`

	size int
}

// Classes of device types.
const (
	classDevice  = "Device"
	classGateway = "Gateway"
)

// A device is a registered device or gateway. Its JSON is what the journal holds; of the token that is a hash.
type device struct {
	Type       string          `json:"typeId"`
	ID         string          `json:"deviceId"`
	Salt       []byte          `json:"salt,omitempty"`
	Hash       []byte          `json:"hash,omitempty"` // empty: no token, so it cannot log in itself
	Info       deviceInfo      `json:"deviceInfo,omitzero"`
	Location   json.RawMessage `json:"location,omitempty"`
	Metadata   json.RawMessage `json:"metadata,omitempty"`
	Status     json.RawMessage `json:"status,omitempty"`
	Extensions json.RawMessage `json:"extensions,omitempty"`
	By         string          `json:"by,omitempty"` // API key or client id that registered it; "": the configuration
	Registered time.Time       `json:"registered"`

	size int
}

// deviceInfo has the fields that the platform allows, all free text.
type deviceInfo struct {
	SerialNumber        string `json:"serialNumber"`
	Manufacturer        string `json:"manufacturer"`
	Model               string `json:"model"`
	DeviceClass         string `json:"deviceClass"`
	Description         string `json:"description"`
	FwVersion           string `json:"fwVersion"`
	HwVersion           string `json:"hwVersion"`
	DescriptiveLocation string `json:"descriptiveLocation"`
}

func (d *device) key() Device { return Device{Type: d.Type, ID: d.ID} }

// setToken keeps a salted digest. Tokens are random, or chosen with at least 8 characters by whoever may read this
// folder anyway: a slow hash would only slow down our own logins.
func (d *device) setToken(token string) {
	d.Salt = make([]byte, 16)
	_, _ = rand.Read(d.Salt) // it never fails
	d.Hash = tokenHash(d.Salt, token)
}

func tokenHash(salt []byte, token string) []byte {
	h := sha256.New()
	h.Write(salt)
	h.Write([]byte(token))
	return h.Sum(nil)
}

// Bounds on what clients can make the platform hold.
const (
	maxTypes        = 1000
	maxDevices      = 100_000
	maxRegistrySize = 64 << 20 // bytes in the journal
)

var (
	errNoType   = errors.New("the device type does not exist")
	errNoDevice = errors.New("the device does not exist")
	errExists   = errors.New("it exists already")
	errInUse    = errors.New("the device type still has devices")
	errMax      = errors.New("the registry is full")
)

func newRegistry() *registry {
	return &registry{types: map[string]*deviceType{}, devices: map[Device]*device{}, strange: strangers{unknown: map[Device]uint64{}}}
}

// configure registers what the configuration names and the registry does not have.
func (r *registry) configure(devices []Device) error {
	for _, d := range devices {
		if _, err := r.adopt(d.Type, d.ID, ""); err != nil {
			return err
		}
	}
	return nil
}

// adopt registers a device that nobody described, and its type if need be: those of the configuration, and what a
// gateway speaks for. It returns the number to wait for; 0 if there was nothing to do.
func (r *registry) adopt(typ, id, by string) (n uint64, err error) {
	if r.has(typ, id) {
		return 0, nil
	}
	now := time.Now().UTC()
	typ, id = strings.Clone(typ), strings.Clone(id) // they may be parts of a packet
	if _, err := r.createType(&deviceType{ID: typ, Class: classDevice, Created: now, Updated: now}); err != nil && !errors.Is(err, errExists) {
		return 0, err
	}
	n, err = r.createDevice(&device{Type: typ, ID: id, By: by, Registered: now})
	if errors.Is(err, errExists) {
		return 0, nil
	}
	return n, err
}

func (r *registry) has(typ, id string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.devices[Device{Type: typ, ID: id}]
	return ok
}

// isGateway says whether devices of typ log in as g:, not as d:.
func (r *registry) isGateway(typ string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.types[typ]
	return t != nil && t.Class == classGateway
}

// deviceToken says whether token is that of a registered device or gateway. It takes the same time if there is none.
func (r *registry) deviceToken(typ, id, token string) bool {
	r.mu.RLock()
	d := r.devices[Device{Type: typ, ID: id}]
	r.mu.RUnlock()
	salt, want := make([]byte, 16), make([]byte, sha256.Size)
	known := d != nil && len(d.Hash) == sha256.Size
	if known {
		salt, want = d.Salt, d.Hash
	}
	return subtle.ConstantTimeCompare(tokenHash(salt, token), want) == 1 && known
}

func (r *registry) deviceType(id string) (*deviceType, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if t := r.types[id]; t != nil {
		return t, nil
	}
	return nil, errNoType
}

// device tells a missing type from a missing device.
func (r *registry) device(d Device) (*device, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if found := r.devices[d]; found != nil {
		return found, nil
	}
	if r.types[d.Type] == nil {
		return nil, errNoType
	}
	return nil, errNoDevice
}

// listTypes returns up to limit types with ids above after that show admits, and how many it admits in all.
func (r *registry) listTypes(after string, limit int, show func(*deviceType) bool) (page []*deviceType, more bool, total int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(r.types)) {
		t := r.types[id]
		if !show(t) {
			continue
		}
		total++
		switch {
		case id <= after:
		case len(page) < limit:
			page = append(page, t)
		default:
			more = true
		}
	}
	return page, more, total
}

// listDevices does the same for devices; with a type, of that type.
func (r *registry) listDevices(typ string, after Device, limit int, show func(Device) bool) (page []*device, more bool, total int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	from := 0
	if typ != "" {
		from, _ = slices.BinarySearchFunc(r.order, Device{Type: typ}, compareDevices)
	}
	for _, d := range r.order[from:] {
		if typ != "" && d.Type != typ {
			break
		}
		if !show(d) {
			continue
		}
		total++
		switch {
		case compareDevices(d, after) <= 0:
		case len(page) < limit:
			page = append(page, r.devices[d])
		default:
			more = true
		}
	}
	return page, more, total
}

func compareDevices(a, b Device) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
}

package localplatform

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/wiotp"
)

func emptyPlatform() *Platform {
	log := slog.New(slog.DiscardHandler)
	return &Platform{log: log, hub: newHub(log, 1, func(who, int) {}), acker: newAcker()}
}

// openTestRegistry is a platform of which only store and registry are used.
func openTestRegistry(t *testing.T, dir string, devices ...Device) *Platform {
	t.Helper()
	p := emptyPlatform()
	if err := p.load(dir, devices); err != nil {
		t.Fatal(err)
	}
	return p
}

func newDevice(typ, id, token string) *device {
	d := &device{Type: typ, ID: id, Registered: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
	if token != "" {
		d.setToken(token)
	}
	return d
}

// must is for changes of the registry that succeed.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRegistrySurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	p := openTestRegistry(t, dir, Device{Type: "kiln", ID: "K-1"})
	r := p.registry
	_, err := r.createType(&deviceType{ID: "gw", Class: classGateway, Description: "an edge box"})
	must(t, err)
	for i := range 5 {
		_, err := r.createDevice(newDevice("gw", fmt.Sprintf("g%d", i), "secret-token"))
		must(t, err)
	}
	_, _, err = r.updateDevice(Device{Type: "gw", ID: "g1"}, func(d *device) { d.Info.Model = "M1" })
	must(t, err)
	_, err = r.deleteDevice(Device{Type: "gw", ID: "g2"})
	must(t, err)
	_, err = r.createType(&deviceType{ID: "gone", Class: classDevice})
	must(t, err)
	_, err = r.deleteType("gone")
	must(t, err)
	want := state(r)
	must(t, p.journal.Close())

	for _, compacted := range []bool{false, true} {
		p = openTestRegistry(t, dir)
		r = p.registry
		if got := state(r); !slices.Equal(got, want) {
			t.Errorf("compacted %v: got %v, want %v", compacted, got, want)
		}
		if !r.deviceToken("gw", "g1", "secret-token") || r.deviceToken("gw", "g1", "secret-tokem") || r.deviceToken("gw", "g2", "secret-token") {
			t.Errorf("compacted %v: tokens are not as they were", compacted)
		}
		if !r.isGateway("gw") || r.isGateway("kiln") || r.isGateway("gone") {
			t.Errorf("compacted %v: classes are not as they were", compacted)
		}
		if r.size <= 0 || r.size > 3000 {
			t.Errorf("compacted %v: got a size of %d", compacted, r.size)
		}
		must(t, p.journal.compact(r.snapshot))
		must(t, p.journal.Close())
	}
	text, err := os.ReadFile(p.journal.path())
	must(t, err)
	if strings.Contains(string(text), "secret-token") {
		t.Error("a token lies in the store in plain text")
	}
}

// state is everything in the registry, in order.
func state(r *registry) []string {
	var all []string
	r.snapshot(func(kind byte, body []byte) { all = append(all, fmt.Sprintf("%d %s", kind, body)) })
	slices.Sort(all)
	if !slices.IsSortedFunc(r.order, compareDevices) || len(r.order) != len(r.devices) {
		all = append(all, "out of order")
	}
	return all
}

func TestRegistryTellsWhatIsMissing(t *testing.T) {
	p := openTestRegistry(t, "", Device{Type: "kiln", ID: "K-1"})
	r := p.registry
	remove := func(d Device) error { _, err := r.deleteDevice(d); return err }
	update := func(d Device) error { _, _, err := r.updateDevice(d, func(*device) { t.Error("changed") }); return err }
	get := func(d Device) error { _, err := r.device(d); return err }
	for _, do := range []func(Device) error{remove, update, get} {
		if err := do(Device{Type: "kiln", ID: "K-2"}); !errors.Is(err, errNoDevice) {
			t.Errorf("got %v, want the device missing", err)
		}
		if err := do(Device{Type: "oven", ID: "K-1"}); !errors.Is(err, errNoType) {
			t.Errorf("got %v, want the type missing", err)
		}
	}
	if _, err := r.createDevice(newDevice("oven", "K-1", "")); !errors.Is(err, errNoType) {
		t.Errorf("got %v, want the type missing", err)
	}
	if _, err := r.createDevice(newDevice("kiln", "K-1", "")); !errors.Is(err, errExists) {
		t.Errorf("got %v, want that it exists", err)
	}
	if _, err := r.deleteType("kiln"); !errors.Is(err, errInUse) {
		t.Errorf("got %v, want that it is in use", err)
	}
	if r.deviceToken("kiln", "K-1", "") {
		t.Error("a device without a token was let in")
	}
}

func TestGatewaysDevicesAreRegisteredOnce(t *testing.T) {
	p := openTestRegistry(t, t.TempDir())
	n, err := p.registry.adopt("pump", "P-1", "g:legacy:gw:g1")
	if err != nil || n == 0 || !p.registry.has("pump", "P-1") {
		t.Errorf("got %d, %v, want it registered", n, err)
	}
	waitFor(t, p.journal, n)
	if n, err := p.registry.adopt("pump", "P-1", "g:legacy:gw:g1"); n != 0 || err != nil {
		t.Errorf("got %d, %v, want nothing to wait for", n, err)
	}
	must(t, p.journal.Close())
}

func TestFullRegistryTakesNoMore(t *testing.T) {
	p := openTestRegistry(t, "")
	for i := range maxTypes {
		_, err := p.registry.createType(&deviceType{ID: fmt.Sprint(i), Class: classDevice})
		must(t, err)
	}
	if _, err := p.registry.createType(&deviceType{ID: "more"}); !errors.Is(err, errMax) {
		t.Errorf("got %v, want it full", err)
	}
	p.registry.size = maxRegistrySize
	if _, err := p.registry.createDevice(newDevice("1", "x", "")); !errors.Is(err, errMax) {
		t.Errorf("got %v, want it full", err)
	}
}

func TestRecordOfALaterVersionRefusesTheStore(t *testing.T) {
	dir := t.TempDir()
	p := openTestRegistry(t, dir)
	p.journal.write(lastRegistryKind, []byte("{}"))
	must(t, p.journal.Close())
	p = emptyPlatform()
	if err := p.load(dir, nil); err == nil || !strings.Contains(err.Error(), "start the version that wrote it") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestUsersHaveTheirRoleAndDevices(t *testing.T) {
	group := wiotp.Group{{Type: "kiln", ID: "*"}}
	p := &Platform{users: newUsers(map[string]User{
		"a-legacy-1": {Token: "one"},
		"a-legacy-2": {Token: "two", Role: wiotp.Visualization, Group: group},
	}, "a-legacy-1", "one")}
	if u, ok := p.login("a-legacy-2", "two"); !ok || u.role != wiotp.Visualization || len(u.group) != 1 {
		t.Errorf("got %v, %v", u, ok)
	}
	if u, ok := p.login("a-legacy-1", "one"); !ok || u.role != wiotp.Standard || u.group != nil {
		t.Errorf("got %v, %v", u, ok)
	}
	for _, c := range [][2]string{{"a-legacy-1", "two"}, {"a-legacy-3", "one"}, {"", ""}, {"a-legacy-1", ""}} {
		if u, ok := p.login(c[0], c[1]); ok || u.role != 0 || u.group != nil {
			t.Errorf("%v: got %v, %v, want nobody let in", c, u, ok)
		}
	}
}

package localplatform

import (
	"bytes"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"legacybridge/publisher/wiotp"
)

// Whatever is wrong about a login, the token is hashed and compared: with tokens so long that this takes all the time,
// an answer without it would be out at once.
func TestWrongLoginsTakeTheSameWay(t *testing.T) {
	p := &Platform{org: "legacy", registry: newRegistry(), slow: newSlowdown()}
	p.users = newUsers(map[string]User{"a-legacy-k": {Token: "good-token"}}, "", "")
	p.registry.types["kiln"] = &deviceType{ID: "kiln", Class: classDevice}
	for _, id := range []string{"K-1", "K-2"} {
		d := &device{Type: "kiln", ID: id}
		if id == "K-2" {
			d.setToken("good-token-of-K-2")
		}
		p.registry.devices[d.key()] = d
	}
	long := bytes.Repeat([]byte("x"), 4<<20)
	app := wiotp.ClientID{Class: wiotp.Application, Org: "legacy", App: "x"}
	of := func(typ, id string) wiotp.ClientID {
		return wiotp.ClientID{Class: wiotp.Device, Org: "legacy", Type: typ, ID: id}
	}
	took := map[string]time.Duration{}
	for name, c := range map[string]struct {
		id   wiotp.ClientID
		user string
	}{
		"wrong token":                {app, "a-legacy-k"},
		"unknown key":                {app, "a-legacy-nobody"},
		"empty key":                  {app, ""},
		"device, wrong token":        {of("kiln", "K-2"), wiotp.UseTokenAuth},
		"device without token":       {of("kiln", "K-1"), wiotp.UseTokenAuth},
		"device not registered":      {of("kiln", "K-9"), wiotp.UseTokenAuth},
		"type not registered":        {of("meter", "M-1"), wiotp.UseTokenAuth},
		"device, wrong user name":    {of("kiln", "K-2"), "a-legacy-k"},
		"no device, wrong user name": {of("kiln", "K-9"), "a-legacy-k"},
	} {
		least := time.Hour
		for range 5 { // the quickest: the machine does other things, too
			l := &login{hasUser: true, user: c.user, password: long, rights: wiotp.Rights{ID: c.id}}
			began := time.Now()
			if err := p.authenticate(&conn{}, l); err == nil {
				t.Fatalf("%s: got in", name)
			}
			least = min(least, time.Since(began))
		}
		took[name] = least
	}
	slowest := time.Duration(0)
	for _, d := range took {
		slowest = max(slowest, d)
	}
	for name, d := range took {
		if d < slowest/5 {
			t.Errorf("%s: got an answer after %v, others take %v", name, d, slowest)
		}
	}
}

// Devices that are registered, connect and are removed, over and over, leave a bounded number of last statuses.
func TestStatusOfRemovedDevicesIsBounded(t *testing.T) {
	h := newHub(slog.New(slog.DiscardHandler), 1, func(who, int) {})
	connected := wiotp.ClientID{Type: "kiln", ID: "K-1"}
	h.keepStatus(&h.quick, connected, &deviceStatus{connected: true})
	for i := range maxDevices + 10 {
		h.keepStatus(&h.quick, wiotp.ClientID{Type: "bomb", ID: strconv.Itoa(i)}, &deviceStatus{})
	}
	if n := len(h.quick.devices); n != maxDevices || h.quick.devices[Device{"kiln", "K-1"}] == nil || h.quick.devices[Device{"bomb", strconv.Itoa(maxDevices + 9)}] == nil {
		t.Errorf("got %d, want %d with the connected and the newest", n, maxDevices)
	}
}

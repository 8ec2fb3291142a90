package localplatform_test

import (
	"fmt"
	"strings"
	"testing"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestP47LoginsAndRoles(t *testing.T) {
	group := wiotp.Group{{Type: "kiln", ID: "K-*"}, {Type: "oven", ID: "*"}}
	s := start(t, func(cfg *localplatform.Config) {
		cfg.Users = map[string]localplatform.User{"a-legacy-std": {Token: "t"}, "a-legacy-few": {Token: "t", Group: group}}
		for _, name := range wiotp.RoleNames() {
			role, _ := wiotp.ParseRole(name)
			cfg.Users["a-legacy-"+name] = localplatform.User{Token: "t", Role: role}
		}
		cfg.Devices = append(cfg.Devices, localplatform.Device{Type: "kiln", ID: "X-1"})
	})
	r := restOf(t, s)
	for _, c := range [][2]string{{"", ""}, {"a-legacy-std", "wrong"}, {"a-legacy-none", "t"}, {"a-other-std", "t"}, {"use-token-auth", "t"}} {
		status, h, _ := r.as(c[0], c[1]).raw("GET", "device/types", nil)
		if status != 401 || h.Get("WWW-Authenticate") == "" {
			t.Errorf("%v: got %d, want 401 with a challenge", c, status)
		}
	}
	r.as("a/legacy/std", "t").want(200, "GET", "device/types", nil) // the older form

	calls := []struct {
		method, path string
		body         any
		good         int
		roles        string
	}{
		{"GET", "device/types", nil, 200, "standard operations backend processor"},
		{"GET", "bulk/devices", nil, 200, "standard operations backend processor visualization"},
		{"GET", "device/types/kiln/devices/K-1", nil, 200, "standard operations backend processor visualization"},
		{"GET", "logs/connection?typeId=kiln&deviceId=K-1", nil, 200, "standard operations backend"},
		{"PUT", "device/types/kiln", object{}, 200, "standard operations backend"},
		{"PUT", "device/types/kiln/devices/K-1", object{}, 200, "standard operations backend"},
		{"POST", "bulk/devices/remove", []object{{"typeId": "none", "deviceId": "none"}}, 202, "standard operations backend"},
		{"GET", "device/types/kiln/devices/K-1/events", nil, 404, "standard operations backend processor visualization device"},
	}
	for _, name := range wiotp.RoleNames() {
		u := r.as("a-legacy-"+name, "t")
		for _, c := range calls {
			want := 403
			if strings.Contains(" "+c.roles+" ", " "+name+" ") {
				want = c.good
			}
			u.want(want, c.method, c.path, c.body)
		}
	}

	few := r.as("a-legacy-few", "t")
	few.want(200, "GET", "device/types/kiln/devices/K-1", nil)
	few.want(403, "GET", "device/types/kiln/devices/X-1", nil)
	few.want(403, "DELETE", "device/types/kiln/devices/X-1", nil)
	few.want(403, "POST", "device/types/kiln/devices", object{"deviceId": "X-2"})
	few.want(201, "POST", "device/types/kiln/devices", object{"deviceId": "K-2"})
	few.want(201, "POST", "device/types", object{"id": "oven"})
	few.want(403, "PUT", "device/types/kiln", object{"description": "mine"})
	few.want(403, "POST", "device/types", object{"id": "pump"})
	few.want(403, "GET", "logs/connection?typeId=kiln&deviceId=X-1", nil)
	wantAt(t, few.want(200, "GET", "bulk/devices", nil), "meta.total_rows", 2.0)
	wantAt(t, few.want(202, "POST", "bulk/devices/remove", []object{{"typeId": "kiln", "deviceId": "X-1"}}), "0.success", false)
	r.want(200, "GET", "device/types/kiln/devices/X-1", nil)

	if status, _ := r.with("Origin", "http://evil.example").do("GET", "device/types", nil); status != 403 {
		t.Errorf("got %d for a page of another host, want 403", status)
	}
	for _, rec := range s.log.find() {
		if strings.Contains(fmt.Sprint(rec), "wrong\"") {
			t.Errorf("a token is in the log: %v", rec)
		}
	}
}

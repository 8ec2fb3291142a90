package localplatform_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A rest is a client of the HTTP interface.
type rest struct {
	t          *testing.T
	base       string
	user, pass string
	header     map[string]string
	http       *http.Client
}

func restOf(t *testing.T, s *site) *rest {
	t.Helper()
	key, token := s.Key()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &rest{t: t, base: "http://" + s.Addr().String() + "/api/v0002/", user: key, pass: token.Reveal(),
		http: &http.Client{Transport: tr, Timeout: patience}}
}

// as is the same client with other credentials; each has connections of its own.
func (r *rest) as(user, pass string) *rest {
	other := *r
	tr := &http.Transport{}
	r.t.Cleanup(tr.CloseIdleConnections)
	other.user, other.pass, other.http = user, pass, &http.Client{Transport: tr, Timeout: patience}
	return &other
}

func (r *rest) with(name, value string) *rest {
	other := *r
	other.header = map[string]string{name: value}
	return &other
}

// do makes one request and returns the status and the body's JSON, nil if there is none.
func (r *rest) do(method, path string, body any) (int, any) {
	r.t.Helper()
	status, _, text := r.raw(method, path, body)
	if len(text) == 0 {
		return status, nil
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		r.t.Fatalf("%s %s: got %q, want JSON", method, path, text)
	}
	return status, v
}

func (r *rest) raw(method, path string, body any) (int, http.Header, []byte) {
	r.t.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			r.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, bytes.NewReader(text))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if r.user != "" {
		req.SetBasicAuth(r.user, r.pass)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, got
}

// want makes a request that must have this status, and returns its reply.
func (r *rest) want(status int, method, path string, body any) any {
	r.t.Helper()
	got, reply := r.do(method, path, body)
	if got != status {
		r.t.Fatalf("%s %s: got %d %v, want %d", method, path, got, reply, status)
	}
	return reply
}

type object = map[string]any

// at finds a value inside of JSON: at(v, "meta.total_rows"), at(v, "0.success").
func at(v any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func wantAt(t *testing.T, v any, path string, want any) {
	t.Helper()
	if got := at(v, path); got != want {
		t.Errorf("%s: got %v, want %v, in %v", path, got, want, v)
	}
}

func TestP44TypesAndDevices(t *testing.T) {
	dir := t.TempDir()
	s := start(t, stored(dir))
	r := restOf(t, s)

	v := r.want(404, "GET", "device/types/pump", nil)
	if m, _ := at(v, "message").(string); !strings.Contains(m, "device type pump") {
		t.Errorf("got %q, want the type named", m)
	}
	r.want(404, "GET", "device/types/pump/devices", nil)
	v = r.want(404, "GET", "device/types/pump/devices/p-01", nil)
	if m, _ := at(v, "message").(string); !strings.Contains(m, "device type pump") {
		t.Errorf("got %q, want the type named", m)
	}
	r.want(404, "POST", "device/types/pump/devices", object{"deviceId": "p-01"})

	v = r.want(201, "POST", "device/types", object{"id": "pump", "description": "a pump", "metadata": object{"bridged": true}})
	wantAt(t, v, "id", "pump")
	wantAt(t, v, "classId", "Device")
	v = r.want(409, "POST", "device/types", object{"id": "pump"})
	wantAt(t, v, "exception.id", "CUDRS0020E")
	v = r.want(200, "PUT", "device/types/pump", object{"description": "another pump", "deviceInfo": object{"model": "P9"}})
	wantAt(t, v, "description", "another pump")
	wantAt(t, v, "metadata.bridged", true)
	wantAt(t, r.want(200, "GET", "device/types/pump", nil), "deviceInfo.model", "P9")

	v = r.want(404, "GET", "device/types/pump/devices/p-01", nil)
	if m, _ := at(v, "message").(string); !strings.Contains(m, "device p-01 of type pump") {
		t.Errorf("got %q, want the device named", m)
	}
	v = r.want(201, "POST", "device/types/pump/devices", object{"deviceId": "p-01", "deviceInfo": object{"serialNumber": "4711"}, "metadata": object{"a": 1}})
	token, _ := at(v, "authToken").(string)
	if len(token) < 18 {
		t.Errorf("got token %q, want one", token)
	}
	v = r.want(409, "POST", "device/types/pump/devices", object{"deviceId": "p-01"})
	wantAt(t, v, "exception.id", "CUDRS0020E")
	if m, _ := at(v, "message").(string); !strings.HasPrefix(m, "CUDRS0020E: ") {
		t.Errorf("got %q, want the id in front", m)
	}
	v = r.want(200, "GET", "device/types/pump/devices/p-01", nil)
	wantAt(t, v, "clientId", "d:legacy:pump:p-01")
	wantAt(t, v, "deviceInfo.serialNumber", "4711")
	wantAt(t, v, "deviceInfo.fwVersion", "")
	wantAt(t, v, "metadata.a", 1.0)
	wantAt(t, v, "authToken", nil)
	wantAt(t, v, "registration.auth.id", r.user)
	wantAt(t, v, "status.alert.enabled", false)
	wantAt(t, v, "refs.location", "/api/v0002/device/types/pump/devices/p-01/location")
	v = r.want(200, "PUT", "device/types/pump/devices/p-01", object{"metadata": object{"b": 2}})
	wantAt(t, v, "deviceInfo.serialNumber", "4711")
	wantAt(t, v, "metadata.b", 2.0)
	r.want(404, "GET", "device/types/pump/devices/p-01/location", nil)
	r.want(200, "PUT", "device/types/pump/devices/p-01/location", object{"longitude": 8.1, "latitude": 50})
	wantAt(t, r.want(200, "GET", "device/types/pump/devices/p-01/location", nil), "latitude", 50.0)
	r.want(404, "PUT", "device/types/pump/devices/p-02", object{"metadata": object{}})
	r.want(404, "GET", "device/types/pump/devices/p-01/events", nil)
	r.want(404, "GET", "device/types/pump/devices/p-01/events/e", nil)

	// The token lets the device in, and what was answered survives.
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, stored(dir))
	r = restOf(t, s)
	d := dial(t, s)
	d.send(connect{id: "d:legacy:pump:p-01", user: "use-token-auth", password: token}.bytes())
	d.want(0x20, 2, 0, 0)
	v = r.want(200, "GET", "logs/connection?typeId=pump&deviceId=p-01", nil)
	if m, _ := at(v, "0.message").(string); !strings.HasPrefix(m, "connected") {
		t.Errorf("got log %v, want the connection", v)
	}
	r.want(409, "DELETE", "device/types/pump", nil)
	r.want(204, "DELETE", "device/types/pump/devices/p-01", nil)
	if _, _, err := d.next(); err == nil {
		t.Error("got a packet, want a removed device's connection closed")
	}
	r.want(404, "DELETE", "device/types/pump/devices/p-01", nil)
	r.want(404, "GET", "logs/connection?typeId=pump&deviceId=p-01", nil)
	r.want(204, "DELETE", "device/types/pump", nil)
	r.want(404, "DELETE", "device/types/pump", nil)
}

func TestP44RequestsThatAreNotValid(t *testing.T) {
	s := start(t, nil)
	r := restOf(t, s)
	long := strings.Repeat("x", 37)
	for _, c := range []struct {
		method, path string
		body         any
		violation    string
	}{
		{"POST", "device/types", object{"id": long}, "37 characters"},
		{"POST", "device/types", object{"id": "a b"}, "contains"},
		{"POST", "device/types", object{}, "empty"},
		{"POST", "device/types", object{"id": "x", "classId": "Thing"}, "classId"},
		{"POST", "device/types", object{"id": "x", "metadata": 3}, "metadata"},
		{"POST", "device/types", object{"id": "x", "colour": "red"}, "colour"},
		{"POST", "device/types", `{"id":`, "EOF"},
		{"POST", "device/types", `{"id":"x"} x`, "follows"},
		{"POST", "device/types", "{\"id\":\"\xff\"}", "UTF-8"},
		{"POST", "device/types", "", "empty"},
		{"POST", "device/types/kiln/devices", object{"deviceId": "a/b"}, "contains"},
		{"POST", "device/types/kiln/devices", object{"deviceId": "x", "authToken": "short"}, "8 to 36"},
		{"POST", "device/types/kiln/devices", object{"deviceId": "x", "authToken": "long enough"}, "character 5"},
		{"POST", "device/types/kiln/devices", object{"deviceId": "x", "deviceInfo": object{"longitude": 1}}, "longitude"},
		{"POST", "device/types/kiln/devices", object{"deviceId": "x", "deviceInfo": object{"model": 1}}, "model"},
		{"PUT", "device/types/kiln/devices/K-1", object{"deviceId": "K-2"}, "cannot be changed"},
		{"PUT", "device/types/kiln/devices/K-1", object{"authToken": "12345678"}, "cannot be changed"},
		{"PUT", "device/types/kiln", object{"classId": "Gateway"}, "cannot be changed"},
		{"GET", "bulk/devices?_limit=0", nil, "_limit"},
		{"GET", "bulk/devices?_limit=x", nil, "_limit"},
		{"GET", "bulk/devices?_bookmark=x", nil, "_bookmark"},
		{"GET", "bulk/devices?_sort=-deviceId", nil, "_sort"},
		{"GET", "bulk/devices?metadata.x=1", nil, "metadata.x"},
		{"POST", "bulk/devices/add", []any{}, "empty"},
		{"POST", "bulk/devices/add", object{}, "array"},
		{"GET", "logs/connection?typeId=kiln", nil, "deviceId"},
	} {
		v := r.want(400, c.method, c.path, c.body)
		wantAt(t, v, "exception.id", "CUDRS0007E")
		wantAt(t, v, "violations.0.exception.id", "CUDRS0012E")
		if m, _ := at(v, "violations.0.message").(string); !strings.Contains(m, c.violation) && c.violation != "array" {
			t.Errorf("%s %s %v: got %q, want something about %q", c.method, c.path, c.body, m, c.violation)
		}
	}
	r.want(413, "POST", "device/types", object{"id": "x", "description": strings.Repeat("x", 128<<10)})
	r.want(404, "GET", "device/types/"+long, nil)
	r.want(404, "GET", "device/types/kiln/devices/a%2Fb", nil)
	r.want(404, "GET", "device//types", nil)
	r.want(404, "GET", "../v0002/device/types", nil)
	r.want(404, "GET", "", nil)
	r.want(405, "PATCH", "device/types/kiln", nil)
	if _, h, _ := r.raw("PUT", "device/types", object{}); h.Get("Allow") != "GET, POST" {
		t.Errorf("got Allow %q, want GET, POST", h.Get("Allow"))
	}
}

func TestP45BulkCalls(t *testing.T) {
	s := start(t, nil)
	r := restOf(t, s)
	v := r.want(201, "POST", "bulk/devices/add", []object{{"typeId": "kiln", "deviceId": "a"}, {"typeId": "kiln", "deviceId": "b", "authToken": "chosen-one"}})
	wantAt(t, v, "0.success", true)
	wantAt(t, v, "1.authToken", "chosen-one")
	v = r.want(202, "POST", "bulk/devices/add", []object{{"typeId": "kiln", "deviceId": "a"}, {"typeId": "kiln", "deviceId": "c"},
		{"typeId": "oven", "deviceId": "d"}, {"typeId": "kiln", "deviceId": "e f"}, {"typeId": "kiln", "deviceId": "g", "x": 1}})
	wantAt(t, v, "0.success", false)
	wantAt(t, v, "0.exception.id", "CUDRS0020E")
	wantAt(t, v, "0.authToken", nil)
	wantAt(t, v, "1.success", true)
	wantAt(t, v, "2.success", false)
	wantAt(t, v, "3.exception.id", "CUDRS0007E")
	wantAt(t, v, "4.success", false)
	r.want(200, "GET", "device/types/kiln/devices/c", nil)
	v = r.want(202, "POST", "bulk/devices/remove", []object{{"typeId": "kiln", "deviceId": "a"}, {"typeId": "kiln", "deviceId": "a"}})
	wantAt(t, v, "0.success", true)
	wantAt(t, v, "1.success", false)
	r.want(200, "POST", "bulk/devices/remove", []object{{"typeId": "kiln", "deviceId": "b"}})
	r.want(404, "GET", "device/types/kiln/devices/a", nil)
	r.want(413, "POST", "bulk/devices/add", `[`+strings.Repeat(" ", 512<<10)+`]`)
	r.want(413, "POST", "bulk/devices/remove", `[`+strings.Repeat(" ", 512<<10)+`]`)
}

func TestP46Paging(t *testing.T) {
	s := start(t, nil)
	r := restOf(t, s)
	var add []object
	for i := range 60 {
		add = append(add, object{"typeId": "kiln", "deviceId": fmt.Sprintf("d%02d", i)})
	}
	r.want(201, "POST", "device/types", object{"id": "another"})
	r.want(201, "POST", "device/types/another/devices", object{"deviceId": "d07"})
	r.want(201, "POST", "bulk/devices/add", add)
	for _, c := range []struct {
		path  string
		pages []int
		total float64
	}{
		{"bulk/devices?", []int{25, 25, 12}, 62},
		{"bulk/devices?_limit=31&_sort=typeId", []int{31, 31}, 62},
		{"bulk/devices?_limit=50&", []int{50, 12}, 62},
		{"bulk/devices?typeId=kiln&_limit=61", []int{61}, 61},
		{"bulk/devices?deviceId=d07", []int{2}, 2},
		{"device/types/kiln/devices?", []int{25, 25, 11}, 61},
		{"device/types?_limit=1", []int{1, 1}, 2},
		{"device/types?_sort=id", []int{2}, 2},
	} {
		seen := map[string]bool{}
		bookmark := ""
		for i, want := range c.pages {
			v := r.want(200, "GET", c.path+bookmark, nil)
			wantAt(t, v, "meta.total_rows", c.total)
			results, _ := at(v, "results").([]any)
			if len(results) != want {
				t.Errorf("%s page %d: got %d, want %d", c.path, i, len(results), want)
			}
			for _, d := range results {
				seen[fmt.Sprint(at(d, "typeId"), at(d, "deviceId"), at(d, "id"))] = true
			}
			b, more := at(v, "bookmark").(string)
			if last := i == len(c.pages)-1; more == last {
				t.Errorf("%s page %d: got bookmark %q", c.path, i, b)
			}
			bookmark = "&_bookmark=" + b
		}
		if float64(len(seen)) != c.total {
			t.Errorf("%s: got %d different ones, want %v", c.path, len(seen), c.total)
		}
	}
}

package localplatform_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func TestP48MessagesOverHTTP(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) {
		cfg.Users = map[string]localplatform.User{"a-legacy-std": {Token: "t"}, "a-legacy-see": {Token: "t", Role: wiotp.Visualization},
			"a-legacy-few": {Token: "t", Group: wiotp.Group{{Type: "oven", ID: "*"}}}}
	})
	r := restOf(t, s).as("a-legacy-std", "t")
	r.want(201, "POST", "device/types", object{"id": "gw", "classId": "Gateway"})
	r.want(201, "POST", "device/types/gw/devices", object{"deviceId": "g1", "authToken": "gateway-token"})
	r.want(201, "POST", "device/types/kiln/devices", object{"deviceId": "K-2", "authToken": "device-token"})
	watcher := enter(t, s, connect{id: "a:legacy:watcher", user: "a-legacy-std", password: "t"})
	watcher.subscribed(0, "iot-2/type/+/id/+/evt/+/fmt/+", "iot-2/type/+/id/+/cmd/+/fmt/+")

	const app, dev = "application/types/kiln/devices/K-1/", "device/types/kiln/devices/K-2/"
	for _, c := range []struct{ contentType, format string }{
		{"application/json", "json"}, {"application/json; charset=utf-8", "json"}, {"text/plain", "text"}, {"text/csv", "text"},
		{"application/xml", "xml"}, {"application/octet-stream", "bin"},
	} {
		r.with("Content-Type", c.contentType).want(200, "POST", app+"events/t", "{\"d\":1}\xff")
		if e := watcher.event(); e.topic != "iot-2/type/kiln/id/K-1/evt/t/fmt/"+c.format || string(e.payload) != "{\"d\":1}\xff" || e.retain {
			t.Errorf("got %+v, want format %s", e, c.format)
		}
	}
	r.want(200, "POST", app+"commands/stop", "{}")
	if e := watcher.event(); e.topic != "iot-2/type/kiln/id/K-1/cmd/stop/fmt/json" {
		t.Errorf("got %+v, want the command", e)
	}
	device := r.as("use-token-auth", "device-token")
	device.want(200, "POST", dev+"events/t", "{}")
	if e := watcher.event(); e.topic != "iot-2/type/kiln/id/K-2/evt/t/fmt/json" {
		t.Errorf("got %+v, want the device's event", e)
	}
	for _, name := range []string{"g/legacy/gw/g1", "g-legacy-gw-g1"} {
		r.as(name, "gateway-token").want(200, "POST", dev+"events/t", "{}")
		if e := watcher.event(); e.topic != "iot-2/type/kiln/id/K-2/evt/t/fmt/json" {
			t.Errorf("got %+v, want the event through the gateway", e)
		}
	}

	for _, c := range []struct {
		as           *rest
		method, path string
		body         string
		want         int
	}{
		{r, "POST", app + "events/t", "", 400},
		{r.as("a-legacy-std", "wrong"), "POST", app + "events/t", "{}", 403},
		{r.as("a-other-std", "t"), "POST", app + "events/t", "{}", 403},
		{r.as("", ""), "POST", app + "events/t", "{}", 403},
		{r.as("a-legacy-see", "t"), "POST", app + "events/t", "{}", 403},                                  // role
		{r.as("a-legacy-few", "t"), "POST", app + "events/t", "{}", 403},                                  // not its device
		{r.as("use-token-auth", "device-token"), "POST", app + "events/t", "{}", 403},                     // class
		{r.as("a-legacy-std", "t"), "POST", dev + "events/t", "{}", 403},                                  // class
		{r.as("use-token-auth", "gateway-token"), "POST", dev + "events/t", "{}", 403},                    // another's token
		{r.as("use-token-auth", ""), "POST", "device/types/kiln/devices/K-1/events/t", "{}", 403},         // it has no token
		{r.as("g/legacy/kiln/K-2", "device-token"), "POST", dev + "events/t", "{}", 403},                  // not a gateway
		{r.as("g/other/gw/g1", "gateway-token"), "POST", dev + "events/t", "{}", 403},                     // another organisation
		{r, "POST", "application/types/kiln/devices/K-9/events/t", "{}", 403},                             // not registered
		{r, "POST", "application/types/ki%20ln/devices/K-1/events/t", "{}", 404},                          // type
		{r, "POST", "application/types/kiln/devices/" + strings.Repeat("K", 37) + "/events/t", "{}", 404}, // id
		{r, "POST", app + "events/a%2Fb", "{}", 404},
		{r, "POST", app + "events/%2B", "{}", 404},
		{r, "POST", app + "event/t", "{}", 404},
		{r, "POST", app + "events/t/x", "{}", 404},
		{r, "POST", dev + "commands/t", "{}", 404},
		{r, "GET", app + "events/t", "", 405},
		{r, "PUT", dev + "events/t", "{}", 405},
		{r, "POST", app + "events/t", strings.Repeat("x", wiotp.MaxPayload+1), 413},
		{r.with("Content-Type", "application/csv"), "POST", app + "events/t", "{}", 415},
		{r.with("Content-Type", ""), "POST", app + "events/t", "{}", 415},
	} {
		if got, reply := c.as.do(c.method, c.path, c.body); got != c.want {
			t.Errorf("%s %s as %s: got %d %v, want %d", c.method, c.path, c.as.user, got, reply, c.want)
		}
	}
	r.want(200, "POST", app+"events/last", strings.Repeat("x", wiotp.MaxPayload))
	if e := watcher.event(); e.topic != "iot-2/type/kiln/id/K-1/evt/last/fmt/json" || len(e.payload) != wiotp.MaxPayload {
		t.Errorf("got %s with %d bytes, want only what was accepted", e.topic, len(e.payload))
	}
}

// ask sends one request on an open connection and returns the status, 0 if the connection has ended.
func (c *raw) ask(key, token string) (status int) {
	c.t.Helper()
	_, err := fmt.Fprintf(c, "GET /api/v0002/device/types HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\n\r\n",
		base64.StdEncoding.EncodeToString([]byte(key+":"+token)))
	if err != nil {
		return 0
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

func TestChangedAuthorizationClosesTheConnection(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) {
		cfg.Users = map[string]localplatform.User{"a-legacy-1": {Token: "one"}, "a-legacy-2": {Token: "two"}}
	})
	c := dial(t, s)
	for range 2 {
		if got := c.ask("a-legacy-1", "one"); got != 200 {
			t.Fatalf("got %d, want 200", got)
		}
	}
	if got := c.ask("a-legacy-2", "two"); got != 403 {
		t.Errorf("got %d, want 403", got)
	}
	if got := c.ask("a-legacy-1", "one"); got != 0 {
		t.Errorf("got %d, want the connection closed", got)
	}
	s.log.wait(t, "msg=HTTP request refused", "code=175")
}

func TestWrongLoginClosesTheConnection(t *testing.T) {
	s := start(t, nil)
	c := dial(t, s)
	if got := c.ask("a-legacy-1", "one"); got != 401 {
		t.Errorf("got %d, want 401", got)
	}
	if got := c.ask("a-legacy-1", "one"); got != 0 {
		t.Errorf("got %d, want the connection closed", got)
	}
}

func TestSlowRequestsEnd(t *testing.T) {
	s := start(t, func(cfg *localplatform.Config) { cfg.LoginWait = 500 * time.Millisecond })
	for _, begin := range []string{"G", "GET /api/v0002/device/types HTTP/1.1\r\nHost: x\r\nX: "} {
		c := dial(t, s)
		c.send([]byte(begin))
		c.SetDeadline(time.Now().Add(patience))
		// A byte now and then does not help: the whole header has its time.
		stop := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					if _, err := c.Write([]byte("x")); err != nil {
						return
					}
				case <-stop:
					return
				}
			}
		}()
		if _, err := io.Copy(io.Discard, c.r); isTimeout(err) {
			t.Errorf("%q: still open", begin)
		}
		close(stop)
		<-ended
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

func TestLongHeaderIsRefused(t *testing.T) {
	s := start(t, nil)
	c := dial(t, s)
	go func() { // the answer may come before all is written
		_, _ = io.WriteString(c, "GET /api/v0002/device/types HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	}()
	resp, err := http.ReadResponse(c.r, nil)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %d, want 431", resp.StatusCode)
		}
	}
}

// Connections that prove nothing make room for those that do.
func TestIdleHTTPConnectionsMakeRoom(t *testing.T) {
	s := start(t, nil)
	key, token := s.Key()
	var idle []*raw
	for range localplatform.MaxHTTP + 10 {
		c := dial(t, s)
		c.send([]byte("GET /api"))
		idle = append(idle, c)
	}
	for i := range 20 {
		if got := dial(t, s).ask(key, token.Reveal()); got != 200 {
			t.Fatalf("connection %d: got %d, want 200", i, got)
		}
	}
	login(t, s, "mqtt").ping()
	idle[0].wantClosed()
}

func TestStopEndsHTTPConnections(t *testing.T) {
	s := start(t, nil)
	key, token := s.Key()
	c, half := dial(t, s), dial(t, s)
	if got := c.ask(key, token.Reveal()); got != 200 {
		t.Fatalf("got %d, want 200", got)
	}
	half.send([]byte("GET"))
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*raw{c, half} {
		if _, err := bufio.NewReader(c).ReadByte(); err == nil || isTimeout(err) {
			t.Errorf("got %v, want the connection closed", err)
		}
	}
}

package wiotp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/wiotp"
)

func TestCleanSessionOfScalableApplications(t *testing.T) {
	plain, instance := id("A:abc123:app"), id("A:abc123:app:1")
	for rule, want := range map[wiotp.CleanSession]map[bool]bool{
		wiotp.CleanDocument: {false: true, true: false},
		wiotp.CleanServer:   {false: false, true: true},
		wiotp.CleanAny:      {false: true, true: true},
	} {
		for clean, ok := range want {
			err := rule.Check(plain, clean)
			if (err == nil) != ok {
				t.Errorf("%s, clean %v: got %v, want ok %v", rule, clean, err, ok)
			}
			if r, is := errors.AsType[*wiotp.Refusal](err); is && (r.Connack != 5 || !strings.Contains(r.Why, rule.String())) {
				t.Errorf("got %+v, want CONNACK 5 and the value of the rule", r)
			}
			if err := errors.Join(rule.Check(instance, clean), rule.Check(app, clean)); err != nil {
				t.Errorf("got %v, want no rule for others", err)
			}
		}
	}
}

func TestSharesAndTheirState(t *testing.T) {
	a, _ := id("A:abc123:app").Share()
	b, _ := id("A:abc123:app:1").Share()
	c, _ := id("A:abc123:app:2").Share()
	if a == b || b != c {
		t.Errorf("got %v, %v, %v, want the instances to share and not with the first", a, b, c)
	}
	if _, ok := app.Share(); ok {
		t.Error("got a share, want none for a:")
	}
	for s, want := range map[string]bool{"a:abc123:app": true, "A:abc123:app": false, "A:abc123:app:1": true, "d:abc123:t:i": true, "a:quickstart:app": false} {
		if got := id(s).KeepsState(false); got != want {
			t.Errorf("%s: got %v, want %v", s, got, want)
		}
		if id(s).KeepsState(true) {
			t.Errorf("%s: got state with clean session, want none", s)
		}
	}
	for s, asked := range map[string][2]time.Duration{
		"A:abc123:app": {0, time.Hour}, "A:abc123:x": {2 * time.Hour, time.Hour}, "A:abc123:app:1": {time.Minute, time.Minute}, "a:abc123:app": {0, 0},
	} {
		if got := id(s).Keepalive(asked[0]); got != asked[1] {
			t.Errorf("%s: got %v, want %v", s, got, asked[1])
		}
	}
}

func TestEveryCloseCodeHasMeaningAndAdvice(t *testing.T) {
	for _, code := range []wiotp.CloseCode{0, 91, 92, 93, 94, 104, 105, 154, 160, 163, 164, 165, 166, 167, 169, 170, 173, 175, 176, 178, 180, 271, 276, 287, 288, 291, 292} {
		if code.Meaning() == "" || code.Advice().String() == "" {
			t.Errorf("%d has no meaning or advice", code)
		}
	}
	for code, want := range map[wiotp.CloseCode]wiotp.Advice{276: wiotp.NotThis, 287: wiotp.NotThis, 288: wiotp.Stop, 91: wiotp.Retry, 176: wiotp.RetryLater, 180: wiotp.Configure, 999: wiotp.RetryLater} {
		if got := code.Advice(); got != want {
			t.Errorf("%d: got %v, want %v", code, got, want)
		}
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	const event = "iot-2/type/kiln/id/K-1/evt/t/fmt/json"
	for name, c := range map[string]struct {
		t    wiotp.Turndown
		want []string // words of the causes, in order
	}{
		"A login": {wiotp.Turndown{ID: id("A:abc123:app"), Deed: wiotp.LoggedIn, Connack: 5, CleanSession: true},
			[]string{"clean session true", "token is wrong", "another organisation", "role"}},
		"a login":      {wiotp.Turndown{ID: app, Deed: wiotp.LoggedIn, Connack: 5}, []string{"token is wrong", "another organisation", "role"}},
		"d login":      {wiotp.Turndown{ID: device, Deed: wiotp.LoggedIn, Connack: 5}, []string{"not registered", "token is wrong", "use-token-auth"}},
		"busy":         {wiotp.Turndown{ID: app, Deed: wiotp.LoggedIn, Connack: 3}, []string{"try again later"}},
		"bad filter":   {wiotp.Turndown{ID: app, Deed: wiotp.Subscribed, Topics: []string{"iot-2/#"}}, []string{"# is never allowed"}},
		"filter":       {wiotp.Turndown{ID: app, Deed: wiotp.Subscribed, Topics: []string{"iot-2/type/+/id/+/cmd/+/fmt/+"}}, []string{"subscribe to commands", "500", "another client"}},
		"quickstart":   {wiotp.Turndown{ID: quickApp, Deed: wiotp.Subscribed, Topics: []string{"iot-2/type/+/id/K/evt/+/fmt/+"}}, []string{"real server", "another client"}},
		"quick cmd":    {wiotp.Turndown{ID: quickApp, Deed: wiotp.Subscribed, Topics: []string{"iot-2/type/t/id/K/cmd/+/fmt/+"}}, []string{"quickstart does not"}},
		"bad topic":    {wiotp.Turndown{ID: app, Deed: wiotp.Published, Topics: []string{"iot-2/evt/t/fmt/json"}}, []string{"start with d:"}},
		"oversize":     {wiotp.Turndown{ID: app, Deed: wiotp.Published, Topics: []string{event}, Payload: 131073}, []string{"131073 bytes"}},
		"event":        {wiotp.Turndown{ID: app, Deed: wiotp.Published, Topics: []string{event}, Payload: 10}, []string{"publish events", "topic", "limit", "not registered", "another client"}},
		"event, 276":   {wiotp.Turndown{ID: app, Deed: wiotp.Published, Topics: []string{event}, Payload: 10, Code: 276, HasCode: true}, []string{"276 topic not valid: the role"}},
		"event, 180":   {wiotp.Turndown{ID: app, Deed: wiotp.Published, Topics: []string{event}, Payload: 10, Code: 180, HasCode: true}, []string{"kiln/K-1 is not registered"}},
		"taken, 288":   {wiotp.Turndown{ID: app, Deed: wiotp.Idle, Code: 288, HasCode: true}, []string{"another client uses a:abc123:app"}},
		"nothing said": {wiotp.Turndown{ID: app, Deed: wiotp.Idle}, []string{"another client", "stopped"}},
	} {
		got := c.t.Causes()
		if len(got) != len(c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%s: got %q, want %q in it", name, got[i], c.want[i])
			}
		}
		if text := c.t.String(); !strings.Contains(text, got[len(got)-1]) {
			t.Errorf("%s: got %q, want all causes", name, text)
		}
	}
}

func TestStatusMessagesOnTheWire(t *testing.T) {
	at := wiotp.StatusTime{Time: time.Date(2017, 2, 1, 9, 0, 0, 250e6, time.FixedZone("", 3600))}
	yes, n := true, uint64(40)
	connect := wiotp.Status{Action: wiotp.Connected, Time: at, ClientAddr: "192.0.2.10", ClientID: "a:abc123:line-7", Port: 8883, Secure: true,
		Protocol: "mqtt4", User: "a-abc123-xxxxxxxx", Durable: &yes, NewSession: true}
	if got, want := string(connect.Append(nil)), `{"Action":"Connect","Time":"2017-02-01T08:00:00.250Z","ClientAddr":"192.0.2.10","ClientID":"a:abc123:line-7","Port":8883,"Secure":true,"Protocol":"mqtt4","User":"a-abc123-xxxxxxxx","Durable":true,"NewSession":true}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	gone := wiotp.Status{Action: wiotp.Disconnected, Time: at, ClientAddr: "192.0.2.11", ClientID: "d:abc123:pump:p-01", Port: 8883, Protocol: "mqtt4",
		ConnectTime: &at, CloseCode: 91, Reason: "x", ReadBytes: &n, ReadMsg: &n, WriteBytes: &n, WriteMsg: new(uint64)}
	want := `{"Action":"Disconnect","Time":"2017-02-01T08:00:00.250Z","ClientAddr":"192.0.2.11","ClientID":"d:abc123:pump:p-01","Port":8883,"Secure":false,"Protocol":"mqtt4","ConnectTime":"2017-02-01T08:00:00.250Z","CloseCode":91,"Reason":"x","ReadBytes":40,"ReadMsg":40,"WriteBytes":40,"WriteMsg":0}`
	if got := string(gone.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	back, err := wiotp.ParseStatus([]byte(want))
	if err != nil || back.CloseCode != 91 || !back.Time.Equal(at.Time) {
		t.Errorf("got %+v, %v", back, err)
	}
	if _, err := wiotp.ParseStatus([]byte(`{"Action":"Connect","Time":"2017-02-01T04:00:00.250-0400","New":1}`)); err != nil {
		t.Errorf("got %v, want other servers' times too", err)
	}
	for _, bad := range []string{"", "{}", "[]", `{"Action":1}`} {
		if _, err := wiotp.ParseStatus([]byte(bad)); err == nil {
			t.Errorf("%s: got nil, want an error", bad)
		}
	}
	notice := wiotp.GatewayNotice{Request: "publish", Time: at, Topic: "x", Client: "g:abc123:edge:G-1", RC: 276, Message: "no"}
	if got, want := string(notice.Append(nil)), `{"Request":"publish","Time":"2017-02-01T08:00:00.250Z","Topic":"x","Client":"g:abc123:edge:G-1","RC":276,"Message":"no"}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid((&wiotp.GatewayNotice{Topic: "\xff"}).Append(nil)) {
		t.Error("got no JSON for a topic that is no text")
	}
}

func TestDeviceTokens(t *testing.T) {
	for _, good := range []wiotp.Token{"abcdefgh", "a-_!&@?*+.()", wiotp.Token(strings.Repeat("x", 36))} {
		if err := wiotp.CheckDeviceToken(good); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	}
	for _, bad := range []wiotp.Token{"", "abcdefg", wiotp.Token(strings.Repeat("x", 37)), "secret sec", "secret#sec"} {
		if err := wiotp.CheckDeviceToken(bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want an error without the token", err)
		}
	}
}

func TestUnits(t *testing.T) {
	for n, want := range map[int]int{0: 1, 4095: 1, 4096: 2, 131072: 33} {
		if got := wiotp.Units(n); got != want {
			t.Errorf("%d: got %d, want %d", n, got, want)
		}
	}
	if err := wiotp.CheckPayload(300, 131072-100, wiotp.MaxPayload); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	err := wiotp.CheckPayload(300, 131072-99, wiotp.MaxPayload)
	if r, ok := errors.AsType[*wiotp.Refusal](err); !ok || r.Code != wiotp.TooLarge {
		t.Errorf("got %v, want 287", err)
	}
}

func ExampleTurndown() {
	id, _ := wiotp.ParseClientID("a:abc123:plant-7")
	fmt.Println(wiotp.Turndown{ID: id, Deed: wiotp.Published, Topics: []string{"iot-2/type/kiln/id/K-1/evt//fmt/json"}})
	// Output:
	// event id "" is empty or has characters that are not allowed
}

package main

import (
	"strings"
	"testing"
	"time"

	"legacybridge/config"
	"legacybridge/publisher"
	"legacybridge/publisher/wiotp"
)

func TestStatusIsShownWithTheCloseCodeInWords(t *testing.T) {
	at := `"Time":"2017-02-01T08:05:00.250Z"`
	for _, c := range []struct {
		kind           wiotp.Kind
		topic, payload string
		retained       bool
		text, json     string
	}{
		{wiotp.AppStatus, "iot-2/app/line-7/mon", `{"Action":"Disconnect",` + at + `,"ClientAddr":"192.0.2.10","ClientID":"a:abc123:line-7","CloseCode":276,"Reason":"x"}`, false,
			"line-7                    Disconnect    192.0.2.10  276 topic",
			`"id":"line-7","action":"Disconnect","close_code":276,"meaning":"topic`},
		{wiotp.DeviceStatus, "iot-2/type/pump/id/p-01/mon", `{"Action":"Connect",` + at + `,"ClientAddr":"192.0.2.11","CloseCode":0}`, true,
			"pump/p-01                 Connect       192.0.2.11  (so far)",
			`"type":"pump","id":"p-01","action":"Connect","last":true,"address":"192.0.2.11"}`},
		{wiotp.AppStatus, "iot-2/app/x/mon", `{"Action":"\u001b[2J",` + at + `,"ClientAddr":"\u001b[2J"}`, false, `\x1b[2J`, `\u001b[2J`},
	} {
		for _, json := range []bool{false, true} {
			var out strings.Builder
			p := &watchPrinter{out: &out, json: json, kind: c.kind}
			p.print(publisher.Message{Topic: c.topic, Payload: []byte(c.payload), Retained: c.retained, Time: time.Now()})
			want := c.text
			if json {
				want = c.json
			}
			if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "\x1b") || p.count() != 1 {
				t.Errorf("json %v: got %q, want %q in it", json, out.String(), want)
			}
		}
	}
	var out strings.Builder
	p := &watchPrinter{out: &out, kind: wiotp.AppStatus}
	p.print(publisher.Message{Topic: "iot-2/app/x/mon", Payload: []byte("what")})
	if out.Len() > 0 || p.count() != 0 {
		t.Errorf("got %q, want nothing for what is no status", out.String())
	}
}

func TestWatchIDsAreApplicationsOfTheirOwn(t *testing.T) {
	cfg := &config.Config{Org: "legacy", App: "a-name-of-24-characters-"}
	session, id, err := watchSession(cfg, watchFlags{})
	if err != nil {
		t.Fatal(err)
	}
	reason, err := wiotp.ParseClientID(session.ReasonID)
	if err != nil || reason.Validate() != nil || !strings.HasPrefix(reason.App, cfg.App+"-why-") || !strings.HasPrefix(id.App, cfg.App+"-watch-") || session.KeepSession {
		t.Errorf("got %s and %s (%v), want two ids of their own and a clean session", id, session.ReasonID, err)
	}
	for _, c := range []struct {
		flags watchFlags
		id    string
		keep  bool
	}{
		{watchFlags{app: "back"}, "a:legacy:back", false},
		{watchFlags{app: "back", cleanSession: "false"}, "a:legacy:back", true},
		{watchFlags{app: "back", scalable: true}, "A:legacy:back", true},
		{watchFlags{app: "back", scalable: true, cleanSession: "true"}, "A:legacy:back", false},
		{watchFlags{app: "back", scalable: true, instance: "one"}, "A:legacy:back:one", false},
		{watchFlags{app: "back", scalable: true, instance: "one", cleanSession: "false"}, "A:legacy:back:one", true},
	} {
		session, id, err := watchSession(cfg, c.flags)
		if err != nil || session.ClientID != c.id || id.String() != c.id || session.KeepSession != c.keep {
			t.Errorf("%+v: got %s, kept %v, %v, want %s, %v", c.flags, session.ClientID, session.KeepSession, err, c.id, c.keep)
		}
	}
}

package wiotp_test

import (
	"errors"
	"strings"
	"testing"

	"legacybridge/publisher/wiotp"
)

func TestClientIDsOfApplications(t *testing.T) {
	for _, c := range []struct {
		s    string
		want wiotp.ClientID
	}{
		{"a:abc123:plant-7", wiotp.ClientID{Class: wiotp.Application, Org: "abc123", App: "plant-7"}},
		{"a:quickstart:x", wiotp.ClientID{Class: wiotp.Application, Org: wiotp.Quickstart, App: "x"}},
		{"A:abc123:myApplication", wiotp.ClientID{Class: wiotp.ScalableApplication, Org: "abc123", App: "myApplication"}},
		{"A:abc123:app:inst_1.x", wiotp.ClientID{Class: wiotp.ScalableApplication, Org: "abc123", App: "app", Instance: "inst_1.x"}},
		{"d:abc123:kiln:K-1", wiotp.ClientID{Class: wiotp.Device, Org: "abc123", Type: "kiln", ID: "K-1"}},
		{"g:abc123:edge:G.1", wiotp.ClientID{Class: wiotp.Gateway, Org: "abc123", Type: "edge", ID: "G.1"}},
		{"d:quickstart:kiln:K-1", wiotp.ClientID{Class: wiotp.Device, Org: wiotp.Quickstart, Type: "kiln", ID: "K-1"}},
		{"a:my-workspace:" + strings.Repeat("x", 36), wiotp.ClientID{Class: wiotp.Application, Org: "my-workspace", App: strings.Repeat("x", 36)}},
	} {
		got, err := wiotp.ParseClientID(c.s)
		if err != nil || got != c.want {
			t.Errorf("got %+v, %v, want %+v", got, err, c.want)
		}
		if got.String() != c.s {
			t.Errorf("got %q, want %q", got, c.s)
		}
	}
}

var badClientIDs = []struct {
	s       string
	connack byte
}{
	{"a:abc123:x/y", 2}, {"a:abc123:+", 2}, {"#", 2}, {"a:abc123:x\x01", 2}, {"a:abc123:\xff", 2}, {"a:abc123:\uffff", 2},
	{"", 5}, {"a", 5}, {"a:", 5}, {"a:abc123", 5}, {"a:abc123:", 5}, {"a::x", 5}, {"a:abc123:x:y", 5},
	{"x:abc123:y", 5}, {"aa:abc123:y", 5}, {":abc123:y", 5}, {"d:abc123:t", 5}, {"g:abc123:t:", 5},
	{"d:abc123::i", 5}, {"d:abc123:t:i:j", 5}, {"D:abc123:t:i", 5}, {"G:abc123:t:i", 5}, {"g:abc123:t:ü", 5}, {"d:abc123:t:" + strings.Repeat("x", 37), 5},
	{"A:quickstart:app", 5}, {"A:quickstart:app:i", 5}, {"g:quickstart:t:i", 5},
	{"a:abc123:ümlaut", 5}, {"a:abc123:a b", 5}, {"a:abc123:" + strings.Repeat("x", 37), 5},
	{"A:abc123:", 5}, {"A:abc123:app:", 5}, {"A:abc123:app:i:j", 5}, {"A:abc123::i", 5},
	{"A:abc123:app:" + strings.Repeat("x", 37), 5}, {"A:abc123:app:i!", 5}, {"A:abc123:a!p", 5},
	{"a:" + strings.Repeat("o", 300) + ":x", 5}, {"a:a c:x", 5},
}

func TestOtherClientIDsAreRefused(t *testing.T) {
	for _, c := range badClientIDs {
		got, err := wiotp.ParseClientID(c.s)
		r, ok := errors.AsType[*wiotp.Refusal](err)
		if !ok || r.Connack != c.connack || r.Code != wiotp.BadClientID || r.Why == "" {
			t.Errorf("%.60q: got %+v, %#v, want CONNACK %d", c.s, got, err, c.connack)
		}
	}
}

func FuzzClientID(f *testing.F) {
	for _, c := range badClientIDs {
		f.Add(c.s)
	}
	f.Add("a:abc123:plant-7")
	f.Add("A:abc123:app")
	f.Add("A:abc123:app:inst")
	f.Add("d:abc123:kiln:K-1")
	f.Add("g:abc123:edge:G-1")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := wiotp.ParseClientID(s)
		if err != nil {
			if r, ok := errors.AsType[*wiotp.Refusal](err); !ok || r.Connack != 2 && r.Connack != 5 || id != (wiotp.ClientID{}) {
				t.Fatalf("got %+v, %#v, want nothing and CONNACK 2 or 5", id, err)
			}
			return
		}
		if got := id.String(); got != s {
			t.Fatalf("got %q, want %q", got, s)
		}
		if err := id.Validate(); err != nil {
			t.Fatalf("%q: got %v, want nil", s, err)
		}
	})
}

func TestAPIKeysBelongToOneOrganisation(t *testing.T) {
	for _, c := range []struct {
		key, org string
		ok       bool
	}{
		{"a-abc123-a84ps90Ajs", "abc123", true},
		{"a-my-ws-a84ps90Ajs", "my-ws", true},
		{wiotp.APIKey("legacy", "x"), "legacy", true},
		{"a-my-ws-a84ps90Ajs", "my", false},
		{"a-abc123-a84ps90Ajs", "abc124", false},
		{"a-abc123-", "abc123", false},
		{"a-abc123", "abc123", false},
		{"A-abc123-x", "abc123", false},
		{"a/abc123/x", "abc123", false},
		{"a-abc123-x y", "abc123", false},
		{"use-token-auth", "abc123", false},
		{"", "abc123", false},
		{"a--x", "", false},
	} {
		err := wiotp.CheckAPIKey(c.key, c.org)
		if (err == nil) != c.ok {
			t.Errorf("%q of %q: got %v, want ok=%v", c.key, c.org, err, c.ok)
		}
	}
}

func TestTokensAreOpaqueButPrintable(t *testing.T) {
	for _, s := range []wiotp.Token{"MP$08VKz!8rXwnR-Q*", "x", `#%&"'\`} {
		if err := wiotp.CheckToken(s); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	}
	for _, s := range []wiotp.Token{"", "secret\n", "sec ret", "geheimnüs", wiotp.Token(strings.Repeat("x", 257))} {
		err := wiotp.CheckToken(s)
		if err == nil {
			t.Errorf("%q: got nil, want a reason", s.Reveal())
		} else if strings.Contains(err.Error(), "sec") {
			t.Errorf("got %q, want no part of the token", err)
		}
	}
}

func TestCloseCodesHaveWords(t *testing.T) {
	for code, want := range map[wiotp.CloseCode]string{
		0: "0 closed by the client", 91: "91 closed by client or network", 160: "160 keepalive timeout",
		287: "287 message too large", 288: "288 client id connected again elsewhere", 999: "999",
	} {
		if got := code.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

package localplatform_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
)

// startTLS is a platform with TLS and a certificate for several names.
func startTLS(t *testing.T) (*site, *x509.CertPool) {
	t.Helper()
	cert, pool := certificate(t, "platform.example", "other1.messaging.example")
	return start(t, func(cfg *localplatform.Config) {
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}), pool
}

// secured makes TLS of a connection.
func (c *raw) secured(cfg *tls.Config) *raw {
	c.t.Helper()
	nc := tls.Client(c.Conn, cfg)
	if err := nc.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	return &raw{t: c.t, Conn: nc, r: bufio.NewReader(nc)}
}

func TestNameInTheHandshakeDoesNotMatter(t *testing.T) {
	s, pool := startTLS(t)
	for _, name := range []string{"127.0.0.1", "platform.example", "other1.messaging.example"} { // the first is not sent
		c := dial(t, s).secured(&tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12})
		c.send(own(s, "a:legacy:app").bytes())
		c.want(0x20, 2, 0, 0)
	}
}

func TestTLSBelow12IsRefused(t *testing.T) {
	s, pool := startTLS(t)
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		nc := tls.Client(dial(t, s).Conn, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: version, MaxVersion: version})
		if err := nc.Handshake(); (err == nil) != (version >= tls.VersionTLS12) {
			t.Errorf("%s: got %v", tls.VersionName(version), err)
		}
	}
	line := s.log.wait(t, "level=WARN", "rule=tls", "code=163", "addr=127.0.0.1")
	if line["err"] == "" || len(s.log.find("level=WARN", "rule=tls")) != 1 {
		t.Errorf("got %v, want one line with the reason", s.log.find("rule=tls"))
	}
}

func TestClientWithoutTrustInOurCertificateIsSaid(t *testing.T) {
	s, _ := startTLS(t)
	nc := tls.Client(dial(t, s).Conn, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	if err := nc.Handshake(); err == nil {
		t.Fatal("got a handshake without trust")
	}
	s.log.wait(t, "level=WARN", "rule=tls", "code=163")
}

func TestPlainClientOnATLSPortIsSaidOnce(t *testing.T) {
	s, _ := startTLS(t)
	for _, b := range [][]byte{own(s, "a:legacy:app").bytes(), own(s, "a:legacy:app").bytes(), []byte("GET /api/v0002/device/types HTTP/1.1\r\n\r\n")} {
		c := dial(t, s)
		c.send(b)
		for { // an alert may come first
			if _, err := c.r.ReadByte(); err != nil {
				break
			}
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	lines := s.log.find("level=WARN", "rule=tls", "code=163")
	if len(lines) != 2 || lines[0]["n"] != "" || lines[1]["n"] != "2" {
		t.Errorf("got %v, want one line at once and one with the other two", lines)
	}
	if got := s.Stats(); got.Logins != 0 || got.Silent != 3 {
		t.Errorf("got %+v, want three that did not log in", got)
	}
}

func TestTLSClientOnAPlainPortIsSaidOnce(t *testing.T) {
	s := start(t, nil)
	for range 2 {
		nc := tls.Client(dial(t, s).Conn, &tls.Config{ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
		if err := nc.Handshake(); err == nil {
			t.Fatal("got a handshake from a plain port")
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	lines := s.log.find("level=WARN", "rule=tls", "code=105")
	if len(lines) != 2 || lines[1]["n"] != "1" {
		t.Errorf("got %v, want one line at once and one with the other", lines)
	}
}

func TestHandshakeThatNeverFinishesIsClosed(t *testing.T) {
	s, pool := startTLS(t)
	s.SetLoginWait(200 * time.Millisecond)
	c := dial(t, s)
	c.send([]byte{0x16, 3, 1, 2, 0, 1}) // the beginning of a ClientHello
	c.wantClosed()
	silent := dial(t, s).secured(&tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	silent.wantClosed() // a whole one, and no login
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, "rule=silent", "code=164", "n=2")
}

func TestCrowdOfHandshakesPushesOutItself(t *testing.T) {
	s, pool := startTLS(t)
	s.SetLoginWait(time.Hour)
	lone := dialFrom(t, s, "127.0.0.2")
	var crowd []*raw
	for range 2 * localplatform.MaxWaiting {
		c := dial(t, s)
		c.send([]byte{0x16, 3, 1, 2, 0, 1})
		crowd = append(crowd, c)
	}
	crowd[0].wantClosed()
	for _, c := range []*raw{lone, dialFrom(t, s, "127.0.0.3"), dial(t, s)} {
		in := c.secured(&tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
		in.send(own(s, "a:legacy:app").bytes())
		in.want(0x20, 2, 0, 0)
	}
}

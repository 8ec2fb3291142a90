package localplatform_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
)

// certificate is one for 127.0.0.1 and these names, and the pool that trusts it.
func certificate(t *testing.T, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestP41QuickstartHasNoTLS(t *testing.T) {
	cert, pool := certificate(t)
	s := startFull(t, func(cfg *localplatform.Config) {
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	})
	over := func() *raw {
		nc, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(patience))
		return &raw{t: t, Conn: nc, r: bufio.NewReader(nc)}
	}
	c := over()
	c.send(connect{id: "a:quickstart:app"}.bytes())
	c.want(0x20, 2, 0, 5)
	c.wantClosed()
	s.log.wait(t, "rule=quickstart", "connack=5")
	c = over()
	c.send(own(s, "a:legacy:app").bytes())
	c.want(0x20, 2, 0, 0)
	c.subscribed(0, anyApp)
	if m := status(t, c.event()); m["Secure"] != true {
		t.Errorf("got %v, want Secure", m)
	}
	c.publish("bad", nil, 0, 0, false)
	c.wantClosed() // a refusal ends TLS in order, too
}

// HTTP finds the same way over TLS, and without it is refused.
func TestRegistryOverTLS(t *testing.T) {
	cert, pool := certificate(t)
	s := start(t, func(cfg *localplatform.Config) {
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	})
	r := restOf(t, s)
	r.base = strings.Replace(r.base, "http:", "https:", 1)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	r.http = &http.Client{Transport: tr, Timeout: patience}
	r.want(201, "POST", "device/types", object{"id": "oven"})
	wantAt(t, r.want(200, "GET", "device/types/oven", nil), "id", "oven")
	if got := answers(t, s, "GET /api/v0002/device/types HTTP/1.1\r\nHost: x\r\n\r\n", 1); len(got) != 0 {
		t.Errorf("got %v without TLS, want no answer", got)
	}
}

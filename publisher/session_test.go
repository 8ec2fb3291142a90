package publisher

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const secret = "s3cr3t!*-$"

func openTo(t *testing.T, server string, secure *tls.Config) error {
	t.Helper()
	cfg, err := Config{ClientID: "a:legacy:test", User: "a-legacy-key", Password: secret, TLS: secure}.defaults()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := parseServer(server)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context(), cfg, srv, dialTCP, 0, nil)
	if err != nil {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("got %v, want no secret in it", err)
		}
		return err
	}
	s.close()
	return nil
}

func TestLoginIsMQTT311WithTheCredentials(t *testing.T) {
	b := newBroker()
	var user, password string
	b.onLogin = func(p *peer) byte { user, password = p.user, p.password; return 0 }
	if err := openTo(t, b.listen(t), nil); err != nil {
		t.Fatal(err)
	}
	if user != "a-legacy-key" || password != secret {
		t.Errorf("got %q and %q, want the key and the token", user, password)
	}
}

func TestRefusedLoginsSayWhy(t *testing.T) {
	for name, c := range map[string]struct {
		answer byte
		code   string
	}{
		"version":         {1, codeProtocol},
		"client id":       {2, codeClientID},
		"unavailable":     {3, codeUnavailable},
		"wrong password":  {4, codeLogin},
		"not allowed":     {5, codeLogin},
		"unknown answer":  {6, codeProtocol},
		"another one":     {0x80, codeProtocol},
		"closes the door": {0xff, codeUnreachable},
	} {
		b := newBroker()
		b.onLogin = func(*peer) byte { return c.answer }
		err := openTo(t, b.listen(t), nil)
		if f, ok := errors.AsType[*Failure](err); !ok || f.Code != c.code {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
		if n := b.loggedIn(); n != 1 {
			t.Errorf("%s: got %d logins, want 1: no second one as MQTT 3.1", name, n)
		}
	}
}

func TestServerThatNeverAnswersTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.onLogin = func(*peer) byte { time.Sleep(time.Hour); return 0 }
		r := newRig(t, Config{})
		r.dial = b.pipe
		began := time.Now()
		_, _, failure := r.login(t.Context())
		if d := time.Since(began); failure == nil || d != loginTime || !strings.Contains(failure.Why, "no answer") {
			t.Errorf("got %v after %v, want no answer after %v", failure, d, loginTime)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		r.login(ctx)
		if d := time.Since(began); d != time.Second {
			t.Errorf("got back %v after the context ended at 1s, want at once", d)
		}
		b.peers.Wait()
	})
}

func TestUnreachableServersSayWhy(t *testing.T) {
	for server, want := range map[string]string{
		"mqtt://127.0.0.1:1":          "nothing listens there",
		"mqtt://nowhere.invalid:1883": "not known",
		"mqtts://127.0.0.1:1":         "nothing listens there",
	} {
		if err := openTo(t, server, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", server, err, want)
		}
	}
}

func TestAddressesHoldNoSecrets(t *testing.T) {
	for _, text := range []string{"mqtt://key:" + secret + "@host:1883", "mqtt://key:" + secret + "@host:x", "mqtt://host:1883/" + secret,
		"mqtt://host:1883?token=" + secret, "tcp://" + secret, "mqtt://", "host:1883", "mqtt://[" + secret} {
		_, err := New(Config{Servers: []string{text}, ClientID: "a"}, nil)
		if err == nil {
			t.Errorf("%s: got nil, want it refused", text)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("got %v, want no secret in it", err)
		}
	}
	for text, want := range map[string]string{"mqtt://host": "host:1883", "mqtts://host": "host:8883", "mqtts://host:443/": "host:443", "mqtt://[::1]": "[::1]:1883"} {
		if srv, err := parseServer(text); err != nil || srv.addr != want {
			t.Errorf("%s: got %s, %v, want %s", text, srv.addr, err, want)
		}
	}
}

func TestTLS(t *testing.T) {
	good, pool := certificate(t, "localhost", time.Now().Add(time.Hour))
	old, oldPool := certificate(t, "localhost", time.Now().Add(-time.Hour))
	other, otherPool := certificate(t, "elsewhere", time.Now().Add(time.Hour))
	for name, c := range map[string]struct {
		server *tls.Config
		client *tls.Config
		code   string
		why    string
	}{
		"known":             {&tls.Config{Certificates: []tls.Certificate{good}}, &tls.Config{RootCAs: pool}, "", ""},
		"unknown authority": {&tls.Config{Certificates: []tls.Certificate{good}}, nil, codeTLS, "platform.ca"},
		"expired":           {&tls.Config{Certificates: []tls.Certificate{old}}, &tls.Config{RootCAs: oldPool}, codeTLS, "clock"},
		"another host":      {&tls.Config{Certificates: []tls.Certificate{other}}, &tls.Config{RootCAs: otherPool}, codeTLS, "another host"},
		"TLS 1.1":           {&tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS11}, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10}, codeTLS, ""},
		"plain":             {nil, nil, codeTLS, "mqtt://"},
	} {
		b := newBroker()
		plain := b.listen(t)
		address := strings.TrimPrefix(plain, "mqtt://")
		sni := make(chan string, 1)
		if c.server != nil {
			c.server.MinVersion = tls.VersionTLS10
			c.server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) { sni <- hello.ServerName; return nil, nil }
			address = tlsProxy(t, address, c.server)
		} else {
			address = talker(t)
		}
		_, port, _ := net.SplitHostPort(address)
		err := openTo(t, "mqtts://localhost:"+port, c.client)
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: got %v, want nil", name, err)
			}
		} else if f, ok := errors.AsType[*Failure](err); !ok || f.Code != c.code || !strings.Contains(f.Why, c.why) {
			t.Errorf("%s: got %v, want %s with %q", name, err, c.code, c.why)
		}
		if c.server != nil {
			if got := <-sni; got != "localhost" {
				t.Errorf("%s: got SNI %q, want localhost", name, got)
			}
		}
	}
}

// tlsProxy puts TLS before a broker.
func tlsProxy(t *testing.T, address string, cfg *tls.Config) string {
	t.Helper()
	return accept(t, func(c net.Conn) {
		over := tls.Server(c, cfg)
		if over.Handshake() != nil {
			return
		}
		to, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		done := make(chan struct{})
		go func() { copyAll(to, over); close(done) }()
		copyAll(over, to)
		<-done
	})
}

func copyAll(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

// talker says hello before it is asked.
func talker(t *testing.T) string {
	t.Helper()
	return accept(t, func(c net.Conn) {
		_, _ = c.Write([]byte("220 mail.example.com ESMTP\r\n"))
		_, _ = c.Read(make([]byte, 100))
	})
}

func accept(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func certificate(t *testing.T, host string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

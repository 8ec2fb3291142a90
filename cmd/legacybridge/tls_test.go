package main_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An authority issues certificates into a folder: ca.pem, and NAME.pem with NAME.key.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) issue(name string, is *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	check := func(err error) {
		a.t.Helper()
		if err != nil {
			a.t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	is.SerialNumber, is.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	is.NotBefore, is.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = is, key
	}
	der, err := x509.CreateCertificate(rand.Reader, is, parent, key.Public(), signer)
	check(err)
	cert, err := x509.ParseCertificate(der)
	check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	check(os.WriteFile(a.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	check(os.WriteFile(a.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return cert, key
}

func (a *authority) server(name string, hosts ...string) {
	is := &x509.Certificate{DNSNames: hosts, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	a.issue(name, is)
}

const tlsRows = `
[links.log]
file = "log.csv"
poll = "50ms"
[devices.kiln]
type = "kiln"
id = "KILN-1"
link = "log"
[devices.kiln.points]
zone = { column = "zone", type = "decimal" }
`

// The embedded platform with a certificate: our own sessions and a client that no one here wrote get in with TLS, and
// nobody without it.
func TestEmbeddedPlatformOverTLS(t *testing.T) {
	sub := need(t, "mosquitto_sub")
	a := newAuthority(t)
	a.server("platform", "legacy.messaging.example", "localhost")
	addr := freeAddr(t)
	host, port, _ := net.SplitHostPort(addr)
	state := t.TempDir()
	config := filepath.Join(t.TempDir(), "site.toml")
	writeFile(t, config, "schema = 1\n[site]\nname = \"test\"\n[local]\nlisten = \""+addr+"\"\ncert = \""+a.file("platform.pem")+"\"\nkey = \""+a.file("platform.key")+"\"\n"+tlsRows, 0o600)
	log := filepath.Join(filepath.Dir(config), "log.csv")
	writeFile(t, log, "zone\n", 0o600)
	b := startBridge(t, config, state)
	waitFor(t, 10*time.Second, "platform with TLS", func() bool { return strings.Contains(b.stderr.String(), "connected to the platform") })
	waitFor(t, 10*time.Second, "the day on which the certificate ends", func() bool { return strings.Contains(b.stderr.String(), "info  certificate file=") })
	raw, err := os.ReadFile(filepath.Join(state, "local", "key.json"))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	login := []string{"-h", host, "-p", port, "-i", "a:legacy:back", "-u", fields["api_key"], "-P", fields["token"], "-V", "mqttv311", "-q", "1", "-t", "iot-2/type/+/id/+/evt/+/fmt/+", "-C", "1", "-W", "20"}
	var got bytes.Buffer
	listening := exec.Command(sub, append(login, "--cafile", a.file("ca.pem"))...)
	listening.Stdout = &got
	if err := listening.Start(); err != nil {
		t.Fatal(err)
	}
	watched := make(chan error, 1)
	go func() { watched <- listening.Wait() }()
	row := 0
	waitFor(t, 20*time.Second, "an event over TLS", func() bool {
		row++
		f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString("1\n")
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-watched:
			if err != nil {
				t.Fatalf("mosquitto_sub: %v", err)
			}
			return true
		default:
			return false
		}
	})
	if !strings.Contains(got.String(), `{"d":{"zone":1}`) {
		t.Errorf("got %q, want an event", got.String())
	}
	if out, err := exec.Command(sub, append(login, "-W", "1")...).CombinedOutput(); err == nil {
		t.Errorf("without TLS: got %s, want no way in", out)
	}
	seen := exec.Command(program, "watch", "events", "--limit", "0", "--for", "1s", "-c", config, "--state", state)
	if out, err := seen.CombinedOutput(); err != nil || !strings.Contains(string(out), "events in") {
		t.Errorf("watch over TLS: %v\n%s", err, out)
	}
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A server that wants a client certificate gets ours, and none that is not of its authority gets in.
func TestClientCertificateIsShown(t *testing.T) {
	a, foreign := newAuthority(t), newAuthority(t)
	a.server("broker", "localhost")
	for name, c := range map[string]struct {
		by  *authority
		let bool
	}{"known": {a, true}, "of another authority": {foreign, false}} {
		t.Run(name, func(t *testing.T) {
			m := startMosquitto(t, "cafile "+a.file("ca.pem"), "certfile "+a.file("broker.pem"), "keyfile "+a.file("broker.key"), "require_certificate true")
			c.by.issue("bridge", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			config := siteFileWith(t, m.addr, "ca = \""+a.file("ca.pem")+"\"\ncert = \""+c.by.file("bridge.pem")+"\"\nkey = \""+c.by.file("bridge.key")+"\"\n", tlsRows)
			text, err := os.ReadFile(config)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, config, strings.Replace(string(text), "mqtt://", "mqtts://", 1), 0o600)
			writeFile(t, filepath.Join(filepath.Dir(config), "log.csv"), "zone\n1\n", 0o600)
			b := startBridge(t, config, t.TempDir())
			want := "info  connected to the platform"
			if !c.let {
				want = "does not accept our certificate"
			}
			waitFor(t, 15*time.Second, want, func() bool { return strings.Contains(b.stderr.String(), want) })
			if !c.let && strings.Contains(b.stderr.String(), "info  connected to the platform") {
				t.Errorf("a stranger got in:\n%s", b.stderr.String())
			}
		})
	}
}

// Verification of certificates cannot be switched off: nothing in the tree knows how.
func TestVerificationCannotBeSwitchedOff(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("InsecureSkip"+"Verify")) {
			t.Errorf("%s can switch off the verification of certificates", path)
		}
		return err
	})
	if err != nil || files < 100 {
		t.Errorf("got %d files, %v, want all of the tree", files, err)
	}
}

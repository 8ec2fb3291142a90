package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newPair returns a self-signed certificate that is good for so long, and its key, both PEM.
func newPair(t *testing.T, good time.Duration) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(good), DNSNames: []string{"platform.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", keyDER)
}

func TestCertificates(t *testing.T) {
	cert, key := newPair(t, 365*24*time.Hour)
	_, otherKey := newPair(t, 365*24*time.Hour)
	text := `schema = 1
site.name = "x"
[platform]
server  = "mqtts://broker.example.com"
org     = "o"
api_key = "a-o-k"
token   = { file = "token" }
ca      = "ca.pem"
cert    = "ca.pem"
key     = "key.pem"
`
	load := func(file string) (*Config, Problems) { return Load(file, Options{}) }
	file := write(t, "a.toml", text, "token", "s3cret", "ca.pem", cert, "key.pem", key)
	cfg, problems := load(file)
	if cfg == nil || len(problems) > 0 || cfg.Platform.TLS.RootCAs == nil || cfg.Platform.TLS.GetClientCertificate == nil || len(cfg.Certificates) != 1 {
		t.Fatalf("got %v", problems)
	}
	keyFile := filepath.Join(filepath.Dir(file), "key.pem")
	if err := os.Chmod(keyFile, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, problems := load(file); len(problems) != 1 || problems[0].Code != "SEC002" {
		t.Errorf("key that the group may read: got %v", problems)
	}
	_, problems = load(write(t, "a.toml", text, "token", "s3cret", "ca.pem", cert, "key.pem", otherKey))
	if len(problems) != 1 || problems[0].Code != "SEC007" || !strings.Contains(problems[0].Message, "do not fit together") {
		t.Errorf("key of another certificate: got %v", problems)
	}
}

func TestEndOfACertificateIsToldAMonthBefore(t *testing.T) {
	const text = "schema = 1\nsite.name = \"x\"\n[local]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n"
	const day = 24 * time.Hour
	for left, want := range map[time.Duration]string{31 * day: "", 30*day - time.Hour: "in 29 days", 7*day - time.Hour: "in 6 days"} {
		cert, key := newPair(t, left)
		cfg, problems := Load(write(t, "a.toml", text, "cert.pem", cert, "key.pem", key), Options{})
		switch {
		case cfg == nil || cfg.LocalCfg.TLS == nil || len(cfg.Certificates) != 1:
			t.Errorf("%v left: got %v, want a listener with TLS", left, problems)
		case want == "" && len(problems) > 0, want != "" && (len(problems) != 1 || problems[0].Code != "SEC009" || !strings.Contains(problems[0].Message, want)):
			t.Errorf("%v left: got %v, want %q", left, problems, want)
		}
	}
}

func TestRenewedCertificateIsUsedWithoutARestart(t *testing.T) {
	cert, key := newPair(t, time.Hour)
	dir := filepath.Dir(write(t, "cert.pem", cert, "key.pem", key))
	c := &Certificate{File: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	serial := func() string {
		t.Helper()
		pair, err := c.Get()
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()
	cert, key = newPair(t, time.Hour)
	renew := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Hour) // file systems with coarse times
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
	}
	renew("cert.pem", cert)
	if got := serial(); got != first {
		t.Errorf("half renewed: got %s, want %s until the key is there too", got, first)
	}
	renew("key.pem", key)
	if got := serial(); got == first {
		t.Error("got the old certificate, want the renewed one")
	}
}

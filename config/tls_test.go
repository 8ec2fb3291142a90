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
)

// newPair returns a self-signed certificate and its key, both PEM.
func newPair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
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
	cert, key := newPair(t)
	_, otherKey := newPair(t)
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
	if cfg == nil || len(problems) > 0 || cfg.Platform.TLS.RootCAs == nil || len(cfg.Platform.TLS.Certificates) != 1 {
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

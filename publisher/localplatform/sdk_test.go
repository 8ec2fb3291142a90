package localplatform_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"legacybridge/publisher/localplatform"
)

const sdkDomain = "platform.test"

// platformCertificate is for the host names that IBM's client makes of an organisation and a domain, and the file of its
// authority, which is itself.
func platformCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	cert, _ := certificate(t, "*.messaging."+sdkDomain, "*."+sdkDomain)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	return cert, file
}

// leftOut skips where a peer is not installed, and fails where it must be.
func leftOut(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("left out: %s is not installed", what)
}

// IBM's own client, as the package registry has it, over TLS: events, commands, status, registry, sharing.
func TestPlatformServesTheVendorsClient(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		leftOut(t, "node")
	}
	if _, err := os.Stat("testdata/sdk/node_modules/@wiotp/sdk"); err != nil {
		leftOut(t, "the package @wiotp/sdk (npm ci in testdata/sdk)")
	}
	cert, ca := platformCertificate(t)
	s := startSecure(t, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}})
	key, token := s.Key()
	_, port, _ := net.SplitHostPort(s.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "-r", "./lookup.js", "clients.js")
	cmd.Dir = "testdata/sdk"
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca, "DOMAIN="+sdkDomain, "PORT="+port, "ORG=legacy", "KEY="+key, "TOKEN="+token.Reveal())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ok all\n") {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// startSecure runs a platform with TLS until the test ends.
func startSecure(t *testing.T, secure *tls.Config) *localplatform.Platform {
	t.Helper()
	p, err := localplatform.Open(localplatform.Config{Listen: "127.0.0.1:0", Org: "legacy", Store: t.TempDir(), TLS: secure,
		Devices: []localplatform.Device{{Type: "kiln", ID: "K-1"}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

package localplatform_test

import (
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"testing"
)

// The Python client of the Eclipse Foundation, over TLS.
func TestPlatformServesThePythonClient(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	if exec.Command(python, "-c", "import paho.mqtt.client").Run() != nil {
		leftOut(t, "python3-paho-mqtt")
	}
	cert, ca := platformCertificate(t)
	s := startSecure(t, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}})
	key, token := s.Key()
	_, port, _ := net.SplitHostPort(s.Addr().String())
	cmd := exec.CommandContext(t.Context(), python, "testdata/python/client.py")
	cmd.Env = append(os.Environ(), "CA="+ca, "DOMAIN=messaging."+sdkDomain, "PORT="+port, "ORG=legacy", "KEY="+key, "TOKEN="+token.Reveal())
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

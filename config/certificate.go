package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// EndsSoon is when the end of a certificate is told: somebody has to order a new one.
const EndsSoon = 30 * 24 * time.Hour

// A Certificate is one of ours, with its private key. Get may be called concurrently; it reads the files again when
// they have changed, so that a renewed one is used from the next connection on.
type Certificate struct {
	Use           string // "platform" or "local": the table it stands in
	File, KeyFile string

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time
}

// Get is the certificate as it is on disk now, or the last one that was good.
func (c *Certificate) Get() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var stamp [2]time.Time
	for i, file := range []string{c.File, c.KeyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return c.last(err)
		}
		stamp[i] = info.ModTime()
	}
	if c.current != nil && stamp == c.stamp {
		return c.current, nil
	}
	pair, err := tls.LoadX509KeyPair(c.File, c.KeyFile)
	if err != nil {
		return c.last(err) // half renewed: the other file comes in a moment
	}
	c.current, c.stamp = &pair, stamp
	return c.current, nil
}

func (c *Certificate) last(err error) (*tls.Certificate, error) {
	if c.current != nil {
		return c.current, nil
	}
	return nil, fmt.Errorf("certificate %s: %w", c.File, err)
}

// Ends is the last moment at which the certificate is good.
func (c *Certificate) Ends() (time.Time, error) {
	pair, err := c.Get()
	if err != nil {
		return time.Time{}, err
	}
	return pair.Leaf.NotAfter, nil
}

// certificate reads the files that the keys cert and key of a table name, nil if there is none or none that can be used.
func (l *loader) certificate(n *node, use string, cfg *Config) *Certificate {
	cert, key := n.kid("cert"), n.kid("key")
	if (cert == nil) != (key == nil) {
		k, other := cert, "key"
		if k == nil {
			k, other = key, "cert"
		}
		p := l.errorf("KEY006", k.key(), "%q has no %q", k.name, other)
		p.label = "a certificate of ours is both"
		return nil
	}
	if info, err := os.Stat(l.pathOf(n, "key", "")); err == nil && n.has("key") && !l.private(key, info) {
		return nil
	}
	_, ok1 := l.pem(cert)
	_, ok2 := l.pem(key)
	if !ok1 || !ok2 {
		return nil
	}
	c := &Certificate{Use: use, File: l.pathOf(n, "cert", ""), KeyFile: l.pathOf(n, "key", "")}
	ends, err := c.Ends()
	if err != nil {
		why := errors.Unwrap(err)
		p := l.errorf("SEC007", cert.value(), "certificate and key do not fit together: %s", strings.TrimPrefix(why.Error(), "tls: "))
		p.second, p.there = key.value(), "the key"
		return nil
	}
	cfg.Certificates = append(cfg.Certificates, c)
	if left := time.Until(ends); left < EndsSoon {
		why := fmt.Sprintf("ends on %s, in %d days", ends.UTC().Format(time.DateOnly), int(left/(24*time.Hour)))
		if left < 0 {
			why = "ended on " + ends.UTC().Format(time.DateOnly)
		}
		l.warnf("SEC009", cert.value(), "the certificate %s", why).label = "have it renewed; the file is read again when it changes"
	}
	return c
}

// clientTLS is for servers that are reached through mqtts. What cannot be read is a warning, as with secrets: check may
// run elsewhere.
func (l *loader) clientTLS(n *node, cfg *Config) {
	secure := strings.Contains(strings.Join(cfg.Platform.Servers, " "), "mqtts:")
	for _, name := range []string{"ca", "cert", "key"} {
		if k := n.kid(name); k != nil && !secure && !k.bad {
			p := l.errorf("PLT026", k.key(), "%q is of no use without encryption", k.name)
			p.label = "no server begins with mqtts://"
			return
		}
	}
	ca, own := n.kid("ca"), l.certificate(n, "platform", cfg)
	if ca == nil && own == nil {
		return
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if pem, ok := l.pem(ca); ok {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			l.errorf("SEC007", ca.value(), "%s holds no certificate", ca.value().written()).label = "PEM, with BEGIN CERTIFICATE"
		}
	}
	if own != nil {
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.Get() }
	}
	cfg.Platform.TLS = t
}

// listenerTLS is for the embedded platform; nil without a certificate.
func (l *loader) listenerTLS(n *node, cfg *Config) *tls.Config {
	own := l.certificate(n, "local", cfg)
	if own == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.Get() }}
}

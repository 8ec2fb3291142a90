package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"legacybridge/config"
	"legacybridge/publisher"
)

// newCertificate is one of ours that is good until ends.
func newCertificate(t *testing.T, ends time.Time) *config.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: ends.AddDate(-1, 0, 0), NotAfter: ends, DNSNames: []string{"platform.example"}}
	der, err := x509.CreateCertificate(rand.Reader, is, is, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Certificate{Use: "local", File: filepath.Join(t.TempDir(), "cert.pem"), KeyFile: filepath.Join(t.TempDir(), "key.pem")}
	for file, block := range map[string]*pem.Block{c.File: {Type: "CERTIFICATE", Bytes: der}, c.KeyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestEndOfCertificatesIsToldDailyInTheLastMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		said := &lockedText{}
		b := newBoard(slog.New(slog.NewTextHandler(said, nil)))
		ours := newCertificate(t, time.Now().Add(31*day+time.Hour))
		go b.certificates(t.Context(), []*config.Certificate{ours})
		count := func(what ...string) (n int) {
			synctest.Wait()
			for line := range strings.Lines(said.String()) {
				met := true
				for _, w := range what {
					met = met && strings.Contains(line, w)
				}
				if met {
					n++
				}
			}
			return n
		}
		if got := count("SEC009"); got != 0 || count("level=INFO", "msg=certificate", "cert.pem") != 1 {
			t.Errorf("31 days before: got %d warnings, want none and the day it ends:\n%s", got, said)
		}
		time.Sleep(2*day + time.Minute) // 29 days are left
		if got := count("SEC009", "level=WARN", "cert.pem"); got != 1 {
			t.Errorf("29 days before: got %d warnings, want 1:\n%s", got, said)
		}
		time.Sleep(23 * day)
		if got := count("SEC009", "level=ERROR", "cert.pem"); got != 1 {
			t.Errorf("6 days before: got %d errors, want 1:\n%s", got, said)
		}
		time.Sleep(7 * day)
		if got := count("has ended"); got != 1 {
			t.Errorf("after its end: got %d, want 1:\n%s", got, said)
		}
		state := publisher.State{Server: "platform:8883", CertEnds: time.Now().Add(20 * day)}
		b.setPlatform(state)
		b.setPlatform(state)
		if got := count("SEC009", "server=platform:8883"); got != 1 {
			t.Errorf("platform's certificate: got %d lines at the login, want 1", got)
		}
		time.Sleep(day)
		if got := count("SEC009", "server=platform:8883"); got != 2 {
			t.Errorf("platform's certificate: got %d lines a day later, want 2", got)
		}
	})
}

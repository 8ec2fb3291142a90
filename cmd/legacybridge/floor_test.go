package main

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"
)

func TestTheBuildDateIsKnownInEveryKindOfBuild(t *testing.T) {
	vcs := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.time", Value: "2027-03-04T05:06:07Z"}}}
	for _, c := range []struct {
		name, built string
		info        *debug.BuildInfo
		want        string
	}{
		{"by the linker", "2027-05-06T07:08:09+02:00", vcs, "2027-05-06T05:08:09Z"},
		{"go build in a checkout", "", vcs, "2027-03-04T05:06:07Z"},
		{"go build of an archive", "", &debug.BuildInfo{}, "2026-01-01T00:00:00Z"},
		{"without any", "soon", nil, "2026-01-01T00:00:00Z"},
		{"a builder without a clock", "1970-01-01T00:00:09Z", nil, "2026-01-01T00:00:00Z"},
	} {
		if got := floorOf(c.built, c.info).Format(time.RFC3339); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestCertificatesAreCheckedAtTheLastKnownTimeWhileTheClockIsUnset(t *testing.T) {
	floor := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	if got := lastKnown(filepath.Join(dir, "none"), floor); !got.Equal(floor) {
		t.Errorf("first run: got %v, want the build date", got)
	}
	ran := floor.Add(400 * 24 * time.Hour)
	for name, at := range map[string]time.Time{"cursor": ran, "old": floor.Add(-time.Hour)} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	known := lastKnown(dir, floor)
	if !known.Equal(ran) {
		t.Errorf("got %v, want when the queue was last written", known)
	}
	now := time.Unix(40, 0)
	own := &tls.Config{MinVersion: tls.VersionTLS13}
	c := withClock(own, func() time.Time { return now }, floor, known)
	if got := c.Time(); !got.Equal(ran) || c.MinVersion != tls.VersionTLS13 || own.Time != nil {
		t.Errorf("in 1970: got %v of %+v, want the last known time and all else as configured", got, c)
	}
	now = floor.Add(time.Hour)
	if got := c.Time(); !got.Equal(now) {
		t.Errorf("with a clock: got %v, want what it shows", got)
	}
	if c := withClock(nil, time.Now, floor, known); c.Time == nil || c.MinVersion != tls.VersionTLS12 {
		t.Errorf("without a TLS configuration: got %+v", c)
	}
}

package main

import (
	"crypto/tls"
	"os"
	"runtime/debug"
	"time"
)

// The source is not older than the year in which this was written. It is the floor for machine times where a build does not say when it was made.
var written = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// buildTime is the floor for machine times: the linker's built, or the time of the commit, which `go build` notes by
// itself, but never before this was written.
func buildTime() time.Time {
	info, _ := debug.ReadBuildInfo()
	return floorOf(built, info)
}

func floorOf(built string, info *debug.BuildInfo) time.Time {
	floor := written
	take := func(text string) bool {
		t, err := time.Parse(time.RFC3339, text)
		if err == nil && t.After(floor) {
			floor = t.UTC()
		}
		return err == nil
	}
	if take(built) || info == nil {
		return floor
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			take(s.Value)
		}
	}
	return floor
}

// lastKnown is the latest time at which this site is known to have run: when its queue was last written. Without a clock
// at boot it is nearer to the truth than the build date.
func lastKnown(folder string, floor time.Time) time.Time {
	entries, _ := os.ReadDir(folder) // none on the first run
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().After(floor) {
			floor = info.ModTime()
		}
	}
	return floor.Round(0)
}

// withClock lets certificates be checked before the clock is set: then it counts as known, the last time we know of. A
// clock that is set is believed, also where it is earlier than that.
func withClock(c *tls.Config, now func() time.Time, floor, known time.Time) *tls.Config {
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c = c.Clone()
	c.Time = func() time.Time {
		if t := now(); !t.Before(floor) {
			return t
		}
		return known
	}
	return c
}

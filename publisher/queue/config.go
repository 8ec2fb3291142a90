package queue

import (
	"log/slog"
	"path/filepath"
	"time"
)

// WhenFull says what becomes of a link's new events while there is no room.
type WhenFull byte

const (
	StopReading WhenFull = iota
	DropOldest
	DropNewest
)

// Config is a queue folder and its dead letters.
type Config struct {
	Path       string
	MaxBytes   int64               // of the segments on disk; 0 = 512 MiB
	MaxAge     time.Duration       // 0 = 7 d
	Linger     time.Duration       // group commit; 0 = at once
	WhenFull   map[string]WhenFull // by link; left out = StopReading
	Dead       DeadConfig
	Segment    int64     // bytes of a segment; 0 = 8 MiB, less where MaxBytes or the disk is small
	ClockFloor time.Time // a machine time before it (the build date) was not set; zero = 2020
	FS         FS        // nil = the real one
	Log        *slog.Logger
}

// DeadConfig is the folder of the dead letters.
type DeadConfig struct {
	Path     string        // "" = dead, in the folder of the queue
	MaxBytes int64         // 0 = 64 MiB
	MaxAge   time.Duration // 0 = 30 d
}

func (c Config) withDefaults() Config {
	if c.MaxBytes <= 0 {
		c.MaxBytes = 512 << 20
	}
	if c.MaxAge <= 0 {
		c.MaxAge = 7 * 24 * time.Hour
	}
	if c.Dead.Path == "" {
		c.Dead.Path = filepath.Join(c.Path, "dead")
	}
	if c.Dead.MaxBytes <= 0 {
		c.Dead.MaxBytes = 64 << 20
	}
	if c.Dead.MaxAge <= 0 {
		c.Dead.MaxAge = 30 * 24 * time.Hour
	}
	if c.ClockFloor.IsZero() {
		c.ClockFloor = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if c.FS == nil {
		c.FS = disk{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// segment is how large a segment gets on a disk of that size: a sixteenth of what the queue may take, so that a full one
// gives up little at a time, and what was delivered makes room long before all was.
func (c *Config) segment(disk int64) int64 {
	if c.Segment > 0 {
		return c.Segment
	}
	most := c.MaxBytes
	if disk > 0 {
		most = min(most, disk)
	}
	return min(8<<20, max(most/16, 64<<10))
}

package main

import (
	"context"
	"log/slog"
	"time"

	"legacybridge/config"
)

// endsNow is when the end of a certificate becomes an error: somebody has to act this week.
const endsNow = 7 * 24 * time.Hour

// certificates tells when certificates end, ours and the one that the platform showed: once at the start, then daily
// for those that end within a month.
func (b *board) certificates(ctx context.Context, ours []*config.Certificate) {
	daily := time.NewTicker(24 * time.Hour)
	defer daily.Stop()
	for _, c := range ours {
		if ends, err := c.Ends(); err == nil {
			b.log.Info("certificate", "file", c.File, "ends", ends.UTC().Format(time.DateOnly))
		}
	}
	for {
		for _, c := range ours {
			if ends, err := c.Ends(); err != nil {
				b.log.Error("certificate cannot be read", "file", c.File, "err", err)
			} else {
				b.ending(ends, "file", c.File)
			}
		}
		b.mu.Lock()
		platform := b.platform
		b.mu.Unlock()
		b.ending(platform.CertEnds, "server", platform.Server)
		select {
		case <-daily.C:
		case <-ctx.Done():
			return
		}
	}
}

// ending tells that a certificate ends soon, with what says which.
func (b *board) ending(ends time.Time, which ...any) {
	left := time.Until(ends)
	if ends.IsZero() || left > config.EndsSoon {
		return
	}
	level, msg := slog.LevelWarn, "certificate ends soon"
	if left < endsNow {
		level = slog.LevelError
	}
	if left < 0 {
		msg = "certificate has ended"
	}
	b.log.Log(context.Background(), level, msg, append(which, "ends", ends.UTC().Format(time.DateOnly), "code", "SEC009")...)
}

package main

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"legacybridge/publisher/localplatform"
)

// Times of the look at the registry: it is tried again while the registry cannot be reached, and repeated while
// something is missing, so that the log ends with how it is.
const (
	preflightRetry  = time.Minute
	preflightRepeat = 10 * time.Minute
	preflightNames  = 10 // devices named in one line
)

// missingDevices are those that the registry does not have, as far as it is known.
type missingDevices struct {
	set atomic.Pointer[map[localplatform.Device]bool]
}

func (m *missingDevices) has(typ, id string) bool {
	set := m.set.Load()
	return set != nil && (*set)[localplatform.Device{Type: typ, ID: id}]
}

func (m *missingDevices) take(lines []deviceLine) {
	set := map[localplatform.Device]bool{}
	for _, l := range lines {
		if l.State != registered {
			set[localplatform.Device{Type: l.Type, ID: l.ID}] = true
		}
	}
	m.set.Store(&set)
}

// preflight says which configured devices the platform does not know. It runs beside everything else and holds nothing
// up: a device may be registered at any time, and what cannot be looked up is left to the platform.
func preflight(ctx context.Context, log *slog.Logger, r *registry, devices []localplatform.Device, missing *missingDevices) {
	defer r.Close()
	said := ""
	for {
		lines, n, err := compare(ctx, devices, r)
		wait := preflightRepeat
		if err == nil {
			missing.take(lines)
		}
		switch {
		case ctx.Err() != nil:
			return
		case status(err) == http.StatusUnauthorized, status(err) == http.StatusForbidden:
			log.Warn("the registry could not be asked whether the devices are registered; events are sent all the same", "err", err, "code", "PLT016")
			return // only a new configuration changes that
		case err != nil:
			wait = preflightRetry
			if said != err.Error() {
				said = err.Error()
				log.Warn("the registry could not be asked whether the devices are registered, will retry; events are sent all the same", "err", err, "dur", wait, "code", "PLT016")
			}
		case n == 0:
			log.Info("all devices are registered", "n", len(lines))
			return
		default:
			if names := missingNames(lines, n); names != said {
				said = names
				log.Error("devices are not registered: the platform does not take their events; register them with  legacybridge devices register --missing",
					"n", n, "device", names, "code", "PLT017")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// missingNames are the first devices that are not registered, each with what is missing.
func missingNames(lines []deviceLine, n int) string {
	var names []string
	for _, l := range lines {
		if l.State == registered {
			continue
		}
		if len(names) == preflightNames {
			names = append(names, "…")
			break
		}
		names = append(names, l.Type+"/"+l.ID+" ("+string(l.State)+")")
	}
	return strings.Join(names, ", ")
}

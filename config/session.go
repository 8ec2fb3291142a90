package config

import (
	"strings"
	"time"

	"legacybridge/publisher/wiotp"
)

// maxSharedKeepAlive is what the platform allows to the clients of a scalable application.
const maxSharedKeepAlive = time.Hour

// session settles what the platform sees of this program: the form of its client id, and whether its session is kept.
func (l *loader) session(n *node, cfg *Config) {
	cfg.Scalable, cfg.Instance = val(n, "scalable", false), val(n, "instance", "")
	k := n.kid("instance")
	switch {
	case !n.has("instance"):
	case !cfg.Scalable:
		p := l.errorf("KEY006", k.key(), `"instance" has no "scalable"`)
		p.label = "add  scalable = true"
		cfg.Instance = ""
	case !wiotp.ValidSegment(cfg.Instance):
		l.errorf("PLT023", k.value(), "%q cannot be the name of an instance", cfg.Instance).label = "use 1 to 36 of the characters A-Z a-z 0-9 _ . -"
		cfg.Instance = ""
	}
	cfg.Platform.ClientID = cfg.Client("").String()
	// The platform's document wants the session of A:ORG:APP kept, though nothing of it is.
	cfg.Platform.KeepSession = !val(n, "clean_session", !cfg.Scalable || cfg.Instance != "")
	if cfg.Scalable && cfg.Platform.KeepAlive > maxSharedKeepAlive {
		p := l.errorf("TYP004", n.kid("keepalive").value(), "%s is too long for a scalable application", short(cfg.Platform.KeepAlive))
		p.label = "at most " + short(maxSharedKeepAlive)
	}
	if cfg.Org == wiotp.Quickstart {
		l.quickstart(n, cfg)
	}
}

// Client is the client id of a session of this program; suffix tells the further ones from the one that publishes.
func (c *Config) Client(suffix string) wiotp.ClientID {
	id := wiotp.ClientID{Class: wiotp.Application, Org: c.Org, App: c.App + suffix}
	if c.Scalable {
		id.Class, id.Instance = wiotp.ScalableApplication, c.Instance
	}
	return id
}

// quickstart refuses what the organisation without keys does not have.
func (l *loader) quickstart(n *node, cfg *Config) {
	for _, not := range []struct {
		key, why string
		is       bool
	}{
		{"api_key", "Quickstart knows no keys", n.kid("api_key") != nil},
		{"token", "Quickstart knows no keys", n.kid("token") != nil},
		{"scalable", "Quickstart has no scalable applications", cfg.Scalable},
		{"clean_session", "Quickstart keeps no sessions", cfg.Platform.KeepSession && !cfg.Scalable},
		{"ca", "Quickstart has no encryption", n.kid("ca") != nil},
		{"cert", "Quickstart has no encryption", n.kid("cert") != nil},
		{"server", "Quickstart has no encryption", strings.Contains(strings.Join(cfg.Platform.Servers, " "), "mqtts:")},
	} {
		if not.is {
			p := l.errorf("PLT031", n.kid(not.key).key(), "%s", not.why)
			if p.label = "leave it out, or name an organisation of your own"; not.key == "server" {
				p.label = "use mqtt://"
			}
		}
	}
}

// qos settles the quality of service of an event, from the places where it may stand. A kept session excludes 2, and
// Quickstart has 0 alone.
func (b *linkBuilder) qos(n *node) byte {
	usual, most, why := int64(1), int64(2), ""
	switch {
	case b.cfg.Org == wiotp.Quickstart:
		usual, most, why = 0, 0, "Quickstart has QoS 0 only"
	case b.cfg.Platform.KeepSession:
		most, why = 1, "QoS 2 needs a clean session, or packet ids of a new connection would be taken for repeats"
	}
	for _, at := range []*node{n, b.def, b.single["platform"]} {
		if !at.has("qos") {
			continue
		}
		k, qos := at.kid("qos"), val(at, "qos", usual)
		if qos > most {
			k.bad = true // once is enough, though many events may have it from here
			b.errorf("PLT032", k.value(), "QoS %d is not possible here", qos).label = why
		}
		return byte(min(qos, most))
	}
	return byte(usual)
}

package config

import (
	"crypto/tls"
	"crypto/x509"
	"net"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

// localOrganisation is the embedded platform's own, beside which it may serve Quickstart.
func localOrganisation(org string) string {
	if org == wiotp.Quickstart {
		return localOrg
	}
	return org
}

func (l *loader) local(cfg *Config) localplatform.Config {
	n := l.single["local"]
	local := localplatform.Config{
		Listen:     val(n, "listen", "127.0.0.1:1883"),
		Org:        localOrganisation(cfg.Org),
		Store:      val(n, "store", "state:local"),
		MaxPayload: int(val(n, "max_payload", int64(defaultMaxPayload))),
	}
	if local.Store != "memory" {
		local.Store = l.pathOf(n, "store", "state:local")
	}
	localRules(&local, n.sub("rules"))
	if n.has("users") {
		local.Users = l.users(n.sub("users"), cfg)
	}
	local.TLS = l.listenerTLS(n, cfg)
	if n.has("listen") && !loopback(local.Listen) {
		at := n.kid("listen").value()
		if !n.has("users") {
			p := l.errorf("SEC005", at, "others can reach %s, and no [local.users] says who may", local.Listen)
			p.label = "listen on 127.0.0.1, or name the users"
		}
		if n.kid("cert") == nil {
			p := l.warnf("SEC010", at, "on the way to %s tokens and events can be read by others", local.Listen)
			p.label = "add  cert = …  and  key = …, or listen on 127.0.0.1"
		}
	}
	if cfg.Local && cfg.Platform.MaxPayload > local.MaxPayload {
		at, label := n.kid("max_payload"), "the embedded platform hangs up above it"
		if p := l.single["platform"]; p.has("max_payload") {
			at = p.kid("max_payload")
		}
		p := l.errorf("PLT029", at.value(), "platform.max_payload is %d, and local.max_payload %d", cfg.Platform.MaxPayload, local.MaxPayload)
		p.label = label
	}
	return local
}

// loopback says whether only this machine reaches an address.
func loopback(listen string) bool {
	host, _, _ := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ReachLocal is how our own sessions reach the embedded platform that listens on addr. Its certificate may name any
// host, so it is trusted itself, by the name that it bears.
func (c *Config) ReachLocal(addr string) (server string, secure *tls.Config, err error) {
	if c.LocalCfg.TLS == nil {
		return "mqtt://" + addr, nil, nil
	}
	pair, err := c.LocalCfg.TLS.GetCertificate(nil)
	if err != nil {
		return "", nil, err
	}
	secure = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), ServerName: addr}
	secure.RootCAs.AddCert(pair.Leaf)
	switch {
	case len(pair.Leaf.DNSNames) > 0:
		secure.ServerName = pair.Leaf.DNSNames[0]
	case len(pair.Leaf.IPAddresses) > 0:
		secure.ServerName = pair.Leaf.IPAddresses[0].String()
	}
	return "mqtts://" + addr, secure, nil
}

// localRules are where the platform's document and the real server differ, and plain settings.
func localRules(local *localplatform.Config, n *node) {
	if val(n, "unregistered", "reject") == "accept" {
		local.Unregistered = localplatform.AcceptUnregistered
	}
	local.ScalableCleanSession = map[string]wiotp.CleanSession{"server": wiotp.CleanServer, "any": wiotp.CleanAny}[val(n, "scalable_clean_session", "document")]
	if val(n, "quickstart_wildcards", "document") == "server" {
		local.QuickstartWildcards = wiotp.ServerWildcards
	}
	local.Quickstart = val(n, "quickstart", loopback(local.Listen))
	local.Buffer = int(val(n, "buffer", int64(0)))
	local.Throttle = int(val(n, "throttle", int64(0)))
}

package config

import (
	"net"
	"net/url"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

// A Registry is where the devices are registered, for `devices` and the look at the start; URL is "" where none is
// named.
type Registry struct {
	URL   string // up to and with /api/v0002
	Key   string
	Token wiotp.Token
}

// registry reads [platform.registry]. Its key is not bound to [platform] org: the same people may run both.
func (l *loader) registry(n *node) Registry {
	if n == nil {
		return Registry{}
	}
	r := Registry{URL: val(n, "url", ""), Key: val(n, "api_key", ""), Token: val(n, "token", wiotp.Token(""))}
	if n.has("url") {
		u, err := url.Parse(r.URL)
		switch at := n.kid("url").value(); {
		case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
			l.errorf("PLT033", at, "this is not the address of a registry").label = "https://HOST/api/v0002"
		case u.Scheme == "http" && !loopbackHost(u.Hostname()):
			l.errorf("PLT033", at, "the key would travel where others can read it").label = "begin with https://"
		case u.Scheme != "https" && u.Scheme != "http":
			l.errorf("PLT033", at, "a registry cannot be reached by %q", u.Scheme).label = "begin with https://"
		}
	}
	if r.Token != "" {
		l.token(n.kid("token"), r.Token)
	}
	return r
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// user is one entry of [local.users].
func (l *loader) user(n *node) localplatform.User {
	u := localplatform.User{Token: val(n, "token", wiotp.Token(""))}
	u.Role, _ = wiotp.ParseRole(val(n, "role", wiotp.Standard.String())) // the grammar has checked the word
	if !n.has("devices") {
		return u
	}
	group, err := wiotp.ParseGroup(val(n, "devices", []string(nil)))
	if err != nil {
		p := l.errorf("PLT034", n.kid("devices").value(), "%v", err)
		p.label = `write TYPE/ID, such as "kiln/*"`
		return u
	}
	u.Group = group
	return u
}

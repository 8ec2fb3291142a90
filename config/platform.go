package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"legacybridge/publisher"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

const (
	defaultMaxPayload = wiotp.MaxPayload
	localOrg          = "legacy"
	// maxApp leaves room for what the sessions for watching and commands append, within an application id.
	maxApp = 24
)

// platform fills what the publisher and further sessions need.
func (l *loader) platform(cfg *Config) {
	n := l.single["platform"]
	list := val(n, "server", []string(nil))
	badServer := n.kid("server") != nil && !n.has("server")
	cfg.Local = len(list) == 0 && !badServer
	cfg.Platform = publisher.Config{
		Servers:    list,
		KeepAlive:  val(n, "keepalive", 30*time.Second),
		Window:     int(val(n, "window", int64(100))),
		MaxPayload: int(val(n, "max_payload", int64(defaultMaxPayload))),
		Topic:      val(n, "topic", publisher.DefaultTopic),
		Backoff:    l.backoff(n.sub("backoff")),
	}
	own := cfg.Platform.Topic != publisher.DefaultTopic
	l.topic(n, cfg.Local)
	l.commands(n, cfg.Local)
	l.org(n, cfg)
	l.app(n, cfg)
	cfg.Registry = l.registry(n.sub("registry"))
	l.session(n, cfg)
	if !badServer {
		l.credentials(n, cfg, own)
		l.clientTLS(n, cfg)
	}
	if n.has("max_payload") && cfg.Platform.MaxPayload > wiotp.MaxPayload && !own && !cfg.Local {
		p := l.warnf("PLT030", n.kid("max_payload").value(), "the platform hangs up on more than %d bytes", wiotp.MaxPayload)
		p.label = fmt.Sprintf("write %d", wiotp.MaxPayload)
	}
}

func (l *loader) backoff(n *node) publisher.Backoff {
	b := publisher.Backoff{First: val(n, "first", time.Second), Max: val(n, "max", 2*time.Minute), Jitter: val(n, "jitter", 0.2)}
	if b.Max < b.First {
		k := n.kid("max")
		if k == nil {
			k = n.kid("first")
		}
		l.errorf("TYP004", k.value(), "the longest wait is shorter than the first").label = fmt.Sprintf("first is %s, max is %s", short(b.First), short(b.Max))
	}
	return b
}

// placeholders of a topic template.
var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

var (
	topicParts   = []string{"{type}", "{id}", "{event}", "{format}"}
	commandParts = []string{"{type}", "{id}", "{command}", "{format}"}
)

// commands checks the template of the commands' topics.
func (l *loader) commands(n *node, local bool) {
	l.template(n, "commands", commandParts, local, publisher.DefaultCommands)
	if k := n.kid("commands"); n.has("commands") && !k.bad {
		if err := publisher.CheckCommands(val(n, "commands", "")); err != nil {
			k.bad = true
			l.errorf("CMD027", k.value(), "%v", err).label = "as in " + publisher.DefaultCommands
		}
	}
}

func (l *loader) topic(n *node, local bool) {
	l.template(n, "topic", topicParts, local, publisher.DefaultTopic)
}

func (l *loader) template(n *node, name string, topicParts []string, local bool, def string) {
	k := n.kid(name)
	if !n.has(name) {
		return
	}
	before := l.errors
	defer func() { k.bad = k.bad || l.errors > before }()
	topic := val(n, name, "")
	for _, at := range placeholder.FindAllStringIndex(topic, -1) {
		if found := topic[at[0]:at[1]]; !slices.Contains(topicParts, found) {
			p := l.errorf("PLT027", k.inside(at[0], len(found)), "a topic has no %s", found)
			p.label = "use " + or(topicParts)
		}
	}
	rest := placeholder.ReplaceAllString(topic, "x")
	switch {
	case topic == "":
		l.errorf("PLT027", k.value(), "the topic is empty").label = "leave it out for the platform's own form"
	case strings.ContainsAny(rest, "+#{}") || strings.ContainsFunc(rest, unicode.IsControl) || strings.HasPrefix(topic, "$"):
		l.errorf("PLT027", k.value(), "nothing can be published on this topic").label = "no + # { } and no $ at the start"
	case local && topic != def:
		p := l.errorf("PLT027", k.value(), "the embedded platform takes the platform's own topics only")
		p.label = `leave it out, or name another server`
	}
}

func (l *loader) org(n *node, cfg *Config) {
	k := n.kid("org")
	switch cfg.Org = val(n, "org", localOrg); {
	case !n.has("org") && !cfg.Local && k == nil && n.has("server"):
		p := l.errorf("PLT022", n.kid("server").value(), `with a server, "org" must be named`)
		p.label = "the organisation's devices are there"
		p.note("fix", `org = "abc123"`)
	case !n.has("org"):
	default:
		if err := (wiotp.ClientID{Class: wiotp.Application, Org: cfg.Org, App: "app"}).Validate(); err != nil {
			k.bad = true
			l.errorf("PLT022", k.value(), "%v", err).label = "use A-Z a-z 0-9 _ . -"
		}
	}
}

// app settles the application id: the one of [platform], else the site's name, else the name of this machine.
func (l *loader) app(n *node, cfg *Config) {
	cfg.App = val(n, "app", cfg.Site.Name)
	valid := wiotp.ValidSegment(cfg.App) && len(cfg.App) <= maxApp
	rule := fmt.Sprintf("1 to %d of the characters A-Z a-z 0-9 _ . -", maxApp)
	switch site := l.single["site"]; {
	case valid:
	case n.has("app"):
		l.errorf("PLT023", n.kid("app").value(), "%q cannot be the id of an application", cfg.App).label = "use " + rule
	case site.has("name"):
		p := l.errorf("PLT023", site.kid("name").value(), "%q cannot be the id of an application, and [platform] names none", cfg.App)
		p.label = "use " + rule + ", or set platform.app"
	case cfg.Local: // nobody else is there to be mistaken for
		cfg.App = machineApp(cfg.App)
	default:
		p := l.errorf("PLT023", n.head(), "the name of this machine, %q, cannot be the id of an application", cfg.App)
		p.label = "add  app = …, " + rule
	}
}

// machineApp makes an application id of a host name.
func machineApp(host string) string {
	app := strings.Map(func(r rune) rune {
		if r < 0x80 && wiotp.ValidSegment(string(r)) {
			return r
		}
		return '-'
	}, host)
	if app == "" {
		return "legacybridge"
	}
	return app[:min(len(app), maxApp)]
}

// credentials settles user and password. With the embedded platform they may be left out: it has a key of its own.
func (l *loader) credentials(n *node, cfg *Config, own bool) {
	if cfg.Org == wiotp.Quickstart {
		return
	}
	hasKey, hasToken := n.kid("api_key") != nil, n.kid("token") != nil
	cfg.Platform.User, cfg.Platform.Password = val(n, "api_key", ""), val(n, "token", wiotp.Token(""))
	k := n.kid("api_key")
	switch {
	case hasToken && !hasKey:
		p := l.errorf("KEY006", n.kid("token").key(), `"token" has no "api_key"`)
		p.label = "add  api_key = …"
	case hasKey && !hasToken:
		p := l.errorf("KEY006", k.key(), `"api_key" has no "token"`)
		p.label = "add  token = { file = … }"
	case !hasKey && !cfg.Local && !own:
		p := l.errorf("PLT024", n.kid("server").value(), `the platform lets nobody in without "api_key" and "token"`)
		p.label = "add both"
	}
	if !n.has("api_key") {
		return
	}
	if !own && (n.has("org") || cfg.Local) {
		if err := wiotp.CheckAPIKey(cfg.Platform.User, cfg.Org); err != nil {
			k.bad = true
			l.errorf("PLT025", k.value(), "%v", err).label = "the key must be one of org " + cfg.Org
		}
	}
	if token := cfg.Platform.Password; token != "" && !own {
		l.token(n.kid("token"), token)
	}
	if cfg.Local && !l.single["local"].has("users") {
		p := l.errorf("PLT028", k.value(), "the embedded platform does not know this key")
		p.label = "leave api_key and token out, or add [local.users]"
	}
}

// token wants what the platform takes as one: it would refuse the login for anything else.
func (l *loader) token(n *node, t wiotp.Token) {
	if err := wiotp.CheckToken(t); err != nil {
		l.errorf("SEC008", n.value(), "%v", err).label = "the file holds the token and nothing else"
	}
}

// users are those of the embedded platform.
func (l *loader) users(n *node, cfg *Config) map[string]localplatform.User {
	all := map[string]localplatform.User{}
	if len(n.kids) == 0 {
		p := l.errorf("PLT028", n.head(), "[local.users] is empty: nobody gets in")
		p.label = "name a user, or leave the table out for a key that is made at first start"
	}
	for _, k := range n.kids {
		all[k.name] = l.user(k)
		if err := wiotp.CheckAPIKey(k.name, cfg.Org); err != nil && !k.bad {
			l.errorf("PLT025", k.key(), "%v", err).label = "the platform is that of org " + cfg.Org
		}
		if t := all[k.name].Token; t != "" {
			l.token(k.kid("token"), t)
		}
	}
	platform := l.single["platform"]
	if !cfg.Local || !platform.has("api_key") {
		return all
	}
	key := platform.kid("api_key")
	u, known := all[cfg.Platform.User]
	switch {
	case !known:
		p := l.errorf("PLT028", key.value(), "[local.users] does not have this key")
		p.label = "the embedded platform would refuse the login"
		p.second, p.there = n.head(), "only these get in"
	case u.Token != "" && cfg.Platform.Password != "" && u.Token != cfg.Platform.Password:
		p := l.errorf("PLT028", platform.kid("token").value(), "this is not the token that [local.users] has for the key")
		p.label = "the embedded platform would refuse the login"
	case !u.Role.May(wiotp.EventSend):
		p := l.errorf("PLT028", key.value(), "role %s of this key may not publish events", u.Role)
		p.label = "the embedded platform would hang up; the role for this is  device  or  standard"
	}
	return all
}

func (l *loader) pem(k *node) ([]byte, bool) {
	path, ok := "", false
	if k != nil && !k.bad {
		path, ok = k.parsed.(string)
	}
	if !ok {
		return nil, false
	}
	text, err := readFile(l.path(k, path), maxSecret)
	if err == nil && len(text) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		l.unreadable(k, err)
		return nil, false
	}
	return text, true
}

package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"legacybridge/publisher/queue"
)

// assemble checks the tables and fills each package's Config. What a problem spoils is left at its default: the
// result is used only without errors.
func (l *loader) assemble() *Config {
	l.stage = references
	l.connect()
	l.stage = grammar
	l.checkTables()
	l.stage = meaning
	cfg := &Config{Site: l.site(), Log: l.log(), Queue: l.queue()}
	for _, src := range l.files {
		cfg.Files = append(cfg.Files, src.name)
	}
	l.web()
	l.platform(cfg)
	cfg.LocalCfg = l.local(cfg)
	l.writes(cfg)
	for _, d := range l.links {
		if link, ok := l.link(d, cfg); ok {
			cfg.Links = append(cfg.Links, link)
			cfg.Queue.WhenFull[link.Name] = l.whenFull(d)
		}
	}
	l.stage = together
	l.sharedPorts()
	l.identities(cfg)
	l.folders(cfg)
	return cfg
}

// checkTables holds everything against the grammar.
func (l *loader) checkTables() {
	for _, k := range fileKeys {
		if n := l.single[k.name]; n != nil {
			l.checkValue(n, k, 0)
		}
	}
	for _, d := range l.links {
		l.check(d.node, linkKeys, d.medium, "link "+d.name)
	}
	for _, d := range l.devices {
		l.check(d.node, deviceKeys, d.medium(), "device "+d.name)
	}
}

// path makes a path of the configuration absolute: below the state folder after "state:", else from the main file's.
func (l *loader) path(n *node, written string) string {
	if rest, ok := strings.CutPrefix(written, "state:"); ok {
		if rest == "" || !filepath.IsLocal(rest) {
			n.bad = true
			p := l.errorf("CFG011", n.value(), "%q does not lie in the state folder", written)
			p.label = `write a name below it, as in "state:queue"`
		}
		return filepath.Join(l.state(), rest)
	}
	if filepath.IsAbs(written) {
		return filepath.Clean(written)
	}
	return filepath.Join(l.dir, written)
}

func (l *loader) state() string {
	state := l.opt.State
	if state == "" {
		state, _, _ = strings.Cut(os.Getenv("STATE_DIRECTORY"), ":") // systemd lists several so
	}
	if state == "" {
		state = "/var/lib/legacybridge"
	}
	if abs, err := filepath.Abs(state); err == nil {
		return abs
	}
	return state
}

// pathOf is the path behind a key, or a default.
func (l *loader) pathOf(n *node, name, def string) string {
	if !n.has(name) {
		return l.path(nil, def)
	}
	return l.path(n.kid(name), val(n, name, def))
}

func (l *loader) site() Site {
	n := l.single["site"]
	host, _ := os.Hostname()
	s := Site{Name: val(n, "name", host), Zone: val(n, "timezone", time.UTC)}
	if n.has("name") && strings.TrimSpace(s.Name) == "" {
		n.kid("name").bad = true
		l.errorf("TYP007", n.kid("name").value(), "the site has no name").label = "leave it out for the name of this machine"
	}
	return s
}

func (l *loader) log() Log {
	n := l.single["log"]
	levels := map[string]slog.Level{"error": slog.LevelError, "warn": slog.LevelWarn, "info": slog.LevelInfo, "debug": slog.LevelDebug}
	return Log{Level: levels[val(n, "level", "info")], Format: val(n, "format", "auto")}
}

// web takes [web] only to switch the page off, for there is none yet.
func (l *loader) web() {
	if n := l.single["web"]; n.has("listen") && val(n, "listen", "") != "off" {
		p := l.errorf("KEY003", n.kid("listen").value(), "the status page is not supported yet")
		p.label = `write "off", or leave [web] out`
		p.replace(`"off"`)
	}
}

func (l *loader) queue() queue.Config {
	n, dead := l.single["queue"], l.single["dead_letters"]
	return queue.Config{
		Path:       l.pathOf(n, "path", "state:queue"),
		MaxBytes:   val(n, "max_bytes", int64(512<<20)),
		MaxAge:     val(n, "max_age", 7*24*time.Hour),
		Linger:     val(n, "linger", 100*time.Millisecond),
		WhenFull:   map[string]queue.WhenFull{},
		ClockFloor: l.opt.Build,
		Dead: queue.DeadConfig{
			Path:     l.pathOf(dead, "path", "state:dead"),
			MaxBytes: val(dead, "max_bytes", int64(64<<20)),
			MaxAge:   val(dead, "max_age", 30*24*time.Hour),
		},
	}
}

// whenFull is what a link does without room: files can wait, live sources cannot.
func (l *loader) whenFull(d *linkDef) queue.WhenFull {
	choices := map[string]queue.WhenFull{"stop-reading": queue.StopReading, "drop-oldest": queue.DropOldest, "drop-newest": queue.DropNewest}
	live := d.medium&rows == 0
	def := "stop-reading"
	if live {
		def = "drop-oldest"
	}
	site := l.single["queue"]
	choice := first("when_full", def, d.node, site)
	if live && choice == "stop-reading" {
		n := site
		if d.has("when_full") {
			n = d.node
		}
		p := l.warnf("QUE021", n.kid("when_full").value(), "%s would stop reading while the queue is full", d.name)
		p.label = "what a live source says meanwhile is lost"
		p.note("help", `"drop-oldest" keeps the newest events`)
	}
	return choices[choice]
}

// folders refuses one folder for two purposes: each is owned whole.
func (l *loader) folders(cfg *Config) {
	tables := []struct{ table, key, path string }{
		{"queue", "path", cfg.Queue.Path}, {"dead_letters", "path", cfg.Queue.Dead.Path}, {"local", "store", cfg.LocalCfg.Store},
	}
	for i, a := range tables {
		for _, b := range tables[:i] {
			if a.path != b.path {
				continue
			}
			n := l.single[a.table]
			if !n.has(a.key) {
				n, a, b = l.single[b.table], b, a
			}
			if n.has(a.key) {
				p := l.errorf("CFG012", n.kid(a.key).value(), "[%s] and [%s] use one folder", a.table, b.table)
				p.label = "each needs its own"
			}
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"legacybridge/config"
	"legacybridge/mapping"
	"legacybridge/publisher"
	"legacybridge/publisher/wiotp"
)

// watchFlags are those of all that can be watched; which of the selectors there are depends on the kind.
type watchFlags struct {
	typ, id, name, format string

	where    string
	sample   time.Duration
	limit    int
	duration time.Duration
	raw      bool

	app, instance string
	scalable      bool
	cleanSession  string // true, false; "" the form's own
}

// A watched is one thing that the platform carries.
type watched struct {
	use, short, long string
	kind             wiotp.Kind
}

var watchKinds = []watched{
	{"events", "Show events as a subscriber of the platform receives them",
		"Prints every event: time, type/id, event, payload, bytes. Parts of an event sent in chunks are joined, unless --raw.", wiotp.Event},
	{"commands", "Show commands on their way to devices",
		"Prints every command: time, type/id, command, payload, bytes.", wiotp.Command},
	{"devices", "Show devices connecting and disconnecting",
		"Prints connects and disconnects of devices and gateways, first the last known ones. A device that an application speaks for, as legacybridge does, has no connection of its own and never appears.",
		wiotp.DeviceStatus},
	{"apps", "Show applications connecting and disconnecting",
		"Prints connects and disconnects of applications with the close code: here one sees why the platform dropped a session.", wiotp.AppStatus},
}

const watchSessions = `

A selector that is left out means all. It connects as an application of its own (a:ORG:APP-watch-XXXXX). With --app it
takes that application id instead, which a durable session (--clean-session false: what comes while nobody watches waits
on the platform) and the members of a group need.

With --scalable it shares what it subscribes to with the other members of the group: where one back end cannot keep up
with many devices, each event goes to exactly one of them, in no order across members. Without --instance all members
have one client id (A:ORG:NAME) and nothing outlasts a connection; the platform's document requires --clean-session false
for it, servers built from Eclipse Amlen true. With --instance each member has its own (A:ORG:NAME:INSTANCE), and may
be durable; the document called that form a beta, not for production. Members with and without an instance do not share
with one another: use one form for all. Parts of a chunked event can reach different members: watch those unshared.`

func newWatchCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "watch", Short: "Show what the platform carries"}
	for _, w := range watchKinds {
		cmd.AddCommand(newWatchKindCmd(g, w))
	}
	return cmd
}

func newWatchKindCmd(g *globals, w watched) *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{Use: w.use, Short: w.short, Long: w.long + watchSessions, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.loadOrDefaults(cmd)
			if err != nil {
				return err
			}
			return watch(cmd, g, cfg, w.kind, f)
		},
	}
	flags := cmd.Flags()
	switch w.kind {
	case wiotp.AppStatus:
		flags.StringVar(&f.id, "id", "", "application `ID`")
	case wiotp.Event, wiotp.Command:
		name := map[wiotp.Kind]string{wiotp.Event: "event", wiotp.Command: "command"}[w.kind]
		flags.StringVar(&f.name, name, "", name+" `NAME`")
		flags.StringVar(&f.format, "format", "", "`FORMAT`, such as json")
		fallthrough
	default:
		flags.StringVar(&f.typ, "type", "", "device `TYPE`")
		flags.StringVar(&f.id, "id", "", "device `ID`")
	}
	flags.StringVar(&f.where, "where", "", "only payloads that meet `EXPR`, such as 'weight > 10 && state == \"run\"'; topic.type, topic.id and topic.name are there too")
	flags.DurationVar(&f.sample, "sample", 0, "at most one in this time from each topic, such as 10s")
	flags.IntVar(&f.limit, "limit", 0, "end after `N`")
	flags.DurationVar(&f.duration, "for", 0, "end after this time, such as 30s")
	flags.BoolVar(&f.raw, "raw", false, "parts of chunked events as they come")
	flags.StringVar(&f.app, "app", "", "application id `NAME` instead of APP-watch-XXXXX")
	flags.BoolVar(&f.scalable, "scalable", false, "share with the other members of the application --app")
	flags.StringVar(&f.instance, "instance", "", "`NAME` of this member, different in each; with --scalable")
	flags.StringVar(&f.cleanSession, "clean-session", "", "`BOOL`: false keeps the session on the platform (default true; false with --scalable and no --instance)")
	return cmd
}

func watch(cmd *cobra.Command, g *globals, cfg *config.Config, kind wiotp.Kind, f watchFlags) error {
	if f.limit < 0 || f.duration < 0 || f.sample < 0 {
		return exit(exitUsage, errors.New("--limit, --for and --sample cannot be less than 0"))
	}
	ctx, cancel := g.context(cmd.Context())
	defer cancel()
	if f.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	session, id, err := watchSession(cfg, f)
	if err != nil {
		return err
	}
	session.Log = g.logger(cmd, cfg).With("source", "watch")
	filter, err := watchFilter(cfg, id, kind, f)
	if err != nil {
		return exit(exitUsage, err)
	}
	show := &watchPrinter{out: cmd.OutOrStdout(), json: g.json, kind: kind, topic: watchTopic(cfg, kind), raw: f.raw, sample: f.sample, log: session.Log}
	if f.where != "" {
		if show.where, err = mapping.NewWhere(f.where); err != nil {
			rule, _ := errors.AsType[*mapping.RuleError](err)
			return exit(exitUsage, fmt.Errorf("--where %s: %w%s", f.where, err, hint(rule.Help)))
		}
	}
	if session, err = reachLocal(cfg, session); err != nil {
		return err
	}
	began := time.Now()
	err = publisher.Watch(ctx, session, []string{filter}, func(m publisher.Message) {
		if f.limit > 0 && show.count() >= f.limit {
			return // those that were under way
		}
		if show.print(m); f.limit > 0 && show.count() >= f.limit {
			cancel()
		}
	})
	if err != nil {
		return exit(exitUnreach, err)
	}
	if spent := time.Since(began).Seconds(); !g.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d %s in %.1f s, %.1f/s\n", session.ClientID, show.count(), cmd.Name(), spent, float64(show.count())/spent)
	}
	return nil
}

func hint(help string) string {
	if help == "" {
		return ""
	}
	return " (" + help + ")"
}

// watchSession is a login of its own beside the bridge's: two sessions must not share a client id.
func watchSession(cfg *config.Config, f watchFlags) (session publisher.Config, id wiotp.ClientID, err error) {
	id = watchID(cfg)
	if f.app != "" {
		id.App = f.app
	}
	clean := !f.scalable || f.instance != ""
	if f.cleanSession != "" {
		if clean, err = strconv.ParseBool(f.cleanSession); err != nil {
			return session, id, exit(exitUsage, fmt.Errorf("--clean-session %q: true or false", f.cleanSession))
		}
	}
	if f.scalable {
		id.Class, id.Instance = wiotp.ScalableApplication, f.instance
	}
	switch {
	case cfg.Org == wiotp.Quickstart && f.scalable:
		err = errors.New("quickstart has no scalable applications: leave --scalable out")
	case cfg.Org == wiotp.Quickstart && !clean:
		err = errors.New("quickstart keeps no sessions: leave --clean-session out")
	case f.instance != "" && !f.scalable:
		err = errors.New("--instance is a member of a scalable application: add --scalable")
	case f.scalable && f.app == "":
		err = errors.New("--scalable needs the application that its members share: add --app NAME")
	case !clean && f.app == "":
		err = errors.New("--clean-session false keeps a session that only the same id finds again: add --app NAME")
	case id == cfg.Client("") || id == cfg.Client("-cmd"):
		err = fmt.Errorf("%s is the client id of the bridge itself, whose session this would end: take another --app", id)
	default:
		err = id.Validate()
	}
	if err != nil {
		return session, id, exit(exitUsage, err)
	}
	session = cfg.Platform
	session.ClientID, session.KeepSession = id.String(), !clean
	session.ReasonID = reasonID(cfg)
	return session, id, nil
}

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"legacybridge/config"
	"legacybridge/publisher"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

type watchFlags struct {
	typ, id, event string
	limit          int
	duration       time.Duration
}

func newWatchCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "watch", Short: "Show what the platform carries"}
	var f watchFlags
	events := &cobra.Command{
		Use:   "events",
		Short: "Show events as a subscriber of the platform receives them",
		Long: `Connects as an application of its own (a:ORG:APP-watch-XXXXX) and prints every event: time, type/id, event,
payload, bytes. A selector that is left out means all. Parts of an event sent in chunks are joined.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.loadOrDefaults(cmd)
			if err != nil {
				return err
			}
			return watchEvents(cmd, g, cfg, f)
		},
	}
	events.Flags().StringVar(&f.typ, "type", "", "device `TYPE`")
	events.Flags().StringVar(&f.id, "id", "", "device `ID`")
	events.Flags().StringVar(&f.event, "event", "", "`EVENT`")
	events.Flags().IntVar(&f.limit, "limit", 0, "end after `N` events")
	events.Flags().DurationVar(&f.duration, "for", 0, "end after this time, such as 30s")
	cmd.AddCommand(events)
	return cmd
}

func watchEvents(cmd *cobra.Command, g *globals, cfg *config.Config, f watchFlags) error {
	ctx, cancel := g.context(cmd.Context())
	defer cancel()
	if f.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	session, err := watchSession(cfg)
	if err != nil {
		return err
	}
	session.Log = g.logger(cmd, cfg).With("source", "watch")
	topic := cfg.Platform.Topic
	if topic == "" {
		topic = publisher.DefaultTopic
	}
	filter, err := eventFilter(topic, f)
	if err != nil {
		return exit(exitUsage, err)
	}
	show := &eventPrinter{out: cmd.OutOrStdout(), json: g.json, topic: topic, log: session.Log}
	err = publisher.Watch(ctx, session, []string{filter}, func(m publisher.Message) {
		show.print(m)
		if f.limit > 0 && show.count() >= f.limit {
			cancel()
		}
	})
	if err != nil {
		return exit(exitUnreach, err)
	}
	return nil
}

// eventFilter is the topic template as a filter: a selector that is left out is +.
func eventFilter(template string, f watchFlags) (string, error) {
	levels := strings.Split(template, "/")
	for i, level := range levels {
		for name, selector := range map[string]string{"{type}": f.typ, "{id}": f.id, "{event}": f.event, "{format}": ""} {
			switch {
			case !strings.Contains(level, name):
			case selector == "":
				level = "+"
			case strings.ContainsAny(selector, "/+#"):
				return "", fmt.Errorf("%q: a selector is one level of the topic, without / + #", selector)
			default:
				level = strings.ReplaceAll(level, name, selector)
			}
		}
		if strings.Contains(level, "+") {
			level = "+" // a wildcard is a whole level
		}
		levels[i] = level
	}
	return strings.Join(levels, "/"), nil
}

// topicParts reads a topic by its template; what the template does not tell stays empty.
func topicParts(template, topic string) wiotp.Topic {
	var t wiotp.Topic
	into := map[string]*string{"{type}": &t.Type, "{id}": &t.ID, "{event}": &t.Name, "{format}": &t.Format}
	names, levels := strings.Split(template, "/"), strings.Split(topic, "/")
	for i, name := range names {
		if part := into[name]; part != nil && i < len(levels) {
			*part = levels[i]
		}
	}
	if t.Type == "" && t.ID == "" {
		t.Type = topic
	}
	return t
}

// watchSession is a login of its own beside the bridge's: two sessions must not share a client id.
func watchSession(cfg *config.Config) (publisher.Config, error) {
	session := cfg.Platform
	session.ClientID, session.KeepSession = watchID(cfg), false
	if !cfg.Local {
		return session, nil
	}
	server, secure, err := cfg.ReachLocal(cfg.LocalCfg.Listen)
	if err != nil {
		return session, err
	}
	session.Servers, session.TLS = []string{server}, secure
	if session.User != "" || cfg.Org == wiotp.Quickstart {
		return session, nil
	}
	session.User, session.Password, err = localplatform.ReadKey(cfg.LocalCfg.Store)
	if err != nil {
		return session, exit(exitUnreach, fmt.Errorf("the key of the embedded platform: %w; start it with  legacybridge run  or  legacybridge platform, or name its state folder with --state", err))
	}
	return session, nil
}

func watchID(cfg *config.Config) string {
	return wiotp.ClientID{Class: wiotp.Application, Org: cfg.Org, App: cfg.App + "-watch-" + rand.Text()[:5]}.String()
}

// An eventPrinter prints events as they come, the parts of a chunked one joined.
type eventPrinter struct {
	out   io.Writer
	json  bool
	topic string       // template
	log   *slog.Logger // for parts that do not join; nil: nowhere

	join    publisher.Joiner
	printed chan struct{} // pulses for await; nil: nobody waits
	mu      sync.Mutex
	n       int
}

// eventLine is the promised form of `watch events --json`.
type eventLine struct {
	Time    time.Time       `json:"time"`
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	Event   string          `json:"event"`
	Format  string          `json:"format"`
	QoS     byte            `json:"qos"`
	Bytes   int             `json:"bytes"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Base64  []byte          `json:"payload_base64,omitempty"`
}

func (l *eventLine) setPayload(payload []byte) {
	if json.Valid(payload) {
		l.Payload = payload
	} else {
		l.Base64 = payload
	}
}

func (p *eventPrinter) print(m publisher.Message) {
	event, ok, err := p.join.Add(m)
	if err != nil && p.log != nil {
		p.log.Warn("parts given up", "err", err)
	}
	if !ok {
		return
	}
	defer p.counted()
	topic := topicParts(p.topic, event.Topic)
	if !p.json {
		fmt.Fprintf(p.out, "%s  %-24s  %-12s %s  %d B\n", event.Time.Local().Format(time.TimeOnly), topic.Type+"/"+topic.ID, topic.Name,
			printable(event.Payload), len(event.Payload))
		return
	}
	line := eventLine{Time: event.Time.UTC(), Type: topic.Type, ID: topic.ID, Event: topic.Name, Format: topic.Format, QoS: event.QoS, Bytes: len(event.Payload)}
	line.setPayload(event.Payload)
	_ = json.NewEncoder(p.out).Encode(line) // a reader that has gone is noticed by the signal
}

func (p *eventPrinter) counted() {
	p.mu.Lock()
	p.n++
	p.mu.Unlock()
	select {
	case p.printed <- struct{}{}:
	default:
	}
}

// await returns once n events were printed, or after limit.
func (p *eventPrinter) await(n int, limit time.Duration) {
	end := time.After(limit)
	for p.count() < n {
		select {
		case <-p.printed:
		case <-end:
			return
		}
	}
}

func (p *eventPrinter) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// printable is text as it is, and anything else in base64; what a terminal would obey is text too, and is quoted.
func printable(payload []byte) string {
	if !utf8.Valid(payload) {
		return "base64:" + base64.StdEncoding.EncodeToString(payload)
	}
	for _, c := range payload {
		if c < 0x20 || c == 0x7f {
			return fmt.Sprintf("%q", payload)
		}
	}
	return string(payload)
}

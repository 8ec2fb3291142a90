package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"legacybridge/config"
	"legacybridge/mapping"
	"legacybridge/publisher"
	"legacybridge/publisher/wiotp"
)

func newSendCmd(g *globals) *cobra.Command {
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use:   "send DEVICE COMMAND [NAME=VALUE…]",
		Short: "Send a command to a device, by way of the platform",
		Long: `Publishes a command on the platform, with an id and the time beside its arguments, so that a repeated or stale one is
recognised. For a device of the configuration the checks are those of the service that will carry it out: writes allowed,
command listed, arguments within their limits, value within the register. The interlock (only_if), min_interval and the clock are
left to the service.

TYPE/ID instead of DEVICE is for a device that is not in the configuration: then nothing is checked but names and size.
It asks before it sends; --yes answers.`,
		Example: `  legacybridge send extract-fan set_speed percent=50
  legacybridge send drive/FAN-9 stop --dry-run`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := g.loadOrDefaults(cmd)
			if err != nil {
				return err
			}
			return send(cmd, g, cfg, args, dryRun, yes)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print topic and payload, send nothing")
	cmd.Flags().BoolVar(&yes, "yes", false, "send without asking")
	return cmd
}

func send(cmd *cobra.Command, g *globals, cfg *config.Config, args []string, dryRun, yes bool) error {
	c, err := newSending(cfg, args[0], args[1], args[2:])
	if err != nil {
		return err
	}
	topic, payload, err := c.message(cfg, time.Now())
	if err != nil {
		return err
	}
	out, talk := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if dryRun {
		if g.json {
			return json.NewEncoder(out).Encode(dryLine{Topic: topic, QoS: 1, Format: "json", Bytes: len(payload), Payload: payload})
		}
		_, err := fmt.Fprintf(out, "%s %s\n", topic, payload)
		return err
	}
	if !yes {
		fmt.Fprintf(talk, "Send %s to %s/%s: %s ? [y/N] ", c.command, c.typ, c.id, c.args)
		answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
			if err != nil {
				fmt.Fprintln(talk)
			}
			return exit(exitRefused, errors.New("not sent: answer y, or add --yes"))
		}
	}
	ctx, cancel := g.context(cmd.Context())
	defer cancel()
	session := cfg.Platform
	session.ClientID, session.KeepSession, session.ReasonID = furtherID(cfg, "send").String(), false, reasonID(cfg)
	session.Log = g.logger(cmd, cfg).With("source", "send")
	if session, err = reachLocal(cfg, session); err != nil {
		return err
	}
	left := []publisher.Outgoing{{Topic: topic, QoS: 1, Payload: payload}}
	taken := false
	err = publisher.Pour(ctx, session, func(context.Context) (o publisher.Outgoing, ok bool) {
		if len(left) == 0 {
			return o, false
		}
		o, left = left[0], nil
		return o, true
	}, func() { taken = true })
	switch {
	case err != nil:
		return exit(exitUnreach, err)
	case !taken:
		return exit(exitUnreach, errors.New("the platform did not acknowledge the command: whether it took it is not known; it has an id, so that sending it again with the same one does no harm"))
	}
	fmt.Fprintf(talk, "sent, id %s. That the platform took it does not say that the device did.\n", c.sent)
	if c.reply != "" {
		fmt.Fprintf(talk, "  next:  legacybridge watch events --id %s --event %s\n", c.id, c.reply)
	}
	return nil
}

// A sending is a command on its way out.
type sending struct {
	typ, id, command string
	rules            *mapping.Commander // nil: the device is not in the configuration
	device           string
	reply            string
	args             json.RawMessage
	sent             string // its id
}

// newSending finds the device and gives the arguments their types.
func newSending(cfg *config.Config, device, command string, pairs []string) (*sending, error) {
	c := &sending{command: command, sent: "send-" + strings.ToLower(rand.Text()[:13])}
	typ, id, byID := strings.Cut(device, "/")
	for _, link := range cfg.Links {
		i := slices.IndexFunc(link.Mapping.Devices, func(d mapping.Device) bool {
			return d.Name == device || byID && d.Type == typ && (d.ID == id || slices.Contains(d.IDs, id))
		})
		if i < 0 {
			continue
		}
		d := link.Mapping.Devices[i]
		c.device, c.typ, c.id = d.Name, d.Type, d.ID
		var err error
		if c.rules, err = mapping.NewCommander(link.Mapping); err != nil {
			return nil, err
		}
		return c, c.give(pairs)
	}
	if !byID {
		return nil, exit(exitUsage, fmt.Errorf("no device %q in %s; TYPE/ID names one that is not in the configuration", device, cfg.File))
	}
	c.typ, c.id = typ, id
	return c, c.give(pairs)
}

// give reads NAME=VALUE. Where the rule does not say what an argument is, its text does.
func (c *sending) give(pairs []string) error {
	var kinds []mapping.Arg
	if c.rules != nil {
		rule, _ := c.rules.Rule(c.device, c.command)
		kinds, c.reply = rule.Args, rule.Reply
	}
	members := []byte{'{'}
	seen := map[string]bool{}
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return exit(exitUsage, fmt.Errorf("%q is no argument: write NAME=VALUE", pair))
		}
		if seen[name] {
			return exit(exitUsage, fmt.Errorf("the argument %s stands there twice", name))
		}
		seen[name] = true
		i := slices.IndexFunc(kinds, func(a mapping.Arg) bool { return a.Name == name })
		isText := i >= 0 && kinds[i].Kind == mapping.TextArg
		var v any
		if isText || json.Unmarshal([]byte(text), &v) != nil || isStructured(v) {
			text = jsonText(text)
		}
		if len(members) > 1 {
			members = append(members, ',')
		}
		members = append(append(append(members, jsonText(name)...), ':'), text...)
	}
	c.args = append(members, '}')
	return nil
}

func isStructured(v any) bool {
	switch v.(type) {
	case float64, bool, string:
		return false
	}
	return true
}

// jsonText is s as a JSON string.
func jsonText(s string) string {
	b, _ := json.Marshal(s) // a string has no other form
	return string(b)
}

// message checks the command as the service would, and makes what is published.
func (c *sending) message(cfg *config.Config, now time.Time) (topic string, payload []byte, err error) {
	payload = fmt.Appendf(nil, `{"d":%s,"ts":"%s","id":"%s"}`, c.args, now.UTC().Format("2006-01-02T15:04:05.000Z07:00"), c.sent)
	if cfg.Org == wiotp.Quickstart {
		return "", nil, exit(exitRefused, errors.New("not sent: Quickstart has no commands"))
	}
	for _, part := range []struct{ what, text string }{{"the device type", c.typ}, {"the device id", c.id}, {"the command", c.command}} {
		if err := wiotp.CheckSegment(part.what, part.text); err != nil {
			return "", nil, exit(exitUsage, err)
		}
	}
	topics, err := publisher.NewCommandTopics(cfg.Writes.Topic, nil)
	if err != nil {
		return "", nil, exit(exitUsage, err)
	}
	topic = topics.Topic(c.typ, c.id, c.command, "json")
	switch room := cfg.Platform.MaxPayload; {
	case len(payload) > mapping.MaxCommand:
		return "", nil, exit(exitRefused, fmt.Errorf("not sent: %d bytes, a command has at most %d", len(payload), mapping.MaxCommand))
	case room > 0 && len(payload) > room:
		return "", nil, exit(exitRefused, fmt.Errorf("not sent: %d bytes, the platform takes %d", len(payload), room))
	}
	if c.rules == nil {
		return topic, payload, nil
	}
	if _, refusal := c.rules.Decide(c.device, c.command, payload, mapping.Facts{Allowed: cfg.Writes.Allow, Now: now, Remote: true}); refusal != nil {
		return "", nil, exit(exitRefused, fmt.Errorf("not sent, the service would refuse it: %w", refusal))
	}
	return topic, payload, nil
}

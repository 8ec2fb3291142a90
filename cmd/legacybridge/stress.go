package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"legacybridge/config"
	"legacybridge/publisher"
	"legacybridge/publisher/wiotp"
)

type stressFlags struct {
	devices, bytes, count int
	rate                  float64
	duration              time.Duration
	typ, app              string
	qos                   int
}

func newStressCmd(g *globals) *cobra.Command {
	var f stressFlags
	cmd := &cobra.Command{
		Use:   "stress",
		Short: "Publish a load of made-up events, to see how many subscribers it takes",
		Long: `Publishes made-up events of the devices STRESS-1, STRESS-2, … to the platform of the configuration, and prints each
second how many were published and acknowledged. It is for finding the number of clients of a scalable application:

  legacybridge platform --stats -c load.toml
  legacybridge watch events --type stress --scalable --app back -c load.toml >/dev/null     (once for each client)
  legacybridge stress --rate 2000 --for 1m -c load.toml

Put your own clients in the place of watch to measure those. Add clients until the messages that wait for them, as
platform --stats shows them, no longer grow. The devices must be registered, unless the platform takes events of
unknown ones. For the embedded platform this is all that load.toml needs:

  schema = 1
  local.rules.unregistered = "accept"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.loadOrDefaults(cmd)
			if err != nil {
				return err
			}
			return stress(cmd, g, cfg, f)
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&f.rate, "rate", 100, "`N` events per second; 0 is as fast as they are acknowledged")
	flags.IntVar(&f.devices, "devices", 10, "`N` devices take turns")
	flags.IntVar(&f.bytes, "bytes", 100, "payload of `N` bytes")
	flags.IntVar(&f.count, "limit", 0, "end after `N` events")
	flags.DurationVar(&f.duration, "for", 0, "end after this `TIME`, such as 1m")
	flags.StringVar(&f.typ, "type", "stress", "device `TYPE`")
	flags.StringVar(&f.app, "app", "", "application id `NAME` instead of APP-load-XXXXX")
	flags.IntVar(&f.qos, "qos", 1, "`QOS` 0, 1 or 2")
	return cmd
}

func (f *stressFlags) check() error {
	switch {
	case f.devices < 1 || f.devices > 1_000_000:
		return errors.New("--devices: 1 to 1000000")
	case f.bytes < 32 || f.bytes > wiotp.MaxPayload:
		return fmt.Errorf("--bytes: 32 to %d", wiotp.MaxPayload)
	case f.rate < 0 || f.count < 0 || f.duration < 0:
		return errors.New("--rate, --limit and --for cannot be less than 0")
	case f.qos < 0 || f.qos > 2:
		return errors.New("--qos: 0, 1 or 2")
	}
	return wiotp.Topic{Type: f.typ, ID: "STRESS-1", Name: "load", Format: "json"}.Validate()
}

func stress(cmd *cobra.Command, g *globals, cfg *config.Config, f stressFlags) error {
	if err := f.check(); err != nil {
		return exit(exitUsage, err)
	}
	ctx, cancel := g.context(cmd.Context())
	defer cancel()
	if f.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	id := furtherID(cfg, "load")
	if f.app != "" {
		id.App = f.app
	}
	if err := id.Validate(); err != nil {
		return exit(exitUsage, err)
	}
	session := cfg.Platform
	session.ClientID, session.KeepSession, session.ReasonID = id.String(), false, reasonID(cfg)
	session.Log = g.logger(cmd, cfg).With("source", "stress")
	session, err := reachLocal(cfg, session)
	if err != nil {
		return err
	}

	l := &load{flags: f, topic: watchTopic(cfg, wiotp.Event), began: time.Now()}
	ended := make(chan struct{})
	var counting sync.WaitGroup
	if !g.quiet {
		counting.Go(func() { l.count(cmd.ErrOrStderr(), ended) })
	}
	err = publisher.Pour(context.WithoutCancel(ctx), session, func(waiting context.Context) (publisher.Outgoing, bool) { return l.next(ctx, waiting) },
		func() { l.acked.Add(1) })
	close(ended)
	counting.Wait()
	spent := time.Since(l.began).Seconds()
	fmt.Fprintf(cmd.OutOrStdout(), "%d events published, %d acknowledged in %.1f s, %.0f/s\n", l.sent.Load(), l.acked.Load(), spent, float64(l.acked.Load())/spent)
	if err != nil {
		return exit(exitUnreach, err)
	}
	return nil
}

// A load is what stress publishes.
type load struct {
	flags       stressFlags
	topic       string
	began       time.Time
	sent, acked atomic.Uint64
}

// next is the next event when it is due; there is no more once ctx is done, which leaves the acknowledgements to come.
func (l *load) next(ctx, session context.Context) (publisher.Outgoing, bool) {
	n := l.sent.Load()
	if l.flags.count > 0 && n >= uint64(l.flags.count) {
		return publisher.Outgoing{}, false
	}
	if l.flags.rate > 0 {
		due := time.NewTimer(time.Until(l.began.Add(time.Duration(float64(n) / l.flags.rate * float64(time.Second)))))
		defer due.Stop()
		select {
		case <-due.C:
		case <-session.Done():
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil || session.Err() != nil {
		return publisher.Outgoing{}, false
	}
	n = l.sent.Add(1)
	device := fmt.Sprintf("STRESS-%d", 1+int(n-1)%l.flags.devices)
	payload := fmt.Appendf(make([]byte, 0, l.flags.bytes), `{"d":{"n":%d,"fill":"`, n)
	payload = append(payload, slices.Repeat([]byte{'x'}, max(0, l.flags.bytes-len(payload)-3))...)
	return publisher.Outgoing{
		Topic:   fillTemplate(l.topic, map[string]string{"{type}": l.flags.typ, "{id}": device, "{event}": "load", "{format}": "json"}),
		QoS:     byte(l.flags.qos),
		Payload: append(payload, `"}}`...),
	}, true
}

// count prints the rates of each second.
func (l *load) count(out io.Writer, ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var sent, acked uint64
	for {
		select {
		case <-tick.C:
		case <-ended:
			return
		}
		s, a := l.sent.Load(), l.acked.Load()
		fmt.Fprintf(out, "%4.0f s  published %d/s, acknowledged %d/s, in flight %d\n", time.Since(l.began).Seconds(), s-sent, a-acked, s-a)
		sent, acked = s, a
	}
}

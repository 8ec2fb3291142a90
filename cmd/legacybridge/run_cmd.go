package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"legacybridge/adapters/csvfile"
	"legacybridge/adapters/modbus"
	"legacybridge/adapters/serial"
	"legacybridge/config"
	"legacybridge/mapping"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/queue"
)

type runFlags struct {
	once   bool
	wait   time.Duration
	dryRun bool
	only   string
}

func newRunCmd(g *globals) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Read, queue and publish until stopped",
		Long: `Reads the equipment of the configuration, keeps every event on disk and publishes it until the platform has
acknowledged it. Ends with 0 after SIGINT or SIGTERM, within 5 s; what is left stays queued.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCommand(cmd, g, f) },
	}
	cmd.Flags().BoolVar(&f.once, "once", false, "read what is there now, publish it, end")
	cmd.Flags().DurationVar(&f.wait, "wait", 3*time.Second, "with --once: how long to listen to a line that talks by itself")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print events instead of publishing; nothing is stored or moved")
	cmd.Flags().StringVar(&f.only, "only", "", "read only the link of this `DEVICE`")
	return cmd
}

func runCommand(cmd *cobra.Command, g *globals, f runFlags) error {
	cfg, err := g.load(cmd, exitConfig)
	if err != nil {
		return err
	}
	if err := only(cfg, f); err != nil {
		return err
	}
	for i := range cfg.Links {
		if cfg.Links[i].Serial != nil {
			cfg.Links[i].Serial.Wait = f.wait
		}
		for _, d := range cfg.Links[i].Mapping.Devices {
			for e := range d.Events {
				d.Events[e].Align = d.Events[e].Align && !f.once // what is there now is sent now
			}
		}
	}
	ctx, cancel := g.context(cmd.Context())
	defer cancel()
	log := g.logger(cmd, cfg)
	cfg.Queue.Log, cfg.LocalCfg.Log = log.With("source", "queue"), log.With("source", "platform")
	s := &site{cfg: cfg, log: log, board: newBoard(log), once: f.once}
	if f.dryRun {
		return s.dryRun(ctx, cmd.OutOrStdout(), g.json)
	}
	ignoreHangup(ctx, log)
	var before, after queue.Account
	s.ready = func(q *queue.Queue, _ *localplatform.Platform) error {
		log.Info("started", "n", len(cfg.Links))
		return sum(q, f.once, &before)
	}
	s.done = func(q *queue.Queue) error { return sum(q, f.once, &after) }
	err = s.run(ctx)
	if f.once {
		fmt.Fprintf(cmd.ErrOrStderr(), "read %d, published %d, dead %d, filtered %d, dropped %d, waiting %d\n", after.Read-before.Read,
			after.Delivered-before.Delivered, after.Dead-before.Dead, after.Filtered-before.Filtered, after.Dropped-before.Dropped, after.Waiting)
	}
	return err
}

// sum closes the books for the last line of --once: it reads all that waits, so that a service does without.
func sum(q *queue.Queue, once bool, into *queue.Account) error {
	if !once {
		return nil
	}
	accounts, err := q.Stats()
	*into = total(accounts)
	return err
}

// only leaves the link of one device, and on a bus that device alone.
func only(cfg *config.Config, f runFlags) error {
	if f.only == "" {
		return nil
	}
	for _, link := range cfg.Links {
		i := slices.IndexFunc(link.Mapping.Devices, func(d mapping.Device) bool { return d.Name == f.only })
		if i < 0 {
			continue
		}
		if link.CSV != nil && len(link.Mapping.Devices) > 1 && !f.dryRun {
			return exit(exitRefused, fmt.Errorf("%s shares its files with other devices of link %s: they would miss the rows read now; add --dry-run", f.only, link.Name))
		}
		link.Mapping.Devices = link.Mapping.Devices[i : i+1]
		switch {
		case link.Serial != nil:
			link.Serial.Devices = slices.DeleteFunc(link.Serial.Devices, func(d serial.Device) bool { return d.Name != f.only })
		case link.Modbus != nil:
			link.Modbus.Devices = slices.DeleteFunc(link.Modbus.Devices, func(d modbus.Device) bool { return d.Name != f.only })
		case link.CSV != nil:
			link.CSV.Devices = slices.DeleteFunc(link.CSV.Devices, func(d csvfile.Device) bool { return d.Name != f.only })
		}
		cfg.Links = []config.Link{link}
		return nil
	}
	return exit(exitUsage, fmt.Errorf("no device %q in %s", f.only, cfg.File))
}

// context ends at a signal or at --timeout. A second signal ends the program at once.
func (g *globals) context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if g.timeout <= 0 {
		return ctx, stop
	}
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	return ctx, func() { cancel(); stop() }
}

// ignoreHangup says that reload is not built, and goes on.
func ignoreHangup(ctx context.Context, log *slog.Logger) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hup)
		for {
			select {
			case <-hup:
				log.Warn("reload is not supported yet: restart the service to take up a new configuration")
			case <-ctx.Done():
				return
			}
		}
	}()
}

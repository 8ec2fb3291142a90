package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"legacybridge/config"
	"legacybridge/publisher/localplatform"
)

func newPlatformCmd(g *globals) *cobra.Command {
	var listen string
	var rates bool
	cmd := &cobra.Command{
		Use:   "platform",
		Short: "Run the embedded platform alone",
		Long: `Runs the embedded platform of [local], or its defaults without a configuration. It keeps the rules of the
platform that legacybridge publishes to: client ids, topics, the payload limit, registered devices.

With --stats it prints each second what came in and went out, and how the members of each scalable application share
it; see  legacybridge stress --help. Messages dropped (a subscriber was too slow, or away too long) and logins and
connections refused are counted from the start. With --json it prints one object per second.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.loadOrDefaults(cmd)
			if err != nil {
				return err
			}
			if listen != "" {
				cfg.LocalCfg.Listen = listen
			}
			return runPlatform(cmd, g, cfg, rates)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "", "`ADDR` to listen on instead of local.listen")
	cmd.Flags().BoolVar(&rates, "stats", false, "print rates and members each second")
	return cmd
}

func runPlatform(cmd *cobra.Command, g *globals, cfg *config.Config, rates bool) error {
	ctx, cancel := g.context(cmd.Context())
	defer cancel()
	log := g.logger(cmd, cfg)
	ignoreHangup(ctx, log)
	local := cfg.LocalCfg
	local.Log = log.With("source", "platform")
	p, err := localplatform.Open(local)
	if err != nil {
		return openError(err)
	}
	where := "[local.users] of " + cfg.File
	if local.Users == nil && local.Store != "memory" {
		where = filepath.Join(local.Store, "key.json")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "platform %q on %s\n  client id   a:%s:YOUR-APP\n  key, token  %s\n", local.Org, p.Addr(), local.Org, where)
	if rates {
		stats := &statsPrinter{out: cmd.OutOrStdout(), json: g.json}
		ended := make(chan struct{})
		var printing sync.WaitGroup
		printing.Go(func() { stats.run(p.Stats, ended) })
		defer printing.Wait()
		defer close(ended)
	}
	if err := p.Run(ctx); err != nil {
		return exit(exitDisk, err)
	}
	return nil
}

// loadOrDefaults reads the configuration, or gives the defaults of an empty one when none was named and none is there.
func (g *globals) loadOrDefaults(cmd *cobra.Command) (*config.Config, error) {
	if _, err := os.Stat(g.config); os.IsNotExist(err) && g.config == defaultConfig {
		return config.Defaults(g.options()), nil
	}
	return g.load(cmd, exitConfig)
}

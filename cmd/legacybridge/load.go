package main

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"legacybridge/config"
)

// load reads the configuration for a command that needs it. Problems go to stderr, and those that would stop `run`, an
// unreadable secret among them, end the command with code.
func (g *globals) load(cmd *cobra.Command, code int) (*config.Config, error) {
	debug.SetGCPercent(loadGCPercent)
	cfg, problems := config.Load(g.config, g.options())
	blocked := cfg == nil || slices.ContainsFunc(problems, func(p config.Problem) bool { return p.BlocksRun })
	if len(problems) > 0 && (blocked || !g.quiet) {
		if err := problems.Write(cmd.ErrOrStderr(), "full", g.color(cmd.ErrOrStderr())); err != nil {
			return nil, err
		}
	}
	if blocked {
		return nil, exit(code, fmt.Errorf("not started: mend the above, then look again with  legacybridge check -c %s", g.config))
	}
	return cfg, nil
}

func (g *globals) options() config.Options {
	return config.Options{State: g.state, Build: buildTime()}
}

// logger writes to stderr as [log] says; -q and -v move the level.
func (g *globals) logger(cmd *cobra.Command, cfg *config.Config) *slog.Logger {
	level := cfg.Log.Level
	if g.quiet {
		level = max(level, slog.LevelWarn)
	}
	if g.verbose {
		level = slog.LevelDebug
	}
	return newLogger(cmd.ErrOrStderr(), cfg.Log.Format, level)
}

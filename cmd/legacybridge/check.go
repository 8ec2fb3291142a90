package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"legacybridge/config"
)

func newCheckCmd(g *globals) *cobra.Command {
	var deny bool
	var format string
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration: all problems at once, no equipment needed",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				g.config = args[0]
			}
			if g.json {
				format = "json"
			}
			if !slices.Contains([]string{"full", "short", "json", "github"}, format) {
				return exit(exitUsage, fmt.Errorf("--format %q: use full, short, json or github", format))
			}
			return check(cmd, g, format, deny)
		},
	}
	cmd.Flags().BoolVar(&deny, "deny-warnings", false, "warnings fail too")
	cmd.Flags().StringVar(&format, "format", "full", "full, short, json or github")
	return cmd
}

func check(cmd *cobra.Command, g *globals, format string, deny bool) error {
	cfg, problems := config.Load(g.config, g.options())
	out := cmd.OutOrStdout()
	if len(problems) > 0 || format == "json" {
		if err := problems.Write(out, format, g.color(out)); err != nil {
			return err
		}
	}
	failed := cfg == nil || deny && len(problems) > 0
	if format == "full" && cfg != nil {
		summary(cmd, g, cfg)
	}
	if failed {
		return exit(exitProblems, nil)
	}
	return nil
}

// summary is the last part of a good answer: what was read, and the next command.
func summary(cmd *cobra.Command, g *globals, cfg *config.Config) {
	out := cmd.OutOrStdout()
	sum := cfg.Summary()
	commands := ""
	if sum.Commands > 0 {
		commands = ", " + plural(sum.Commands, "command")
	}
	fmt.Fprintf(out, "✓ read %-28s %s, %s, %s%s\n", plural(sum.Files, "file"), plural(sum.Links, "link"), plural(sum.Devices, "device"), plural(sum.Events, "event"), commands)
	if len(sum.Payloads) > 0 {
		largest := slices.MaxFunc(sum.Payloads, func(a, b config.Payload) int { return a.Bytes*a.Batch - b.Bytes*b.Batch })
		fmt.Fprintf(out, "✓ payload estimates                 largest: %s/%s, about %d bytes of %d\n", largest.Device, largest.Event,
			largest.Bytes*largest.Batch, cfg.Platform.MaxPayload)
	}
	fmt.Fprintf(out, "Configuration is usable.  next:  legacybridge run --dry-run -c %s\n", g.config)
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

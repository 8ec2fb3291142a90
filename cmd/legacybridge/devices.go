package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"legacybridge/config"
	"legacybridge/publisher/localplatform"
)

func newDevicesCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "The configured devices against the platform's registry",
		Long: `Compares the devices of the configuration with those registered on the platform: the one of [platform.registry], or the
embedded platform. The platform takes events of registered devices only.`,
	}
	var missing, dryRun bool
	cmd.AddCommand(&cobra.Command{Use: "list", Short: "Every registered device, and which are configured here", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.withRegistry(cmd, func(ctx context.Context, cfg *config.Config, r *registry) error {
				return listDevices(ctx, cmd, g, cfg, r)
			})
		}})
	cmd.AddCommand(&cobra.Command{Use: "verify", Short: "Which configured devices are not registered; ends with 1 if any", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.withRegistry(cmd, func(ctx context.Context, cfg *config.Config, r *registry) error {
				return verifyDevices(ctx, cmd, g, cfg, r)
			})
		}})
	register := &cobra.Command{Use: "register [TYPE/ID…]", Short: "Register configured devices",
		Long: `Registers the named devices of the configuration, or with --missing all that are not registered, with their types where these
are missing. The tokens that the platform makes for them are not kept: legacybridge speaks for them with its own key.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if missing == (len(args) > 0) {
				return exit(exitUsage, errors.New("name devices as TYPE/ID, or give --missing for all that are not registered"))
			}
			return g.withRegistry(cmd, func(ctx context.Context, cfg *config.Config, r *registry) error {
				return registerDevices(ctx, cmd, g, cfg, r, args, dryRun)
			})
		}}
	register.Flags().BoolVar(&missing, "missing", false, "all configured devices that are not registered")
	register.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be registered, change nothing")
	cmd.AddCommand(register)
	return cmd
}

// withRegistry opens the configuration and its registry. An answer that refuses is 4, none is 3.
func (g *globals) withRegistry(cmd *cobra.Command, do func(context.Context, *config.Config, *registry) error) error {
	cfg, err := g.loadOrDefaults(cmd)
	if err != nil {
		return err
	}
	r, err := commandRegistry(cfg)
	if errors.Is(err, errNoRegistry) {
		return exit(exitUsage, err)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	ctx, cancel := g.context(cmd.Context())
	defer cancel()
	err = do(ctx, cfg, r)
	switch status(err) {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge:
		return exit(exitRefused, err)
	}
	if err == nil {
		return nil
	}
	if _, coded := errors.AsType[*exitError](err); coded {
		return err
	}
	return exit(exitUnreach, err)
}

// deviceLine is one device of --json.
type deviceLine struct {
	Type       string       `json:"type"`
	ID         string       `json:"id"`
	State      registration `json:"state"`
	Configured bool         `json:"configured"`
}

// deviceTable writes devices as a table, or one object per line.
func deviceTable(cmd *cobra.Command, g *globals, lines []deviceLine) error {
	if g.json {
		e := json.NewEncoder(cmd.OutOrStdout())
		for _, l := range lines {
			if err := e.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "DEVICE\tREGISTRY\tCONFIGURED")
	for _, l := range lines {
		fmt.Fprintf(w, "%s/%s\t%s\t%s\n", l.Type, l.ID, l.State, map[bool]string{true: "yes", false: "no"}[l.Configured])
	}
	return w.Flush()
}

func listDevices(ctx context.Context, cmd *cobra.Command, g *globals, cfg *config.Config, r *registry) error {
	var lines []deviceLine
	err := r.each(ctx, func(d localplatform.Device) error {
		lines = append(lines, deviceLine{d.Type, d.ID, registered, slices.Contains(cfg.LocalCfg.Devices, d)})
		return nil
	})
	if err != nil {
		return err
	}
	return deviceTable(cmd, g, lines)
}

func verifyDevices(ctx context.Context, cmd *cobra.Command, g *globals, cfg *config.Config, r *registry) error {
	lines, n, err := compare(ctx, cfg.LocalCfg.Devices, r)
	if err != nil {
		return err
	}
	if err := deviceTable(cmd, g, lines); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d devices registered\n", len(lines)-n, len(lines))
	if n > 0 {
		return exit(exitProblems, fmt.Errorf("%d devices are not registered: the platform does not take their events; next:  legacybridge devices register --missing", n))
	}
	return nil
}

// compare looks each device up; n are not registered.
func compare(ctx context.Context, devices []localplatform.Device, r *registry) (lines []deviceLine, n int, err error) {
	for _, d := range devices {
		state, err := r.look(ctx, d)
		if err != nil {
			return nil, 0, err
		}
		lines = append(lines, deviceLine{d.Type, d.ID, state, true})
		if state != registered {
			n++
		}
	}
	return lines, n, nil
}

func registerDevices(ctx context.Context, cmd *cobra.Command, g *globals, cfg *config.Config, r *registry, named []string, dryRun bool) error {
	devices := cfg.LocalCfg.Devices
	if len(named) > 0 {
		devices = nil
		for _, name := range named {
			i := slices.IndexFunc(cfg.LocalCfg.Devices, func(d localplatform.Device) bool { return d.String() == name })
			if i < 0 {
				return exit(exitUsage, fmt.Errorf("no device %s in %s; devices are named TYPE/ID here", name, cfg.File))
			}
			devices = append(devices, cfg.LocalCfg.Devices[i])
		}
	}
	lines, n, err := compare(ctx, devices, r)
	if err != nil {
		return err
	}
	if dryRun {
		lines = slices.DeleteFunc(lines, func(l deviceLine) bool { return l.State == registered })
		fmt.Fprintf(cmd.ErrOrStderr(), "%d devices would be registered; nothing was changed\n", n)
		return deviceTable(cmd, g, lines)
	}
	done := 0
	for i, l := range lines {
		if l.State == registered {
			continue
		}
		if err := r.register(ctx, devices[i]); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "registered %d of %d\n", done, n)
			return fmt.Errorf("%s: %w", devices[i], err)
		}
		done++
		lines[i].State = registered
	}
	if err := deviceTable(cmd, g, lines); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "registered %d, %d were there already\n", done, len(lines)-n)
	return nil
}

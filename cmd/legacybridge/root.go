package main

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
)

const defaultConfig = "/etc/legacybridge/legacybridge.toml"

// globals are the flags of every command.
type globals struct {
	config  string
	state   string
	json    bool
	quiet   bool
	verbose bool
	noColor bool
	timeout time.Duration
}

// newRoot builds the command tree. started is set once a command line has been understood.
func newRoot(started *bool) *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:   "legacybridge",
		Short: "Old equipment to an MQTT platform: serial lines, Modbus and CSV files",
		Long: `legacybridge reads serial lines, Modbus devices and CSV files, turns every reading into an event of a
registered device, keeps it on disk, and publishes it over MQTT until the platform has acknowledged it.

Without equipment:   legacybridge demo
With your own:       legacybridge check -c FILE, then legacybridge run -c FILE`,
		SilenceUsage:     true,
		SilenceErrors:    true,
		PersistentPreRun: func(*cobra.Command, []string) { *started = true },
	}
	f := root.PersistentFlags()
	f.StringVarP(&g.config, "config", "c", defaultConfig, "configuration `FILE`")
	f.StringVar(&g.state, "state", "", "state folder `DIR` (default $STATE_DIRECTORY, else /var/lib/legacybridge)")
	f.BoolVar(&g.json, "json", false, "one JSON document, or one object per line for streams")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "less on stderr")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "more on stderr")
	f.BoolVar(&g.noColor, "no-color", false, "no colours (also NO_COLOR)")
	f.DurationVar(&g.timeout, "timeout", 0, "limit for everything that waits, such as 30s")

	root.AddCommand(newDemoCmd(g), newCheckCmd(g), newRunCmd(g), newPlatformCmd(g), newWatchCmd(g), newSendCmd(g), newStressCmd(g), newDevicesCmd(g),
		newQueueCmd(g), newDeadCmd(g), newVersionCmd(g))
	for _, c := range root.Commands() {
		if c.HasSubCommands() && !c.Runnable() { // else a misspelt word shows the help and ends with 0
			c.Args, c.RunE = cobra.NoArgs, func(c *cobra.Command, _ []string) error { return c.Help() }
			c.DisableFlagsInUseLine = true
		}
	}
	return root
}

// color says whether w is a terminal that may be coloured.
func (g *globals) color(w io.Writer) bool {
	if g.noColor || os.Getenv("NO_COLOR") != "" {
		return false
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"legacybridge/config"
	"legacybridge/publisher"
	"legacybridge/publisher/queue"
)

type listFlags struct {
	device string
	limit  int
}

func newQueueCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Look at the events that wait: ls, show, verify, stats",
		Long:  "Looks at the events that wait for the platform. Nothing is changed, so all four work beside a running service.",
	}
	var f listFlags
	ls := &cobra.Command{
		Use: "ls", Short: "List the events that wait, the oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return queueLs(cmd, g, f) },
	}
	f.add(ls)
	show := &cobra.Command{
		Use: "show N", Short: "Show one event that waits, as it will be sent", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return queueShow(cmd, g, args[0]) },
	}
	verify := &cobra.Command{
		Use: "verify", Short: "Read every record and its checksum", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return queueVerify(cmd, g) },
	}
	stats := &cobra.Command{
		Use: "stats", Short: "The ledger: read = filtered + delivered + dead + dropped + waiting", Args: cobra.NoArgs,
		Long: `The ledger per device since the queue's folder was made: read = filtered + delivered + dead + dropped + waiting.
The unit is one event of one reading; an event sent in parts counts once.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return queueStats(cmd, g, f) },
	}
	f.add(stats)
	cmd.AddCommand(ls, show, verify, stats)
	return cmd
}

func (f *listFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.device, "device", "", "only this `DEVICE`")
	cmd.Flags().IntVar(&f.limit, "limit", 0, "at most `N` lines")
}

// done says whether n lines are enough.
func (f *listFlags) done(n int) bool { return f.limit > 0 && n >= f.limit }

// look opens the queue of the configuration for reading.
func (g *globals) look(cmd *cobra.Command) (*config.Config, *queue.View, error) {
	cfg, err := g.loadOrDefaults(cmd)
	if err != nil {
		return nil, nil, err
	}
	v, err := queue.Look(cfg.Queue)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, noQueue(cfg)
	}
	if err != nil {
		return nil, nil, exit(exitProblems, err)
	}
	return cfg, v, nil
}

// queueLine is the promised form of `queue ls --json`.
type queueLine struct {
	Number uint64    `json:"number"`
	Stored time.Time `json:"stored"`
	Device string    `json:"device"`
	Type   string    `json:"type"`
	ID     string    `json:"id"`
	Event  string    `json:"event"`
	Format string    `json:"format"`
	QoS    byte      `json:"qos"`
	Bytes  int       `json:"bytes"`
	Part   int       `json:"part,omitempty"`
	Parts  int       `json:"parts,omitempty"`
}

func queueLs(cmd *cobra.Command, g *globals, f listFlags) error {
	_, v, err := g.look(cmd)
	if err != nil {
		return err
	}
	defer v.Close()
	out := cmd.OutOrStdout()
	n := 0
	for e, err := range v.Entries() {
		if err != nil {
			return exit(exitProblems, err)
		}
		if f.device != "" && e.Event.Device != f.device {
			continue
		}
		if f.done(n) {
			break
		}
		n++
		ev := e.Event
		if g.json {
			if err := json.NewEncoder(out).Encode(queueLine{e.Number, e.Stored.UTC(), ev.Device, ev.Type, ev.ID, ev.Name, ev.Format, ev.QoS, len(ev.Payload), ev.Part, ev.Parts}); err != nil {
				return err
			}
			continue
		}
		part := ""
		if ev.Parts > 0 {
			part = fmt.Sprintf("  part %d of %d", ev.Part, ev.Parts)
		}
		fmt.Fprintf(out, "%8d  %s  %-24s  %-12s %6d B%s\n", e.Number, e.Stored.Local().Format(time.DateTime), ev.Type+"/"+ev.ID, ev.Name, len(ev.Payload), part)
	}
	if !g.json && !g.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d events wait in %d bytes%s\n", v.Waiting, v.Bytes, oldest(v))
	}
	return nil
}

func oldest(v *queue.View) string {
	if v.Waiting == 0 {
		return ""
	}
	return ", the oldest since " + v.Oldest.Local().Format(time.DateTime)
}

func queueShow(cmd *cobra.Command, g *globals, arg string) error {
	n, err := number(arg)
	if err != nil {
		return err
	}
	cfg, v, err := g.look(cmd)
	if err != nil {
		return err
	}
	defer v.Close()
	e, ok, err := v.Find(n)
	if err != nil {
		return exit(exitProblems, err)
	}
	if !ok {
		return exit(exitProblems, fmt.Errorf("event %d does not wait: it was delivered, dropped, or never there; see  legacybridge queue ls", n))
	}
	topic, _ := publisher.NewGate(cfg.Platform).Preview(e.Event)
	out := cmd.OutOrStdout()
	if g.json {
		line := eventLine{Time: e.Stored.UTC(), Type: e.Event.Type, ID: e.Event.ID, Event: e.Event.Name, Format: e.Event.Format, QoS: e.Event.QoS, Bytes: len(e.Event.Payload)}
		line.setPayload(e.Event.Payload)
		return json.NewEncoder(out).Encode(line)
	}
	fmt.Fprintf(out, "number   %d (id %s-%d)\nstored   %s\ndevice   %s\ntopic    %s\nqos      %d\nbytes    %d\npayload  %s\n", e.Number, v.Stream, e.First,
		e.Stored.Local().Format(time.RFC3339Nano), e.Event.Device, topic, e.Event.QoS, len(e.Event.Payload), printable(e.Event.Payload))
	return nil
}

func queueVerify(cmd *cobra.Command, g *globals) error {
	cfg, err := g.loadOrDefaults(cmd)
	if err != nil {
		return err
	}
	report, err := queue.Verify(cfg.Queue)
	if errors.Is(err, fs.ErrNotExist) {
		return noQueue(cfg)
	}
	if err != nil {
		return exit(exitProblems, err)
	}
	out := cmd.OutOrStdout()
	if g.json {
		if err := json.NewEncoder(out).Encode(verifyLine{report.Files, report.Bytes, report.Records, report.Events, report.Letters, faultLines(report)}); err != nil {
			return err
		}
	} else {
		for _, f := range report.Faults {
			fmt.Fprintf(out, "%s, byte %d: %s (%d bytes)\n", f.File, f.Offset, f.What, f.Bytes)
		}
	}
	switch torn := torn(report.Faults); {
	case len(report.Faults) == 0:
	case torn == len(report.Faults):
		return exit(exitProblems, errors.New("the last write is not whole: after a kill or a power cut that is one which was never promised, and the next start sees to it; if there was neither, look at the disk"))
	default:
		return exit(exitProblems, fmt.Errorf("damaged places: %d; the records around them are kept. A copy of both folders helps to find out what did it: look at the disk", len(report.Faults)-torn))
	}
	if !g.json {
		fmt.Fprintf(out, "sound: %d files, %d bytes, %d records with %d events and %d dead letters, every checksum right\n", report.Files, report.Bytes, report.Records, report.Events, report.Letters)
	}
	return nil
}

// verifyLine is the promised form of `queue verify --json`.
type verifyLine struct {
	Files   int         `json:"files"`
	Bytes   int64       `json:"bytes"`
	Records int         `json:"records"`
	Events  int         `json:"events"`
	Letters int         `json:"letters"`
	Faults  []faultLine `json:"faults"`
}

type faultLine struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	What   string `json:"what"`
	Torn   bool   `json:"torn"` // it may be a write that a crash cut off
}

// torn is how many of them may be writes that a crash cut off.
func torn(faults []queue.Fault) (n int) {
	for _, f := range faults {
		if f.Torn {
			n++
		}
	}
	return n
}

func faultLines(r queue.Report) []faultLine {
	lines := []faultLine{}
	for _, f := range r.Faults {
		lines = append(lines, faultLine{f.File, f.Offset, f.Bytes, f.What, f.Torn})
	}
	return lines
}

func noQueue(cfg *config.Config) error {
	return exit(exitProblems, fmt.Errorf("no queue in %s: nothing was stored yet, or the state folder is another one (--state DIR)", cfg.Queue.Path))
}

// accountLine is the promised form of `queue stats --json`.
type accountLine struct {
	Device    string `json:"device"`
	Read      uint64 `json:"read"`
	Filtered  uint64 `json:"filtered"`
	Delivered uint64 `json:"delivered"`
	Dead      uint64 `json:"dead"`
	Dropped   uint64 `json:"dropped"`
	Waiting   uint64 `json:"waiting"`
}

func queueStats(cmd *cobra.Command, g *globals, f listFlags) error {
	_, v, err := g.look(cmd)
	if err != nil {
		return err
	}
	defer v.Close()
	accounts, err := v.Accounts()
	if err != nil {
		return exit(exitProblems, err)
	}
	out := cmd.OutOrStdout()
	if !g.json {
		fmt.Fprintf(out, "%-24s %10s %10s %10s %10s %10s %10s\n", "device", "read", "filtered", "delivered", "dead", "dropped", "waiting")
	}
	n := 0
	if f.device == "" {
		accounts = append(accounts, total(accounts))
	}
	for _, a := range accounts {
		if f.device != "" && a.Device != f.device || f.done(n) {
			continue
		}
		n++
		if g.json {
			if err := json.NewEncoder(out).Encode(accountLine{a.Device, a.Read, a.Filtered, a.Delivered, a.Dead, a.Dropped, a.Waiting}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(out, "%-24s %10d %10d %10d %10d %10d %10d\n", a.Device, a.Read, a.Filtered, a.Delivered, a.Dead, a.Dropped, a.Waiting)
	}
	if !g.json && !g.quiet && !v.Since.IsZero() {
		fmt.Fprintf(cmd.ErrOrStderr(), "since %s; %d events wait in %d bytes%s\n", v.Since.Local().Format(time.DateTime), v.Waiting, v.Bytes, oldest(v))
	}
	return nil
}

func number(arg string) (uint64, error) {
	n, err := strconv.ParseUint(arg, 10, 64)
	if err != nil {
		return 0, exit(exitUsage, fmt.Errorf("%q is not a number as  ls  shows them", arg))
	}
	return n, nil
}

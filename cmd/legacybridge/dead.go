package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"legacybridge/config"
	"legacybridge/publisher/queue"
)

// deadFlags choose dead letters: by number, by reason, by age, or all.
type deadFlags struct {
	reason string
	since  time.Duration
	all    bool
	dryRun bool
	listFlags
}

func newDeadCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Look at what could not be mapped or sent, and try it again: ls, show, replay, drop, export",
	}
	var f deadFlags
	sub := func(use, short string, args cobra.PositionalArgs, run func(*cobra.Command, *globals, deadFlags, []string) error) *cobra.Command {
		c := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, g, f, args) }}
		c.Flags().StringVar(&f.reason, "reason", "", "only letters with this `CODE`, such as MAP011")
		c.Flags().DurationVar(&f.since, "since", 0, "only letters of the last `TIME`, such as 24h")
		cmd.AddCommand(c)
		return c
	}
	f.add(sub("ls", "List dead letters, the oldest first", cobra.NoArgs, deadLs))
	sub("show N", "Show one dead letter with the record as it came", cobra.ExactArgs(1), deadShow)
	replay := sub("replay [N…]", "Run the current decoding and mapping on the raw record, and queue the event", cobra.ArbitraryArgs, deadReplay)
	replay.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would be queued")
	replay.Flags().BoolVar(&f.all, "all", false, "all letters")
	drop := sub("drop [N…]", "Remove dead letters for good", cobra.ArbitraryArgs, deadDrop)
	drop.Flags().BoolVar(&f.all, "all", false, "all letters")
	drop.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would be removed")
	f.add(sub("export", "Write dead letters as JSON, one object per line", cobra.NoArgs, deadExport))
	return cmd
}

// letters are those that the flags choose.
func (f deadFlags) letters(cfg *config.Config) iter.Seq2[queue.Letter, error] {
	return func(yield func(queue.Letter, error) bool) {
		n := 0
		for l, err := range queue.Letters(cfg.Queue) {
			if err != nil {
				yield(l, err)
				return
			}
			if f.reason != "" && l.Dead.Code != f.reason || f.device != "" && l.Dead.Device != f.device || f.since > 0 && time.Since(l.Stored) > f.since {
				continue
			}
			if f.done(n) || !yield(l, nil) {
				return
			}
			n++
		}
	}
}

// chosen are the letters to act on: those named, or with --all, --reason or --since those that fit.
func (f deadFlags) chosen(cfg *config.Config, args []string) ([]queue.Letter, error) {
	want := map[uint64]bool{}
	for _, arg := range args {
		n, err := number(arg)
		if err != nil {
			return nil, err
		}
		want[n] = true
	}
	if len(args) == 0 && !f.all && f.reason == "" && f.since == 0 {
		return nil, exit(exitUsage, errors.New("say which: numbers as  dead ls  shows them, --reason CODE, --since TIME or --all"))
	}
	var out []queue.Letter
	for l, err := range f.letters(cfg) {
		if err != nil {
			return nil, exit(exitProblems, err)
		}
		if len(args) == 0 || want[l.Number] {
			out = append(out, l)
			delete(want, l.Number)
		}
	}
	for n := range want {
		return nil, exit(exitProblems, fmt.Errorf("no dead letter %d; see  legacybridge dead ls", n))
	}
	return out, nil
}

func deadLs(cmd *cobra.Command, g *globals, f deadFlags, _ []string) error {
	if g.json {
		return deadExport(cmd, g, f, nil)
	}
	cfg, err := g.loadOrDefaults(cmd)
	if err != nil {
		return err
	}
	n := 0
	for l, err := range f.letters(cfg) {
		if err != nil {
			return exit(exitProblems, err)
		}
		n++
		fmt.Fprintln(cmd.OutOrStdout(), headline(l))
	}
	if !g.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d dead letters%s\n", n, map[bool]string{true: ".  next:  legacybridge dead show N, then mend the cause and  legacybridge dead replay N"}[n > 0])
	}
	return nil
}

func headline(l queue.Letter) string {
	device := l.Dead.Device
	if device == "" {
		device = "(" + l.Dead.Link + ")"
	}
	return fmt.Sprintf("%6d  %s  %s  %-16s %s: %s", l.Number, l.Stored.Local().Format(time.DateTime), l.Dead.Code, device, l.Dead.Origin, l.Dead.Why)
}

func deadShow(cmd *cobra.Command, g *globals, f deadFlags, args []string) error {
	cfg, err := g.loadOrDefaults(cmd)
	if err != nil {
		return err
	}
	letters, err := f.chosen(cfg, args)
	if err != nil {
		return err
	}
	l, out := letters[0], cmd.OutOrStdout()
	if g.json {
		return json.NewEncoder(out).Encode(newLetterLine(l))
	}
	fmt.Fprintln(out, headline(l))
	fmt.Fprintf(out, "link     %s\n", l.Dead.Link)
	if l.Dead.Event != "" {
		fmt.Fprintf(out, "event    %s\n", l.Dead.Event)
	}
	fmt.Fprintf(out, "read     %s\n", l.Dead.Time.Local().Format(time.RFC3339Nano))
	if len(l.Dead.Head) > 0 {
		fmt.Fprintf(out, "head     %s\n", printable(l.Dead.Head))
	}
	fmt.Fprintf(out, "raw      %s\n", printable(l.Dead.Raw))
	return nil
}

// letterLine is the promised form of `dead export`. Raw bytes that are no text are in base64.
type letterLine struct {
	Number uint64    `json:"number"`
	Stored time.Time `json:"stored"`
	Read   time.Time `json:"read"`
	Code   string    `json:"code"`
	Why    string    `json:"why"`
	Link   string    `json:"link"`
	Device string    `json:"device,omitempty"`
	Event  string    `json:"event,omitempty"`
	Origin string    `json:"origin"`
	Head   []byte    `json:"head_base64,omitempty"`
	Raw    []byte    `json:"raw_base64"`
	Text   string    `json:"text,omitempty"`
}

func newLetterLine(l queue.Letter) letterLine {
	d := l.Dead
	line := letterLine{Number: l.Number, Stored: l.Stored.UTC(), Read: d.Time.UTC(), Code: d.Code, Why: d.Why, Link: d.Link, Device: d.Device,
		Event: d.Event, Origin: d.Origin, Head: d.Head, Raw: d.Raw}
	if text := printable(d.Raw); text == string(d.Raw) {
		line.Text = text
	}
	return line
}

func deadExport(cmd *cobra.Command, g *globals, f deadFlags, _ []string) error {
	cfg, err := g.loadOrDefaults(cmd)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	for l, err := range f.letters(cfg) {
		if err != nil {
			return exit(exitProblems, err)
		}
		if err := enc.Encode(newLetterLine(l)); err != nil {
			return err
		}
	}
	return nil
}

func deadDrop(cmd *cobra.Command, g *globals, f deadFlags, args []string) error {
	cfg, err := g.loadOrDefaults(cmd)
	if err != nil {
		return err
	}
	if f.dryRun {
		letters, err := f.chosen(cfg, args)
		for _, l := range letters {
			fmt.Fprintln(cmd.OutOrStdout(), headline(l))
		}
		return err
	}
	q, err := queue.Open(cfg.Queue) // takes the folder: beside a running service it is refused
	if err != nil {
		return openError(err)
	}
	letters, err := f.chosen(cfg, args)
	for i := 0; err == nil && i < len(letters); i++ {
		err = q.DropLetter(cmd.Context(), letters[i].Number)
	}
	if err := errors.Join(err, q.Close()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d dead letters removed\n", len(letters))
	return nil
}

func deadReplay(cmd *cobra.Command, g *globals, f deadFlags, args []string) error {
	cfg, err := g.load(cmd, exitConfig)
	if err != nil {
		return err
	}
	r := newReplayer(cfg)
	if f.dryRun {
		letters, err := f.chosen(cfg, args)
		p := &dryPrinter{out: cmd.OutOrStdout(), json: g.json, gate: r.gate}
		for _, l := range letters {
			out, failed := r.replay(l)
			if failed == nil {
				failed = p.print(out)
			}
			if failed != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d: %v\n", l.Number, failed)
			}
		}
		return err
	}
	q, err := queue.Open(cfg.Queue)
	if err != nil {
		return openError(err)
	}
	letters, err := f.chosen(cfg, args)
	queued, kept := 0, 0
	for i := 0; err == nil && i < len(letters); i++ {
		l := letters[i]
		out, failed := r.replay(l)
		if failed == nil && len(out.Dead) > 0 {
			failed = fmt.Errorf("%s %s", out.Dead[0].Code, out.Dead[0].Why)
		}
		if failed != nil {
			kept++
			fmt.Fprintf(cmd.ErrOrStderr(), "%d stays a dead letter: %v\n", l.Number, failed)
			continue
		}
		// Queued first: a crash between the two replays it twice rather than never.
		if err = q.Append(cmd.Context(), l.Dead.Link, nil, out); err == nil {
			err = q.DropLetter(cmd.Context(), l.Number)
			queued += len(out.Events)
		}
	}
	if err := errors.Join(err, q.Close()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d events queued, %d letters stay; the next  legacybridge run  sends them\n", queued, kept)
	if kept > 0 {
		return exit(exitProblems, nil)
	}
	return nil
}

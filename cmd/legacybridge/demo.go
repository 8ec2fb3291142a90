package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"legacybridge/config"
	"legacybridge/hardware/sim"
	"legacybridge/publisher"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/queue"
	"legacybridge/publisher/wiotp"
)

//go:embed demo.toml
var demoConfig string

// Ports of the demo, as the documentation shows them; a taken one gives way to a free one.
const (
	demoPlatformPort = 18830
	demoMeterPort    = 15020
)

type demoFlags struct {
	duration time.Duration
	port     int
}

func newDemoCmd(g *globals) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a simulated site and show what the platform receives",
		Long: `Simulates a scale on a serial line, a Modbus TCP meter and a kiln logger that writes a CSV file, and runs the real
adapters, mapping, queue and publisher into the embedded platform. What is printed is what a subscriber of that
platform receives. Nothing to install first, nothing stays behind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd, g, f) },
	}
	cmd.Flags().DurationVar(&f.duration, "for", 0, "end after this time, such as 10s (default: Ctrl-C)")
	cmd.Flags().IntVar(&f.port, "port", -1, "platform on port `N`, meter on N+1; 0 takes free ports")
	return cmd
}

func demo(cmd *cobra.Command, g *globals, f demoFlags) (err error) {
	ctx, cancel := g.context(cmd.Context())
	defer cancel()
	if f.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	folder, err := os.MkdirTemp("", "legacybridge-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	eq, err := newEquipment(folder, f.port)
	if err != nil {
		return err
	}
	cfg, err := demoSite(folder, eq, f.port)
	if err != nil {
		return err
	}
	log := g.logger(cmd, cfg)
	cfg.Queue.Log, cfg.LocalCfg.Log = log.With("source", "queue"), log.With("source", "platform")

	show := &watchPrinter{out: cmd.OutOrStdout(), json: g.json, topic: publisher.DefaultTopic, log: log, printed: make(chan struct{}, 1)}
	watching, stopWatch := outlive(ctx, deliverGrace)
	defer stopWatch()
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()

	s := &site{cfg: cfg, log: log, board: newBoard(log)}
	s.ready = func(_ *queue.Queue, plat *localplatform.Platform) error {
		if !g.json {
			eq.introduce(cmd.OutOrStdout(), plat.Addr())
		}
		session := cfg.Platform
		if err := useLocal(cfg, &session, plat); err != nil {
			return err
		}
		session.ClientID, session.Log = watchID(cfg).String(), log.With("source", "watch")
		filter, err := watchFilter(cfg, watchID(cfg), wiotp.Event, watchFlags{})
		if err != nil {
			return err
		}
		// The equipment starts once the subscriber listens, so that it hears the first event too.
		listening := make(chan struct{})
		heard := sync.OnceFunc(func() { close(listening) })
		session.Report = func(st publisher.State) {
			if st.Connected {
				heard()
			}
		}
		background.Go(func() { s.logEnd("watch", publisher.Watch(watching, session, []string{filter}, show.print)) })
		select {
		case <-listening:
		case <-ctx.Done():
		}
		eq.run(ctx, &background)
		return nil
	}
	var ledger []queue.Account
	s.done = func(q *queue.Queue) (err error) {
		ledger, err = q.Stats()
		show.await(int(total(ledger).Delivered), time.Second) // the subscriber hears the last ones a moment later
		stopWatch()
		return err
	}
	if err := s.run(ctx); err != nil {
		return err
	}
	if !g.json {
		demoSummary(cmd.OutOrStdout(), ledger, show.count())
	}
	if f.duration == 0 {
		return nil
	}
	for _, d := range ledger {
		if d.Delivered == 0 {
			return exit(exitProblems, fmt.Errorf("no event of %s was acknowledged", d.Device))
		}
	}
	return nil
}

// equipment is the simulated site.
type equipment struct {
	scale *sim.Scale
	meter *sim.Meter
	kiln  sim.Kiln
}

func newEquipment(folder string, port int) (*equipment, error) {
	scale, err := sim.NewScale()
	if err != nil {
		return nil, fmt.Errorf("simulated scale: %w", err)
	}
	meter, err := sim.NewMeter(demoAddr(port, 1, demoMeterPort))
	if err != nil {
		return nil, fmt.Errorf("simulated meter: %w", err)
	}
	return &equipment{scale, meter, sim.Kiln{Path: filepath.Join(folder, "kiln.csv")}}, nil
}

// Periods of the simulated equipment: slow enough to be read, fast enough not to bore.
const (
	scaleEvery = time.Second
	kilnEvery  = 1500 * time.Millisecond
)

func (e *equipment) run(ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() { defer e.scale.Close(); _ = e.scale.Run(ctx, scaleEvery) })
	wg.Go(func() { _ = e.meter.Run(ctx) })
	wg.Go(func() { _ = e.kiln.Run(ctx, kilnEvery) })
}

func (e *equipment) introduce(w io.Writer, platform net.Addr) {
	fmt.Fprintf(w, `Simulated site running (Ctrl-C stops, nothing stays on disk)
  scale-a      serial pty, a line every second         → bench-scale/SCL-DEMO-1   evt weighed
  main-meter   Modbus TCP %-15s unit 1       → energy-meter/EM-DEMO-1   evt power
  kiln-2       kiln.csv in a temporary folder grows    → kiln/KILN-DEMO-2         evt temperature
  platform     local platform %s

What a subscriber of that platform receives:
`, e.meter.Addr(), platform)
}

// demoSite is an ordinary configuration file, loaded in the ordinary way.
func demoSite(folder string, eq *equipment, port int) (*config.Config, error) {
	text := strings.NewReplacer("@LISTEN@", demoAddr(port, 0, demoPlatformPort), "@SCALE@", eq.scale.Path(),
		"@METER@", eq.meter.Addr(), "@KILN@", eq.kiln.Path).Replace(demoConfig)
	file := filepath.Join(folder, "legacybridge.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cfg, problems := config.Load(file, config.Options{State: filepath.Join(folder, "state"), Build: buildTime()})
	if cfg == nil {
		var b strings.Builder
		if err := problems.Write(&b, "short", false); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("demo configuration: %s", b.String())
	}
	return cfg, nil
}

// demoAddr is port base+n, or a free one for 0; without --port the usual one, or a free one if that is taken.
func demoAddr(base, n, usual int) string {
	switch {
	case base == 0:
		return "127.0.0.1:0"
	case base > 0:
		return "127.0.0.1:" + strconv.Itoa(base+n)
	}
	addr := "127.0.0.1:" + strconv.Itoa(usual)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return addr
}

func demoSummary(w io.Writer, ledger []queue.Account, received int) {
	fmt.Fprintf(w, "\n%-12s %9s %9s %9s %12s %9s\n", "", "read", "filtered", "published", "acknowledged", "dead")
	row := func(name string, t queue.Account) {
		fmt.Fprintf(w, "%-12s %9d %9d %9d %12d %9d\n", name, t.Read, t.Filtered, t.Delivered+t.Waiting, t.Delivered, t.Dead)
	}
	for _, d := range ledger {
		row(d.Device, d)
	}
	row("all", total(ledger))
	fmt.Fprintf(w, "The subscriber received %d events. Filtered: a rule such as on_change left them out. Dead: kept aside with a reason.\n", received)
	fmt.Fprintln(w, "  next:  write your own configuration from the README, then  legacybridge check -c FILE")
}

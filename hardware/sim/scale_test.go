package sim_test

import (
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"legacybridge/hardware/port"
	"legacybridge/hardware/sim"
)

func TestScalePrintsWeights(t *testing.T) {
	scale, err := sim.NewScale()
	if err != nil {
		t.Fatal(err)
	}
	p, err := port.Open(t.Context(), port.Config{TTY: scale.Path(), Mode: port.Mode{Baud: 9600, Bits: 8, Parity: 'N', Stop: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- scale.Run(ctx, time.Millisecond) }()

	// as the scale's manual has it; the pattern is the one of the example configuration
	line := regexp.MustCompile(`^(?<weight>[-+ \d.]{8,12}) (?<unit>kg|g|lb) ?(?<unstable>\?)?$`)
	p.SetDeadline(time.Now().Add(10 * time.Second))
	var text strings.Builder
	for b := make([]byte, 256); strings.Count(text.String(), "\r\n") < 300; {
		n, err := p.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b[:n])
	}
	cancel()
	if err := <-over; err != nil {
		t.Errorf("Run returned %v when it was stopped", err)
	}
	lines := strings.Split(text.String(), "\r\n")
	stable, unstable, weights := 0, 0, map[float64]bool{}
	for _, l := range lines[:len(lines)-1] {
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Errorf("%q is no line of a scale", l)
			continue
		}
		kg, err := strconv.ParseFloat(strings.TrimSpace(m[1]), 64)
		if err != nil || kg < 0 || kg > 35 {
			t.Errorf("%q: %v", l, err)
		}
		if m[3] == "" {
			stable++
			weights[kg] = true
		} else {
			unstable++
		}
	}
	if stable <= unstable || unstable == 0 || len(weights) < 5 {
		t.Errorf("%d stable lines with %d weights, %d unstable ones", stable, len(weights), unstable)
	}

	if err := scale.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(p); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the port of a scale that is off: %v, want it gone", err)
	}
}

func TestScaleDoesNotWaitForListeners(t *testing.T) {
	scale, err := sim.NewScale()
	if err != nil {
		t.Fatal(err)
	}
	defer scale.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // more lines than a terminal keeps
	defer cancel()
	if err := scale.Run(ctx, 20*time.Microsecond); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

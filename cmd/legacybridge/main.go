// Command legacybridge connects serial, Modbus and CSV equipment to an MQTT platform, speaking for registered devices.
//
// This package is the command line and the wiring: one file per command, and run.go, which shows the whole system on one
// screen. Rules: data on stdout, talk on stderr; commands return errors, and main prints them once.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
)

func main() {
	os.Exit(Main(context.Background(), os.Args[1:]))
}

// Main runs one command and returns its exit code.
func Main(ctx context.Context, args []string) (code int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "legacybridge: this is our bug, please report it: %v\n%s", r, debug.Stack())
			code = exitBug
		}
	}()
	started := false
	root := newRoot(&started)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		if e.err != nil {
			fmt.Fprintf(os.Stderr, "legacybridge: %v\n", e.err)
		}
		return e.code
	}
	fmt.Fprintf(os.Stderr, "legacybridge: %v\n", err)
	if !started {
		fmt.Fprintf(os.Stderr, "  next:  %s --help\n", cmd.CommandPath())
		return exitUsage
	}
	return exitProblems
}

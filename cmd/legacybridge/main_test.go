package main_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// program is the program under test: built once, as it is shipped.
var program string

func TestMain(m *testing.M) {
	if target := os.Getenv(floodTarget); target != "" {
		flood(target)
		return
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "legacybridge-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "legacybridge")
		build := exec.Command("go", "build", "-o", program, "legacybridge/cmd/legacybridge")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build:", err)
			return 1
		}
		code := m.Run()
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

// TestScripts runs the command line as a terminal session would: one file per case.
func TestScripts(t *testing.T) {
	t.Parallel() // it waits most of the time
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+e.Getenv("PATH"))
			addr, err := listenable()
			if err != nil {
				return err
			}
			e.Setenv("FREEADDR", addr)
			e.Setenv("STATE_DIRECTORY", filepath.Join(e.WorkDir, "state"))
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": cmdExits, "expand": cmdExpand, "waitfile": cmdWaitFile, "waitdial": cmdWaitDial, "appendrows": cmdAppendRows},
		RequireExplicitExec: true,
	})
}

// cmdExits runs a program and wants this exit code: exits 78 legacybridge run -c x.toml
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE program [args...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if e, ok := err.(*exec.ExitError); ok {
		got = e.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// cmdExpand replaces $FREEADDR in a file: expand site.toml
func cmdExpand(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "$FREEADDR", ts.Getenv("FREEADDR"))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// cmdWaitFile waits until another process has made a file: waitfile state/local/key.json
func cmdWaitFile(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.After(10 * time.Second); ; {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		select {
		case <-end:
			ts.Fatalf("no file %s within 10 s", args[0])
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// cmdWaitDial waits until somebody listens: waitdial $FREEADDR
func cmdWaitDial(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.After(10 * time.Second); ; {
		if c, err := net.Dial("tcp", args[0]); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-end:
			ts.Fatalf("nobody listens on %s within 10 s", args[0])
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// cmdAppendRows appends a number to a file every 50 ms until the script ends: appendrows log.csv
func cmdAppendRows(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	end := make(chan struct{})
	ts.Defer(func() { close(end); f.Close() })
	go func() {
		for i := 0; ; i++ {
			fmt.Fprintln(f, i)
			select {
			case <-end:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
}

package main

import (
	"os"
	"testing"
)

// TestProgramIsPartOfItsTests runs a command in this process. The other tests build the program and run it, which `go test`
// does not see: without a way from here to every command, it would give a cached result after a change of one.
func TestProgramIsPartOfItsTests(t *testing.T) {
	stdout := os.Stdout
	defer func() { os.Stdout = stdout }()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	os.Stdout = null
	if code := Main(t.Context(), []string{"version"}); code != exitOK {
		t.Errorf("version: exit code %d", code)
	}
}

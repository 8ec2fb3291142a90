package main_test

import (
	"os"
	"strings"
	"testing"
)

func TestReadmeShowsTheExampleThatRuns(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../../examples/plant/legacybridge.toml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), strings.TrimSpace(string(example))) {
		t.Error("the configuration in README.md is not examples/plant/legacybridge.toml")
	}
}

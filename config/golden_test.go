package config

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// badFiles are the main files of testdata/bad: CODE-what.toml, or a folder of that name.
func badFiles(t *testing.T) []string {
	t.Helper()
	single, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob("testdata/bad/*/legacybridge.toml")
	if err != nil {
		t.Fatal(err)
	}
	if len(single) < 50 || len(folders) < 3 {
		t.Fatalf("got %d files and %d folders in testdata/bad: some are missing", len(single), len(folders))
	}
	return append(single, folders...)
}

// bench loads without the machine's own ports, secrets and state.
func bench(t *testing.T, file string) (*Config, Problems) {
	t.Helper()
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	t.Setenv("LB_TEST_TOKEN", "token-of-the-tests")
	for name, mode := range map[string]fs.FileMode{"open": 0o644, "closed": 0o600, "two-lines": 0o600, "expired-key.pem": 0o600} {
		if err := os.Chmod(filepath.Join("testdata/secrets", name), mode); err != nil {
			t.Fatal(err)
		}
	}
	l := &loader{opt: Options{State: "/state"}, ports: "testdata/serial"}
	return l.load(file)
}

func TestEachMistakeIsToldInFull(t *testing.T) {
	for _, file := range badFiles(t) {
		golden := strings.TrimSuffix(strings.TrimSuffix(file, "/legacybridge.toml"), ".toml") + ".golden"
		name := strings.TrimSuffix(filepath.Base(golden), ".golden")
		t.Run(name, func(t *testing.T) {
			abs, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := bench(t, abs)
			code, _, _ := strings.Cut(name, "-")
			if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Code == code }) {
				t.Errorf("got %v, want one of %s", problems, code)
			}
			var got strings.Builder
			for _, format := range []string{"full", "short"} {
				if err := problems.Write(&got, format, false); err != nil {
					t.Fatal(err)
				}
			}
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("message differs (-want +got):\n%s", diff)
			}
		})
	}
}

// codesOf are the problem codes in the sources of a package.
func codesOf(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources match %s: %v", pattern, err)
	}
	form := regexp.MustCompile(`^[A-Z]{3}\d{3}$`)
	var codes []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && form.MatchString(s) && !slices.Contains(codes, s) {
					codes = append(codes, s)
				}
			}
			return true
		})
	}
	return codes
}

func TestEveryCodeHasAGoldenFile(t *testing.T) {
	var golden []string
	for _, file := range badFiles(t) {
		golden = append(golden, filepath.Base(strings.TrimSuffix(file, "/legacybridge.toml"))[:6])
	}
	codes := codesOf(t, "*.go")
	if len(codes) < 60 {
		t.Fatalf("found only %d codes", len(codes))
	}
	// Package mapping has codes of its own for rules; the grammar stops MAP003 and MAP005 before it sees them.
	for _, code := range codesOf(t, "../mapping/*.go") {
		if strings.HasPrefix(code, "EXP") || slices.Contains([]string{"MAP001", "MAP002", "MAP004"}, code) {
			codes = append(codes, code)
		}
	}
	for _, code := range codes {
		if !slices.Contains(golden, code) {
			t.Errorf("%s has no file in testdata/bad", code)
		}
	}
}

// One code, one meaning: those of the configuration are not those of the running service.
func TestCodesAreNotSharedWithTheRunningService(t *testing.T) {
	ours := codesOf(t, "*.go")
	for _, pattern := range []string{"../adapters/*.go", "../adapters/*/*.go", "../hardware/port/*.go", "../publisher/*.go", "../publisher/queue/*.go"} {
		for _, code := range codesOf(t, pattern) {
			if slices.Contains(ours, code) {
				t.Errorf("%s means one thing in %s and another here", code, pattern)
			}
		}
	}
}

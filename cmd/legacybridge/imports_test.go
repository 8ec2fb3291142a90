package main_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport is the import table: data flows from adapters to cmd, imports run against it. A new edge needs a reason in
// its commit. The imports of test files are free.
var mayImport = map[string][]string{
	"adapters":                {},
	"adapters/serial":         {"adapters", "hardware/port"},
	"adapters/modbus":         {"adapters", "hardware/port"},
	"adapters/csvfile":        {"adapters", "hardware/port"},
	"adapters/adapterstest":   {"adapters"},
	"mapping":                 {"adapters"},
	"publisher":               {"adapters", "mapping", "publisher/queue", "publisher/wiotp"}, // adapters: orders go to the owners of links
	"publisher/queue":         {"mapping"},
	"publisher/wiotp":         {},
	"publisher/localplatform": {"publisher/wiotp"},
	"config": {"adapters", "adapters/serial", "adapters/modbus", "adapters/csvfile", "mapping", "publisher", "publisher/queue",
		"publisher/localplatform", "publisher/wiotp", "hardware/port", "hardware/profiles"},
	"hardware/port": {},
	"hardware/sim":  {},
}

// doors are the libraries with one importer: a package, or one file of it.
var doors = map[string]string{
	"github.com/eclipse/paho.mqtt.golang": "publisher",
	"github.com/tarm/serial":              "hardware/port",
	"github.com/goburrow/modbus":          "adapters/modbus",
	"github.com/fsnotify/fsnotify":        "adapters/csvfile",
	"github.com/BurntSushi/toml":          "config",
	"github.com/mochi-mqtt/server/v2":     "publisher/localplatform",
	"github.com/spf13/cobra":              "cmd/legacybridge",
	"github.com/expr-lang/expr":           "mapping",
	"github.com/creack/pty":               "hardware/sim",
	"github.com/prometheus/client_golang": "cmd/legacybridge",
	"github.com/coreos/go-systemd/v22":    "cmd/legacybridge",
	"golang.org/x/text":                   "adapters",
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func goList(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "legacybridge/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestImportsFollowTheTable(t *testing.T) {
	pkgs := goList(t)
	if len(pkgs) < len(mayImport) {
		t.Fatalf("go list shows %d packages, want at least the %d of the table", len(pkgs), len(mayImport))
	}
	for _, p := range pkgs {
		name := strings.TrimPrefix(p.ImportPath, "legacybridge/")
		allowed, known := mayImport[name]
		if !known && name != "cmd/legacybridge" {
			t.Errorf("package %s is not in the import table", name)
			continue
		}
		for _, imp := range p.Imports {
			ours, isOurs := strings.CutPrefix(imp, "legacybridge/")
			if isOurs && name != "cmd/legacybridge" && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s: the table allows %v", name, ours, allowed)
			}
		}
	}
}

// TestOneFileOpensTheDoorToPaho holds the narrowest door: everything about the client library is in one file.
func TestOneFileOpensTheDoorToPaho(t *testing.T) {
	files, err := filepath.Glob("../../publisher/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of publisher (%v)", err)
	}
	var found []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(f.Imports, func(s *ast.ImportSpec) bool { return strings.Contains(s.Path.Value, "paho") }) {
			found = append(found, filepath.Base(file))
		}
	}
	if !slices.Equal(found, []string{"session.go"}) {
		t.Errorf("%v import paho, want session.go alone", found)
	}
}

func TestEachLibraryHasOneDoor(t *testing.T) {
	for _, p := range goList(t) {
		name := strings.TrimPrefix(p.ImportPath, "legacybridge/")
		for _, imp := range p.Imports {
			for library, door := range doors {
				if (imp == library || strings.HasPrefix(imp, library+"/")) && name != door {
					t.Errorf("%s imports %s: its one door is %s", name, imp, door)
				}
			}
		}
	}
}

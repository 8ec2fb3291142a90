package localplatform_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every demand of the platform's document is shown by tests that exist.
func TestEveryDemandNamesItsTests(t *testing.T) {
	table, err := os.ReadFile("DEMANDS.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(path, ".txtar"):
			exists[d.Name()] = true
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range function.FindAllSubmatch(text, -1) {
				exists[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (S\d+) \|.*\| ([^|]+) \|$`).FindAllStringSubmatch(string(table), -1) {
		rows[m[1]] = m[2]
	}
	for i := 1; i <= 55; i++ {
		tests := strings.Split(rows[fmt.Sprintf("S%d", i)], ", ")
		for _, name := range tests {
			if !exists[name] {
				t.Errorf("S%d: got test %q, want one that exists", i, name)
			}
		}
	}
	for i := 1; i <= 51; i++ { // the list of rules
		number := regexp.MustCompile(fmt.Sprintf(`^Test.*P%02d[A-Z]`, i))
		found := false
		for name := range exists {
			found = found || number.MatchString(name)
		}
		if !found {
			t.Errorf("P%02d: got no test of that number", i)
		}
	}
}

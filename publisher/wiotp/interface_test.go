package wiotp_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// testNames are all tests and fuzz targets of the project.
func testNames(t *testing.T) (names []string) {
	t.Helper()
	form := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range form.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

var numbered = regexp.MustCompile(`^P[0-9][0-9]$`)

func TestEveryDemandOfTheInterfaceNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("INTERFACE.md")
	if err != nil {
		t.Fatal(err)
	}
	names := testNames(t)
	exists := func(begins string) bool {
		number := strings.TrimPrefix(begins, "Test") // some tests are of two numbers: TestP30P32…
		return slices.ContainsFunc(names, func(n string) bool {
			return strings.HasPrefix(n, begins) || strings.HasPrefix(n, "TestP") && strings.Contains(n, number) && numbered.MatchString(number)
		})
	}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1) {
		if !exists(m[1]) {
			t.Errorf("INTERFACE.md names %s, which no test is called", m[1])
		}
	}
	var told [56]bool
	for _, row := range regexp.MustCompile(`(?m)^\| (S[^|]*)\|(.*)$`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(row[2], "`Test") && !strings.Contains(row[2], "`Fuzz") {
			t.Errorf("%s: no test shows it", row[1])
		}
		for _, part := range strings.Split(strings.TrimSpace(row[1]), ", ") {
			first, last, ranged := strings.Cut(part, "–")
			if !ranged {
				last = first
			}
			a, err := strconv.Atoi(first[1:])
			b, err2 := strconv.Atoi(last[1:])
			if err != nil || err2 != nil {
				t.Fatalf("%q is no row of demands", row[1])
			}
			for ; a <= b; a++ {
				told[a] = true
			}
		}
	}
	for n := 1; n <= 55; n++ {
		if !told[n] {
			t.Errorf("S%d has no row", n)
		}
	}
	for n := 1; n <= 51; n++ {
		if !exists(fmt.Sprintf("TestP%02d", n)) {
			t.Errorf("no test is named after P%d", n)
		}
	}
}

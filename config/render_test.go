package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The five mistakes that the reference shows, in the file that it shows. Two lines differ: they would name commands that
// are not built yet.
func TestFiveMistakesAreShownAsDocumented(t *testing.T) {
	abs, err := filepath.Abs("testdata/five/legacybridge.toml")
	if err != nil {
		t.Fatal(err)
	}
	_, problems := bench(t, abs)
	var got bytes.Buffer
	if err := problems.Write(&got, "full", false); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/five/golden", got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/five/golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("output differs (-want +got):\n%s", diff)
	}
}

func oneProblem(t *testing.T) Problems {
	t.Helper()
	_, problems := bench(t, "testdata/bad/KEY001-misspelt.toml")
	if len(problems) != 1 {
		t.Fatalf("got %d problems, want 1", len(problems))
	}
	return problems
}

func TestFormats(t *testing.T) {
	file := filepath.Join("testdata", "bad", "KEY001-misspelt.toml")
	for format, want := range map[string]string{
		"short": file + `:11:42: error KEY001: unknown key "scael" (did you mean "scale"?)` + "\n",
		"json": `[{"code":"KEY001","severity":"error","message":"unknown key \"scael\"","file":"` + file +
			`","line":11,"column":42,"end_column":47,"fix":{"replace":"scael","with":"scale"}}]` + "\n",
		"github": `::error file=` + file + `,line=11,col=42,endColumn=47,title=KEY001::unknown key "scael" (did you mean "scale"?)` + "\n",
	} {
		var got bytes.Buffer
		if err := oneProblem(t).Write(&got, format, false); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Errorf("%s: got %s, want %s", format, got.String(), want)
		}
	}
	if err := oneProblem(t).Write(&bytes.Buffer{}, "xml", false); err == nil {
		t.Error("format xml: got no error")
	}
}

func TestNoProblemsWriteNothing(t *testing.T) {
	for format, want := range map[string]string{"full": "", "short": "", "github": "", "json": "[]\n"} {
		var got bytes.Buffer
		if err := (Problems)(nil).Write(&got, format, true); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Errorf("%s: got %q, want %q", format, got.String(), want)
		}
	}
}

func TestColourChangesNoText(t *testing.T) {
	var plain, coloured bytes.Buffer
	if err := oneProblem(t).Write(&plain, "full", false); err != nil {
		t.Fatal(err)
	}
	if err := oneProblem(t).Write(&coloured, "full", true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(coloured.String(), "\x1b[1;31merror[KEY001]\x1b[0m") {
		t.Errorf("got no red code in %q", coloured.String())
	}
	var b strings.Builder
	for s := coloured.String(); s != ""; {
		before, rest, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if s = ""; found {
			_, s, _ = strings.Cut(rest, "m")
		}
	}
	if b.String() != plain.String() {
		t.Errorf("got %s, want %s", b.String(), plain.String())
	}
}

func TestColumnsAreDisplayCells(t *testing.T) {
	for _, c := range []struct {
		text         string
		line, column int
	}{
		{"a = 1\nb = {}\n", 2, 5},
		{"\t# tabs\n\tb = {}\n", 2, 13},
		{`"시각" = 1` + "\n" + `"온도1°".b = {}` + "\n", 2, 14},
		{"\ufeffb = {}\n", 1, 5},
		{`"e\u0301".b = "é" ` + "\n" + "\"e\u0301\".c = {}\n", 2, 9},
	} {
		src := newSource("x", c.text, 0)
		at := strings.Index(c.text, "{}")
		line, column, end := place{src, span{at, 2}}.cells()
		if line != c.line || column != c.column || end != c.column+2 {
			t.Errorf("%q: got %d:%d to %d, want %d:%d to %d", c.text, line, column, end, c.line, c.column, c.column+2)
		}
	}
}

func TestLongLinesAreCutAroundTheMark(t *testing.T) {
	row := strings.Repeat("abcdefg, ", 40)
	for _, from := range []int{1, 50, 95, 200, 350} {
		text, shownFrom, shownTo := window(row, from, from+3)
		if width(text) > wholeLine {
			t.Errorf("mark at %d: got a line of %d cells", from, width(text))
		}
		if got, want := string([]rune(text)[shownFrom-1:shownTo-1]), row[from-1:from+2]; got != want {
			t.Errorf("mark at %d: got %q marked, want %q", from, got, want)
		}
	}
}

func TestSecretsNeverShow(t *testing.T) {
	for _, row := range []string{
		`token = "hunter2"`, `token = 'hunter2'`, `token = """hunter2"""`, `token=hunter2`, `  "token" = "hunter2 # x`,
		`local.users."a-b-c".token = "hunter2"`, `platform = { api_key = "x", token = "hunter2" }`, `password = "a\"hunter2"`,
		`server = "mqtts://user:hunter2@host:8883"`, `TOKEN = "hunter2"`,
	} {
		text, _, _ := window(row, 1, 2)
		if strings.Contains(text, "hunter2") {
			t.Errorf("got %q", text)
		}
		if width(text) != width(row) {
			t.Errorf("%q: got %d cells, want %d", row, width(text), width(row))
		}
	}
	dir := t.TempDir()
	for _, line := range []string{
		`token = "hunter2"`, `token = hunter2`, `token = """hunter2"""`, `token = ["hunter2"]`, `token = { env = "X" } hunter2`,
		`server = "mqtts://user:hunter2@host:8883"`, `token = "hunter2`, `token = { file = "x", value = "y" }`, "token = '''\nhunter2'''",
	} {
		file := filepath.Join(dir, "secret.toml")
		if err := os.WriteFile(file, []byte("schema = 1\n[platform]\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, problems := Load(file, Options{State: dir})
		if cfg != nil {
			t.Errorf("%s: got a configuration", line)
		}
		for _, format := range []string{"full", "short", "json", "github"} {
			var got bytes.Buffer
			if err := problems.Write(&got, format, false); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(got.String(), "hunter2") {
				t.Errorf("%s: got %s", line, got.String())
			}
		}
	}
}

func TestControlCharactersDoNotReachTheTerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.toml")
	if err := os.WriteFile(file, []byte("schema = 1\nkey\u202e = \"\x1b[2J\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, problems := Load(file, Options{})
	var got bytes.Buffer
	if err := problems.Write(&got, "full", false); err != nil {
		t.Fatal(err)
	}
	if len(problems) == 0 || strings.ContainsAny(got.String(), "\x1b\u202e") {
		t.Errorf("got %q", got.String())
	}
}

func TestJSONIsOneDocument(t *testing.T) {
	_, problems := bench(t, "testdata/five/legacybridge.toml")
	var b bytes.Buffer
	if err := problems.Write(&b, "json", false); err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || len(got) != len(problems) {
		t.Fatalf("got %d entries, %v; want %d", len(got), err, len(problems))
	}
	for _, key := range []string{"code", "severity", "message", "file", "line", "column", "end_column"} {
		if _, ok := got[0][key]; !ok {
			t.Errorf("no member %q in %v", key, got[0])
		}
	}
}

func TestEndlessMistakesAreCounted(t *testing.T) {
	var text strings.Builder
	text.WriteString("schema = 1\n")
	for i := range maxErrors + 20 {
		text.WriteString("key" + strings.Repeat("x", i%7) + strconv.Itoa(i) + " = 1\n")
	}
	_, problems := Load(write(t, "a.toml", text.String()), Options{})
	var got bytes.Buffer
	if err := problems.Write(&got, "full", false); err != nil {
		t.Fatal(err)
	}
	if want := "500 errors, and 20 more, in 1 file. Nothing was changed.\n"; len(problems) != maxErrors || !strings.HasSuffix(got.String(), want) {
		t.Errorf("got %d problems, %q", len(problems), got.String()[got.Len()-80:])
	}
}

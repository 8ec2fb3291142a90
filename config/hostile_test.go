package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// hostileBase is a device to which the cases add.
const hostileBase = "schema = 1\n[links.l]\ntcp = \"10.0.0.1:4001\"\n[devices.d]\ntype = \"t\"\nlink = \"l\"\n"

const hostileTail = "\n[devices.d.points]\np = { from = \"w\", type = \"decimal\" }\n[devices.d.computed]\nq = { is = \"%s\" }\n"

// allocated runs f and returns how many bytes it took from the heap, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What explodes when it is read is refused in words, for little memory.
func TestConfigurationThatExplodesIsRefusedForLittleMemory(t *testing.T) {
	line := func(patterns ...string) string {
		return hostileBase + "line = ['" + strings.Join(patterns, "', '") + "']" + fmt.Sprintf(hostileTail, "p")
	}
	is := func(expression string) string {
		return hostileBase + `line = '(?<w>\d+)'` + fmt.Sprintf(hostileTail, expression)
	}
	many := make([]string, 3000)
	for i := range many {
		many[i] = "(?<w>(ab|cd|ef){1,50}){1,2}"
	}
	const big = "(?<w>(ab|cd|ef){1,500}){1,2}"
	for _, c := range []struct{ name, text, code, says string }{
		{"one pattern", line(big), "TYP006", "the pattern is too large"},
		{"repeats that RE2 itself refuses", line(`(((a{1,1000}){1,1000}){1,1000})`), "TYP006", "cannot be read"},
		{"a class of thousands of ranges", line(`[\pL\pN]{1,900}(?<w>.)`), "TYP006", "too large"},
		{"many patterns", line(many...), "TYP006", "too large together"},
		{"deep brackets in a pattern", line(strings.Repeat("(", 5000) + "(?<w>a)" + strings.Repeat(")", 5000)), "TYP006", "cannot be read"},
		{"a range", is("max(1..2000000000)"), "EXP001", "no operator .."},
		{"a text made long", is("repeat('x', 1000000000)"), "EXP002", "no function repeat"},
		{"a loop", is("reduce(1..100000, #acc + #)"), "EXP002", "no function reduce"},
		{"a power", is("p ** 999999 ** 99999"), "EXP001", "no operator **"},
		{"a pattern in an expression", is("p matches '((a{1,1000}){1,1000})'"), "EXP001", "no operator matches"},
		{"a long expression", is(strings.Repeat("p+", 50_000) + "p"), "EXP006", "longer than"},
		{"a deep expression", is(strings.Repeat("-", 4000) + "p"), "EXP006", ""},
		{"deep arrays", "schema = 1\na = " + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000), "CFG010", "brackets"},
		{"deep tables", "schema = 1\na = " + strings.Repeat("{a=", 100_000) + "1" + strings.Repeat("}", 100_000), "CFG010", "brackets"},
		{"a long key", "schema = 1\n" + strings.Repeat("a.", 100_000) + "a = 1", "CFG010", "parts"},
		{"links without end", "schema = 1\n" + manyTables("links", 1000, "tcp = \"10.0.0.1:%d\""), "CFG010", "more than 256 links"},
		{"devices without end", hostileBase + manyTables("devices", 11_000, "type = \"t\"\nlink = \"l\" # %d"), "CFG010", "more than 10000 devices"},
		{"100 MB", "schema = 1\n", "CFG001", "larger than 4194304 bytes"},
	} {
		var problems Problems
		file := write(t, "a.toml", c.text)
		if c.name == "100 MB" {
			if err := os.Truncate(file, 100<<20); err != nil {
				t.Fatal(err)
			}
		}
		took := allocated(func() { _, problems = Load(file, Options{State: "/state"}) })
		if most := uint64(64 << 20); took > most && !strings.HasSuffix(c.name, "without end") {
			t.Errorf("%s: took %d MiB, want at most %d", c.name, took>>20, most>>20)
		}
		var got []string
		ok := false
		for _, p := range problems {
			got = append(got, p.Code+" "+p.Message)
			ok = ok || p.Code == c.code && strings.Contains(p.Message, c.says)
		}
		if !ok {
			t.Errorf("%s: got %.300q, want %s …%s…", c.name, got, c.code, c.says)
		}
		if len(problems) > maxErrors {
			t.Errorf("%s: %d problems", c.name, len(problems))
		}
	}
	if _, problems := Load(write(t, "a.toml", line(`^\s*(?<w>[\d.]{1,20}) (?:kg|g){1,50}$`)), Options{State: "/state"}); len(problems) > 0 {
		t.Errorf("an everyday pattern is refused: %v", problems)
	}
}

func manyTables(name string, n int, body string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[%s.x%d]\n"+body+"\n", name, i, i)
	}
	return b.String()
}

// A configuration that is no file, or includes itself or no file, ends with words and never waits.
func TestConfigurationThatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "pipe.toml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero.toml")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"pipe.toml": "it is not a file", "zero.toml": "it is not a file", "": "it is not a file"} {
		_, problems := Load(filepath.Join(dir, name), Options{State: "/state"})
		if len(problems) != 1 || !strings.Contains(problems[0].Message, want) {
			t.Errorf("%q: got %v, want %q", name, problems, want)
		}
	}
	main := filepath.Join(dir, "main.toml")
	text := "schema = 1\ninclude = [\"*.toml\", \"./main.toml\", \"../" + filepath.Base(dir) + "/main.toml\", \"main.toml\"]\n"
	if err := os.WriteFile(main, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := Load(main, Options{State: "/state"})
	if n, _ := problems.Count(); cfg != nil || n != 2 {
		t.Errorf("got %v, want the pipe and the device refused, and nothing read twice", problems)
	}
}

// Sixteen megabytes are the most that all files together are read to.
func TestManyLargeFilesAreRefused(t *testing.T) {
	files := []string{"main.toml", "schema = 1\ninclude = [\"f*.toml\"]\n"}
	for i := range 6 {
		files = append(files, fmt.Sprintf("f%d.toml", i), "# "+strings.Repeat("x", 4<<20-10))
	}
	_, problems := Load(write(t, files...), Options{State: "/state"})
	if n, _ := problems.Count(); n < 2 || problems[0].Code != "CFG001" {
		t.Errorf("got %v, want the last files refused", problems)
	}
}

package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// tomlFiles are all TOML files of the project that are TOML.
func tomlFiles(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, root := range []string{"testdata", "../examples", "../cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".toml" {
				return err
			}
			text, err := os.ReadFile(path)
			files[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestLocatorSeesTheKeysThatTheParserSees(t *testing.T) {
	seen := 0
	for name, text := range tomlFiles(t) {
		var values map[string]any
		md, err := toml.Decode(text, &values)
		if err != nil {
			continue
		}
		seen++
		w := locate(text)
		if w.tooDeep {
			continue
		}
		if got, want := len(w.names), len(md.Keys()); got != want {
			t.Errorf("%s: got %d keys, want %d", name, got, want)
		} else if !w.matches(md.Keys()) {
			t.Errorf("%s: the keys differ", name)
		}
	}
	if seen < 100 {
		t.Errorf("only %d files were TOML", seen)
	}
}

// keyAt reads the key that is written at a place.
func keyAt(t testing.TB, at place) string {
	t.Helper()
	w := &walk{text: at.written()}
	parts, _ := w.key()
	if len(parts) != 1 {
		return "?"
	}
	return parts[0].name
}

// checkPositions wants each node's key, and its value, where they are written.
func checkPositions(t testing.TB, n *node) (known int) {
	t.Helper()
	for _, k := range n.kids {
		if k.mark.key.known() {
			known++
			if got := keyAt(t, k.key()); got != k.name {
				t.Errorf("%s: got key %q, want %q", n.src.name, got, k.name)
			}
		}
		if k.mark.val.known() && !k.table && k.elems == nil {
			var v map[string]any
			if _, err := toml.Decode("v = "+k.value().written(), &v); err != nil || (v["v"] != k.scalar && k.text() != "") {
				t.Errorf("%s: got value %q of %s, %v, want %v", n.src.name, k.value().written(), k.name, err, k.scalar)
			}
		}
		known += checkPositions(t, k)
	}
	for _, e := range n.elems {
		known += checkPositions(t, e)
	}
	return known
}

func TestEveryKeyAndValueIsWhereTheLocatorSays(t *testing.T) {
	for name, text := range tomlFiles(t) {
		root, w, err := newSource(name, text, 0).parse()
		if err != nil {
			continue
		}
		if got, want := checkPositions(t, root), len(w.names); got < want/2 {
			t.Errorf("%s: got %d positions for %d keys", name, got, want)
		}
	}
}

func TestTortureIsUnderstood(t *testing.T) {
	text, err := os.ReadFile("testdata/torture.toml")
	if err != nil {
		t.Fatal(err)
	}
	root, w, err := newSource("torture.toml", string(text), 0).parse()
	if err != nil || w.failed {
		t.Fatalf("got %v, walk failed: %v", err, w.failed)
	}
	press := root.kid("devices").kid("press")
	var names []string
	for _, k := range press.kid("points").kids {
		names = append(names, k.name)
	}
	if got, want := strings.Join(names, " "), "a b c"; got != want {
		t.Errorf("got points %s, want %s", got, want)
	}
	c := press.kid("points").kid("c")
	for key, want := range map[string]string{"holding": "10", "scale": "1000.5"} {
		if got := c.kid(key).decimal(); got != want {
			t.Errorf("got %s = %s, want %s", key, got, want)
		}
	}
	if got, want := c.kid("absent").elems[3].decimal(), "1000"; got != want {
		t.Errorf("got 1e3 = %s, want %s", got, want)
	}
	for i, want := range []string{"first", "second"} {
		line, _, _ := root.kid("test").elems[i].kid("name").key().cells()
		if got := root.kid("test").elems[i].kid("name").scalar; got != want || !strings.Contains(newSource("", string(text), 0).row(line), want) {
			t.Errorf("test %d: got %v on line %d, want %s", i, got, line, want)
		}
	}
}

// If the walk and the parser do not agree, there are no positions at all.
func TestNoPositionRatherThanAWrongOne(t *testing.T) {
	src := newSource("x.toml", "a = 1\nb = 2\n", 0)
	_, keys, err := decode(src.text)
	if err != nil {
		t.Fatal(err)
	}
	root := build(src, "", orderOnly(keys), map[string]any{"b": int64(2), "a": int64(1)})
	for i, want := range []string{"a", "b"} {
		if got := root.kids[i]; got.name != want || got.key().known() {
			t.Errorf("got %s at %v, want %s nowhere", got.name, got.mark.key, want)
		}
	}
	if line, _, _ := root.kids[0].value().cells(); line != 0 {
		t.Errorf("got line %d, want none", line)
	}
}

func TestPlacesInsideTexts(t *testing.T) {
	for _, c := range []struct{ text, word, want string }{
		{`x = 'oil + water'`, "water", "water"},
		{`x = "oil + water"`, "water", "water"},
		{`x = "\"oil\" + \u00b0water"`, "water", "water"},
		{`x = "a\tb"`, "\t", `\t`},
		{`x = """oil + water"""`, "water", `"""oil + water"""`},
	} {
		root, _, err := newSource("x", c.text, 0).parse()
		if err != nil {
			t.Fatal(err)
		}
		n := root.kid("x")
		if got := n.inside(strings.Index(n.scalar.(string), c.word), len(c.word)).written(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestHostileTextIsBounded(t *testing.T) {
	for _, text := range []string{
		"x = " + strings.Repeat("[", 1<<20),
		"x = " + strings.Repeat("{a=", 1<<19),
		strings.Repeat("a.", 1<<20) + "b = 1",
		"[" + strings.Repeat("a.", 1<<20) + "b]",
		"x = \"" + strings.Repeat("a", 1<<20),
		strings.Repeat("a = 1\n", 1<<17),
	} {
		if _, _, err := newSource("x", text, 0).parse(); err == nil {
			t.Errorf("%.20s: got no error", text)
		}
	}
}

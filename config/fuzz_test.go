package config

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"legacybridge/adapters/csvfile"
	"legacybridge/adapters/modbus"
	"legacybridge/adapters/serial"
	"legacybridge/mapping"
)

var (
	seed   = flag.Uint64("seed", 1, "of the mixed-up configurations")
	rounds = flag.Int("rounds", 300, "of the mixed-up configurations")
)

// loadText is load without files but the one.
func loadText(text string) (*loader, *Config, Problems) {
	l := &loader{opt: Options{State: "/state"}, dir: "/nowhere", ports: "testdata/serial"}
	src := newSource("fuzz.toml", text, 0)
	l.files = append(l.files, src)
	l.take(src)
	cfg := l.assemble()
	return l, cfg, l.sorted()
}

// FuzzConfig wants that no text makes the loader panic, that every position lies where it says, and that what the
// loader accepts is accepted by the packages that run it.
func FuzzConfig(f *testing.F) {
	for _, text := range tomlFiles(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) <= 1<<16 {
			hold(t, text)
		}
	})
}

// hold loads a text and holds what comes of it against what is promised.
func hold(t *testing.T, text string) (accepted bool) {
	t.Helper()
	l, cfg, problems := loadText(text)
	for _, p := range problems {
		if p.Line < 0 || p.Line > len(l.files[0].lines) || (p.Line > 0 && (p.Column < 1 || p.EndColumn <= p.Column)) {
			t.Errorf("%s at %d:%d to %d", p.Code, p.Line, p.Column, p.EndColumn)
		}
		if p.Fix != nil && p.at.written() != p.Fix.Replace {
			t.Errorf("%s: the fix replaces %q, there stands %q", p.Code, p.Fix.Replace, p.at.written())
		}
	}
	for _, format := range []string{"full", "short", "json", "github"} {
		if err := problems.Write(&bytes.Buffer{}, format, true); err != nil {
			t.Error(err)
		}
	}
	if root, w, err := newSource("fuzz.toml", text, 0).parse(); err == nil {
		if _, keys, _ := decode(text); !w.matches(keys) {
			t.Errorf("the walk saw %v, the parser %v", w.names, keys)
		}
		checkPositions(t, root)
	}
	n, _ := problems.Count()
	if n == 0 {
		runs(t, cfg)
	}
	return n == 0
}

// Lines and values of all our files, thrown together: nearer to what people write than random bytes are.
func TestMixedUpConfigurations(t *testing.T) {
	var files [][]string // those that can be run
	var lines []string   // of all
	for _, text := range tomlFiles(t) {
		split := strings.Split(text, "\n")
		lines = append(lines, split...)
		text, _ = strings.CutPrefix(text, "schema = 1\n")
		_, _, problems := loadText("schema = 1\n" + text)
		if n, _ := problems.Count(); n == 0 {
			files = append(files, strings.Split("schema = 1\n"+text, "\n"))
		}
	}
	slices.Sort(lines)
	slices.SortFunc(files, slices.Compare)
	value := regexp.MustCompile(`("[^"]*"|'[^']*'|-?[\d.]+|\b[a-z_]+\b)`)
	r := rand.New(rand.NewPCG(1, *seed))
	accepted := 0
	for range *rounds {
		text := slices.Clone(files[r.IntN(len(files))])
		for range 1 + r.IntN(3) {
			at, other := r.IntN(len(text)), lines[r.IntN(len(lines))]
			switch r.IntN(5) {
			case 0:
				text = slices.Insert(text, at, other)
			case 1:
				text = slices.Delete(text, at, min(at+1, len(text)))
				text = append(text, "")
			default:
				if from, to := value.FindAllString(other, -1), value.FindAllStringIndex(text[at], -1); len(from) > 0 && len(to) > 0 {
					place := to[r.IntN(len(to))]
					text[at] = text[at][:place[0]] + from[r.IntN(len(from))] + text[at][place[1]:]
				}
			}
		}
		whole := strings.Join(text, "\n")
		if hold(t, whole) {
			accepted++
		}
		if t.Failed() {
			t.Fatalf("in\n%s", whole)
		}
	}
	if accepted < *rounds/10 {
		t.Errorf("only %d of %d were accepted", accepted, *rounds)
	}
}

// runs wants every part of a checked configuration to be taken by its package.
func runs(t *testing.T, cfg *Config) {
	t.Helper()
	cfg.Summary()
	for _, link := range cfg.Links {
		if _, err := mapping.New(link.Mapping); err != nil {
			t.Errorf("mapping of %s: %v", link.Name, err)
		}
		if len(link.Mapping.Devices) == 0 {
			continue
		}
		var err error
		switch {
		case link.Serial != nil:
			_, err = serial.New(*link.Serial)
		case link.Modbus != nil:
			_, err = modbus.New(*link.Modbus)
		default:
			_, err = csvfile.New(*link.CSV)
		}
		if err != nil {
			t.Errorf("link %s: %v", link.Name, err)
		}
	}
}

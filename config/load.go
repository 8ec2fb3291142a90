package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// schemaVersion is the one that this grammar has.
const schemaVersion = 1

var defaultInclude = []string{"conf.d/*.toml", "profiles/*.toml"}

// Far above what a site has.
const (
	maxFiles   = 1000
	maxBytes   = 16 << 20 // of all files
	maxLinks   = 256
	maxDevices = 10_000
)

// A loader reads one configuration.
type loader struct {
	report
	opt    Options
	dir    string // absolute folder of the main file
	prefix string // of file names in messages
	ports  string // /dev/serial, where udev keeps the stable names of ports

	single  map[string]*node // single-instance tables
	links   []*linkDef
	devices []*deviceDef
	named   map[string]*node // links and devices, by their whole names

	bytes    int64 // read so far
	patterns int   // steps of all patterns so far
	dear     bool  // that they are too many was said
}

// Load reads file and what it includes. Config is nil when a problem is an error; all problems come at once.
// A file that cannot be read is a problem too.
func Load(file string, opt Options) (*Config, Problems) {
	l := &loader{opt: opt, ports: "/dev/serial"}
	return l.load(file)
}

// Defaults is the configuration of an empty file: no links, and the embedded platform.
func Defaults(opt Options) *Config {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	l := &loader{opt: opt, dir: dir}
	return l.assemble()
}

func (l *loader) load(file string) (*Config, Problems) {
	path, err := filepath.Abs(file)
	if err != nil {
		path = file
	}
	l.dir = filepath.Dir(path)
	if !filepath.IsAbs(file) {
		l.prefix = filepath.Dir(file)
	}
	if main := l.read(path, filepath.Base(path)); main != nil {
		for _, found := range l.include(main) {
			name, err := filepath.Rel(l.dir, found)
			if err != nil {
				name = found
			}
			l.read(found, name)
		}
	}
	cfg := l.assemble()
	cfg.File = file
	problems := l.sorted()
	if n, _ := problems.Count(); n > 0 {
		return nil, problems
	}
	return cfg, problems
}

// read reads one file and takes its tables. It returns nil if that cannot be.
func (l *loader) read(path, name string) *node {
	text, err := readFile(path, min(maxFile, maxBytes-l.bytes))
	l.bytes += int64(len(text))
	src := newSource(filepath.Join(l.prefix, name), string(text), len(l.files))
	l.files = append(l.files, src)
	if err != nil {
		l.partial = true
		p := l.errorf("CFG001", src.whole(), "%s cannot be read: %v", src.name, err)
		if errors.Is(err, fs.ErrNotExist) && len(l.files) == 1 {
			p.note("help", "name the main file with  -c FILE")
		}
		return nil
	}
	return l.take(src)
}

// readFile reads a regular file of at most limit bytes: a pipe or a device could keep us waiting for ever.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return text, bare(err)
}

// bare takes the path out of an error: the message names it already.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// take parses a file and sorts its tables in. The first file is the main file.
func (l *loader) take(src *source) *node {
	root, w, err := src.parse()
	if err != nil {
		l.partial = true
		l.syntax(src, w, err)
		return nil
	}
	l.stage = reading
	for _, c := range w.reopened {
		p := l.errorf("CFG009", src.place(c.second), "%q was written as a table in braces and cannot be continued here", c.name)
		p.label = "write the first one as a [table] too"
		p.second, p.there = src.place(c.first), "closed here"
		p.note("fix", "write it as  [%s.…]", c.name)
	}
	main := src.rank == 0
	if main {
		l.version(root)
	}
	for _, n := range root.kids {
		l.top(n, main)
	}
	return root
}

func (s *source) place(p span) place { return place{s, p} }

// version checks the key that everything else depends on.
func (l *loader) version(root *node) {
	n := root.kid("schema")
	switch v, isInt := int64(0), false; {
	case n == nil:
		p := l.errorf("CFG004", root.src.whole(), `%s does not begin with "schema"`, root.src.name)
		p.note("fix", "write  schema = %d  as its first line", schemaVersion)
	default:
		if v, isInt = n.scalar.(int64); !isInt || v != schemaVersion {
			p := l.errorf("CFG005", n.value(), "this version reads schema %d only", schemaVersion)
			p.label = fmt.Sprintf("write %d", schemaVersion)
		} else if root.kids[0] != n {
			p := l.errorf("CFG004", n.key(), `"schema" is not the first key`)
			p.label = "move this line to the top of the file"
		}
	}
}

// top sorts a top-level key of a file in.
func (l *loader) top(n *node, main bool) {
	if slices.ContainsFunc(mainKeys, func(k key) bool { return k.name == n.name }) {
		if !main {
			p := l.errorf("CFG006", n.key(), "only the main file has %q", n.name)
			p.label = "leave it out here"
		}
		return
	}
	i := slices.IndexFunc(fileKeys, func(k key) bool { return k.name == n.name })
	if i < 0 {
		l.stage = grammar
		keys := fileKeys
		if main {
			keys = concat(mainKeys, fileKeys)
		}
		l.unknown(n, keys, 0)
		l.stage = reading
		return
	}
	switch k := fileKeys[i]; {
	case k.soon:
		l.stage = grammar
		l.notYet(n, k.name)
		l.stage = reading
	case !l.isTable(n):
	case n.name == "links":
		for _, kid := range l.tables(n, maxLinks-len(l.links)) {
			l.links = append(l.links, &linkDef{node: kid})
		}
	case n.name == "devices":
		for _, kid := range l.tables(n, maxDevices-len(l.devices)) {
			l.devices = append(l.devices, &deviceDef{node: kid})
		}
	default:
		if l.single == nil {
			l.single = map[string]*node{}
		}
		if before := l.single[n.name]; before != nil {
			l.twice(n, before)
			return
		}
		l.single[n.name] = n
	}
}

// tables are the links or devices of a file, at most so many, without those that a file before has.
func (l *loader) tables(n *node, most int) (found []*node) {
	if l.named == nil {
		l.named = map[string]*node{}
	}
	for _, kid := range n.kids {
		if !l.isTable(kid) {
			continue
		}
		l.checkName(kid, kid.key(), kid.name, tableName)
		whole := n.name + "." + kid.name
		if before := l.named[whole]; before != nil {
			l.twice(kid, before)
			continue
		}
		if len(found) == most {
			l.partial = true
			p := l.errorf("CFG010", kid.head(), "there are more than %d %s", map[string]int{"links": maxLinks, "devices": maxDevices}[n.name], n.name)
			p.label = "divide the site among several boxes"
			return nil // none of them: it would take long to say nothing more
		}
		l.named[whole] = kid
		found = append(found, kid)
	}
	return found
}

func (l *loader) twice(n, before *node) {
	p := l.errorf("CFG008", n.head(), "[%s] stands in two files", n.head().writtenOr(n.name))
	p.label = "a table belongs to one file"
	p.second, p.there = before.head(), "the other one"
}

// literal takes the meaning out of the characters of a pattern.
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// include returns the files that the main file names, in name order.
func (l *loader) include(main *node) []string {
	globs := defaultInclude
	n := main.kid("include")
	if n != nil {
		l.scalar(n, key{kind: texts})
		globs = val(main, "include", []string(nil))
	}
	seen := map[string]bool{filepath.Join(l.dir, filepath.Base(main.src.name)): true}
	var files []string
	for i, glob := range globs {
		full := glob
		if !filepath.IsAbs(full) {
			full = filepath.Join(literal.Replace(l.dir), glob)
		}
		found, err := filepath.Glob(full)
		switch {
		case err != nil:
			l.errorf("CFG007", n.elems[i].value(), "%q is not a pattern of file names", glob)
		case len(found) == 0 && n != nil && !strings.ContainsAny(glob, "*?["):
			l.partial = true
			p := l.errorf("CFG007", n.elems[i].value(), "there is no file %s", glob)
			p.label = "looked for from the folder of this file"
		case len(found) == 0 && n != nil:
			p := l.warnf("CFG007", n.elems[i].value(), "no file matches %s", glob)
			p.label = "looked for from the folder of this file"
		}
		slices.Sort(found)
		for _, f := range found {
			if !seen[f] {
				seen[f] = true
				files = append(files, f)
			}
		}
	}
	if len(files) > maxFiles {
		l.errorf("CFG007", n.value(), "more than %d files are included", maxFiles)
		files = files[:maxFiles]
	}
	return files
}

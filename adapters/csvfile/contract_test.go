package csvfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"legacybridge/adapters"
	"legacybridge/adapters/adapterstest"
)

// kiln is the configuration of most tests: columns n and text, one device.
func kiln(files string) Config {
	return Config{
		Link: "kiln-log", Files: files, Follow: true, Poll: 5 * time.Millisecond,
		Format:  Format{Separator: ';', Header: true},
		Devices: []Device{{Name: "kiln", Columns: []Column{{"n", "n"}, {"text", "text"}}}},
	}
}

const kilnHead = "n;text\n"

func kilnRow(n int) string { return fmt.Sprintf("%d;row %d ends\n", n, n) }

// kilnNumber tells which row a reading is.
func kilnNumber(r adapters.Reading) (int, bool) {
	if len(r.Values) != 2 {
		return 0, false
	}
	n, err := strconv.Atoi(r.Values[0])
	return n, err == nil && r.Values[1] == fmt.Sprintf("row %d ends", n)
}

func newSource(t testing.TB, cfg Config, hinted bool) *Source {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.noHints = !hinted
	return s
}

func appendTo(t testing.TB, file, text string) {
	t.Helper()
	if err := appendFile(file, text); err != nil {
		t.Fatal(err)
	}
}

func appendFile(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// The contract, while the file grows, is renamed, is replaced by a newer one, and is rewritten whole.
func TestContract(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   string
		prepare func(dir string, n int) error // before record n
	}{
		{"one file", "LOG.csv", func(dir string, n int) error {
			if n > 0 {
				return nil
			}
			return appendFile(filepath.Join(dir, "LOG.csv"), kilnHead)
		}},
		{"rotated by rename", "LOG*", func(dir string, n int) error {
			if n%7 != 0 {
				return nil
			}
			name := filepath.Join(dir, "LOG")
			if n > 0 {
				if err := os.Rename(name, fmt.Sprintf("%s.%d", name, n)); err != nil {
					return err
				}
			}
			return appendFile(name, kilnHead)
		}},
		{"rewritten whole", "LOG.csv", func(dir string, n int) error {
			name := filepath.Join(dir, "LOG.csv")
			text := kilnHead
			for i := range n {
				text += kilnRow(i)
			}
			if err := os.WriteFile(name+".new", []byte(text), 0o644); err != nil {
				return err
			}
			return os.Rename(name+".new", name)
		}},
	} {
		for _, hinted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, hints %v", c.name, hinted), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				adapterstest.Run(t, adapterstest.Contract{
					New: func() (adapters.Source, error) {
						cfg := kiln(filepath.Join(dir, c.files))
						cfg.Batch = 3
						s, err := New(cfg)
						if err == nil {
							s.noHints = !hinted
						}
						return s, err
					},
					Produce: func(n int, half func()) error {
						if err := c.prepare(dir, n); err != nil {
							return err
						}
						name, row := filepath.Join(dir, filepath.Base(c.files)), kilnRow(n)
						if c.files == "LOG*" {
							name = filepath.Join(dir, "LOG")
						}
						if err := appendFile(name, row[:len(row)/2]); err != nil {
							return err
						}
						half()
						return appendFile(name, row[len(row)/2:])
					},
					Number: kilnNumber,
				})
			})
		}
	}
}

package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a glob finds may be anything: only regular files inside the folder are read, and nothing hangs.
func TestHostileFolderIsReadForItsFilesOnly(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	good := &healthy{newLogFile(t), sub}
	outside := filepath.Join(t.TempDir(), "secret.csv")
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(outside, []byte("n\n666\n"), 0o600))
	put("LOG_1.csv", "n\n1\n")
	must(os.Symlink(outside, filepath.Join(dir, "LOG_link.csv")))
	must(os.Symlink("../../../../../../etc/passwd", filepath.Join(dir, "LOG_passwd.csv")))
	must(os.Symlink("LOG_loop.csv", filepath.Join(dir, "LOG_loop.csv")))
	must(os.Symlink("/dev/zero", filepath.Join(dir, "LOG_zero.csv")))
	must(syscall.Mkfifo(filepath.Join(dir, "LOG_pipe.csv"), 0o600))
	must(os.Mkdir(filepath.Join(dir, "LOG_folder.csv"), 0o700))
	if socket, err := net.Listen("unix", filepath.Join(dir, "LOG_s.csv")); err != nil {
		t.Fatal(err)
	} else {
		defer socket.Close()
	}
	evil := "LOG_\x1b]0;owned\x07\nERROR all is lost.csv"
	config := siteFile(t, broker.addr, good.site()+fmt.Sprintf(hostileLog, "hostile", filepath.Join(dir, "LOG_*")))
	state := t.TempDir()
	b := startBridge(t, config, state)
	good.delivered(50)
	idle := b.memory("VmHWM")
	waitFor(t, 20*time.Second, "the file's row", func() bool { return len(payloads(sub, "hostile")) == 1 })
	put(evil, "n\n2\nno number\n3\n")
	waitFor(t, 20*time.Second, "rows of the file with the evil name", func() bool { return len(payloads(sub, "hostile")) == 3 })
	// The file that is followed becomes a pipe, then a file again.
	name := filepath.Join(dir, evil)
	must(os.Remove(name))
	must(syscall.Mkfifo(name, 0o600))
	good.delivered(200)
	must(os.Remove(name))
	put("LOG_3.csv", "n\n4\n")
	waitFor(t, 20*time.Second, "rows after the pipe", func() bool { return len(payloads(sub, "hostile")) == 4 })
	good.delivered(50)
	b.bounded(idle)
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for i, p := range payloads(sub, "hostile") {
		if !strings.HasPrefix(p, fmt.Sprintf(`{"d":{"n":%d}`, i+1)) {
			t.Errorf("event %d is %s", i+1, p)
		}
	}
	dead := deadLetters(t, config, state)
	if strings.Count(dead, "\n") != 1 || !strings.Contains(dead, "MAP011") {
		t.Errorf("dead letters, want the one row that is no number:\n%q", dead)
	}
	clean(t, dead)
	clean(t, b.stderr.String())
}

// A file that is named is a pipe, or becomes one: that link says so and waits, the others go on.
func TestNamedFileThatIsAPipeIsSaidAndNotWaitedFor(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	good := &healthy{newLogFile(t), sub}
	file := filepath.Join(t.TempDir(), "log.csv")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	config := siteFile(t, broker.addr, good.site()+fmt.Sprintf(hostileLog, "hostile", file))
	b := startBridge(t, config, t.TempDir())
	good.delivered(50)
	waitFor(t, 20*time.Second, "message", func() bool { return strings.Contains(b.stderr.String(), "is not a regular file") })
	for i, kind := range []string{"file", "pipe", "file"} {
		tmp := file + ".new"
		if kind == "pipe" {
			if err := syscall.Mkfifo(tmp, 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(tmp, fmt.Appendf(nil, "n\n%d\n", i), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, file); err != nil {
			t.Fatal(err)
		}
		good.delivered(50)
		if kind == "file" {
			waitFor(t, 20*time.Second, "the row of the file", func() bool { return len(payloads(sub, "hostile")) == i/2+1 })
		}
	}
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Ten thousand files are the most that one glob may match; one more is said, and the neighbours go on.
func TestTenThousandFilesAreReadAndOneMoreIsSaid(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	sub := subscribe(t, broker.addr)
	good := &healthy{newLogFile(t), sub}
	dir := t.TempDir()
	for i := range 9_999 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("LOG_%d.csv", i)), []byte("n\n1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := siteFile(t, broker.addr, good.site()+fmt.Sprintf(hostileLog, "hostile", filepath.Join(dir, "LOG_*")))
	b := startBridge(t, config, t.TempDir())
	good.delivered(50)
	idle := b.memory("VmHWM")
	waitFor(t, 60*time.Second, "the newest file", func() bool { return len(payloads(sub, "hostile")) > 0 })
	before := len(payloads(sub, "hostile"))
	if err := os.WriteFile(filepath.Join(dir, "LOG_10000.csv"), []byte("n\n2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, 60*time.Second, "the next file", func() bool { return len(payloads(sub, "hostile")) > before })
	good.delivered(50)
	if err := os.WriteFile(filepath.Join(dir, "LOG_10001.csv"), []byte("n\n3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, 60*time.Second, "message", func() bool { return strings.Contains(b.stderr.String(), "more than 10000 files match") })
	good.delivered(50)
	b.bounded(idle)
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// endSaid is how long the program may live once its disk has failed.
const endSaid = 5 * time.Second

// ends waits until the program has ended by itself, and gives its exit code.
func (b *bridge) ends(t *testing.T, limit time.Duration) int {
	t.Helper()
	done := make(chan struct{})
	go func() { _ = b.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
		_ = b.cmd.Process.Kill()
		<-done
		t.Fatalf("still running after %s", limit)
	}
	return b.cmd.ProcessState.ExitCode()
}

// TestFailedDiskEndsAtOnceAndLosesNothing: ext4 is told that it is broken while the program writes. After the repair all
// is there that the broker had seen to be promised.
func TestFailedDiskEndsAtOnceAndLosesNothing(t *testing.T) {
	t.Parallel()
	var sum cutResult
	for range proof(1, 5, 200) {
		v := newVolumes(t)
		image := v.ext4(filepath.Join(v.dir, "disk.img"), 32<<20)
		disk := v.mount(image, "errors=remount-ro")
		p := &powerPlant{t: t, volumes: v, rowLog: newRowLog(t), w: newWitness(t)}
		b := startBridge(t, p.site(p.w), filepath.Join(disk, "state"))
		p.append(1)
		waitFor(t, 30*time.Second, "the first row", func() bool { return p.w.count() > 0 })
		p.w.hold(never)
		stop := p.write()
		waitFor(t, 30*time.Second, "traffic", func() bool { return p.w.count() >= window })

		if err := os.WriteFile(filepath.Join("/sys/fs/ext4", v.loop(disk), "trigger_fs_error"), []byte("1"), 0); err != nil {
			stop()
			leftOut(t, "ext4's error switch: "+err.Error())
		}
		start := time.Now()
		code := b.ends(t, endSaid)
		t.Logf("ended %s after the error", time.Since(start).Round(time.Millisecond))
		if said := b.stderr.String(); code != 74 || !strings.Contains(said, "disk failed") {
			t.Errorf("exit code %d, want 74, and said:\n%s", code, said)
		}
		stop()
		came := p.w.told()
		c := p.look(came, len(came), time.Now())
		p.remove(c.seen)
		v.unmount(disk)
		repair(t, image)
		p.judge(c, p.restart(image, true), &sum)
	}
	t.Logf("%d errors, %d events promised: %d missing", sum.cuts, sum.promised, sum.missing)
	if sum.promised == 0 || sum.duplicates == 0 {
		t.Error("nothing was in flight, so nothing was tested")
	}
}

// repair runs e2fsck, whose exit code 1 means that it has put things right.
func repair(t *testing.T, image string) {
	t.Helper()
	cmd := exec.Command(need(t, "e2fsck"), "-fy", image)
	if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() > 1 {
		t.Fatalf("e2fsck: %v\n%s", err, out)
	}
}

// TestDiskThatCannotBeWrittenAtStartIsSaid: the service manager tries again, and the line says what to do.
func TestDiskThatCannotBeWrittenAtStartIsSaid(t *testing.T) {
	t.Parallel()
	v := newVolumes(t)
	l, w := newRowLog(t), newWitness(t)
	config := siteFile(t, w.addr(), fmt.Sprintf(rowSite, "", l.files(), ""))
	l.append(10)
	readOnly := v.mount(v.ext4(filepath.Join(v.dir, "disk.img"), 8<<20), "noatime")
	state := filepath.Join(readOnly, "state")
	b := startBridge(t, config, state)
	waitFor(t, 20*time.Second, "the rows", func() bool { return w.count() == l.rows })
	if code := b.stop(); code != 0 {
		t.Fatalf("exit code %d after SIGINT, want 0", code)
	}
	remount := func(how string) {
		if out, err := exec.Command(need(t, "mount"), "-o", "remount,"+how, readOnly).CombinedOutput(); err != nil {
			t.Fatalf("remount: %v\n%s", err, out)
		}
	}
	full := v.tmpfs("1m")
	fill(t, full)
	remount("ro")
	for state, why := range map[string]string{
		state:                             "read-only",
		filepath.Join(readOnly, "other"):  "read-only",
		filepath.Join(full, "state"):      "no space left",
		filepath.Join(full, "state", "a"): "no space left",
	} {
		b := startBridge(t, config, state)
		code := b.ends(t, 20*time.Second)
		said := b.stderr.String()
		if code != 74 || !strings.Contains(said, why) || !strings.Contains(said, "next: ") {
			t.Errorf("exit code %d, want 74, %q and what to do:\n%s", code, why, said)
		}
		t.Log(said[strings.LastIndex(said, "legacybridge: "):])
	}
	remount("rw")
	l.append(10)
	b = startBridge(t, config, state)
	waitFor(t, 20*time.Second, "the rows after the repair", func() bool { return w.count() == l.rows })
	b.stop()
}

package main_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Volumes are file systems of their own under one folder: to be filled, to fail, and to have their power cut. They need
// root and loop devices. CI's figures fail without, elsewhere the tests are left out, which is said.
type volumes struct {
	t   *testing.T
	dir string
}

func newVolumes(t *testing.T) *volumes {
	t.Helper()
	if os.Geteuid() != 0 {
		leftOut(t, "file systems of its own need root")
	}
	for _, tool := range []string{"mkfs.xfs", "mkfs.ext4", "e2fsck", "mount", "umount"} {
		need(t, tool)
	}
	v := &volumes{t: t, dir: t.TempDir()}
	v.unmountAtTheEnd()
	return v
}

// leftOut skips, unless the figures of CI are asked for: there nothing is left out.
func leftOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" && proof(0, 1, 1) == 1 {
		t.Fatalf("cannot be shown here: %s", why)
	}
	t.Skip("left out: " + why)
}

// unmountAtTheEnd starts a shell that takes away what is mounted as soon as this process has ended, however it did: a
// killed test must not leave loop devices behind, nor a program of ours that works on one.
func (v *volumes) unmountAtTheEnd() {
	const script = `read end
cut -d' ' -f2 /proc/mounts | grep "^$0/" | sort -r | while read m; do
	umount "$m" 2>/dev/null && continue
	for p in /proc/[0-9]*; do tr '\0' '\n' <$p/cmdline 2>/dev/null | grep -q "^$m/" && kill -9 ${p#/proc/}; done
	umount -l "$m"
done`
	sh := exec.Command("sh", "-c", script, v.dir)
	sh.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the test
	in, err := sh.StdinPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	if err := sh.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() {
		in.Close()
		if err := sh.Wait(); err != nil {
			v.t.Errorf("unmount at the end: %v", err)
		}
	})
}

// image makes a file system in a file: mkfs says how.
func (v *volumes) image(name string, size int64, mkfs ...string) string {
	v.t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Truncate(size)
		f.Close()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	if out, err := exec.Command(need(v.t, mkfs[0]), append(mkfs[1:], name)...).CombinedOutput(); err != nil {
		v.t.Fatalf("%s: %v\n%s", strings.Join(mkfs, " "), err, out)
	}
	return name
}

func (v *volumes) ext4(name string, size int64) string {
	return v.image(name, size, "mkfs.ext4", "-q", "-F")
}

// mount mounts an image and gives the folder.
func (v *volumes) mount(image, options string) string {
	v.t.Helper()
	dir, err := os.MkdirTemp(v.dir, "mount-")
	if err != nil {
		v.t.Fatal(err)
	}
	mount := func() (string, error) {
		out, err := exec.Command(need(v.t, "mount"), "-o", "loop,"+options, image, dir).CombinedOutput()
		return string(out), err
	}
	said, err := mount()
	if err != nil {
		makeLoopDevices()
		said, err = mount()
	}
	if err != nil {
		leftOut(v.t, fmt.Sprintf("mount %s: %v: %s", image, err, said))
	}
	return dir
}

// makeLoopDevices makes the nodes that a sandbox may lack.
func makeLoopDevices() {
	_ = unix.Mknod("/dev/loop-control", unix.S_IFCHR|0o600, int(unix.Mkdev(10, 237)))
	for n := range 32 {
		_ = unix.Mknod(fmt.Sprintf("/dev/loop%d", n), unix.S_IFBLK|0o600, int(unix.Mkdev(7, uint32(n))))
	}
}

// tmpfs is a file system in memory, of a size.
func (v *volumes) tmpfs(size string) string {
	v.t.Helper()
	dir, err := os.MkdirTemp(v.dir, "tmpfs-")
	if err != nil {
		v.t.Fatal(err)
	}
	if out, err := exec.Command(need(v.t, "mount"), "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		leftOut(v.t, fmt.Sprintf("mount a tmpfs: %v: %s", err, out))
	}
	return dir
}

// unmount takes a file system away, which must not be in use any more.
func (v *volumes) unmount(dir string) {
	v.t.Helper()
	if out, err := exec.Command(need(v.t, "umount"), dir).CombinedOutput(); err != nil {
		v.t.Fatalf("umount: %v\n%s", err, out)
	}
}

// loop is the device of a mounted image: "loop3".
func (v *volumes) loop(dir string) string {
	v.t.Helper()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		v.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[1] == dir {
			return filepath.Base(f[0])
		}
	}
	v.t.Fatalf("%s is not mounted", dir)
	return ""
}

// fill takes all the room that is left, in a file; removing that gives it back.
func fill(t *testing.T, dir string) (filler string) {
	t.Helper()
	f, err := os.CreateTemp(dir, "filler-")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		// In ever smaller pieces, and for good: a file system that delays it would find room for others.
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
			_, _ = f.Seek(0, io.SeekEnd)
		}
	}
	_ = f.Sync() // some complain that there is no room
	return f.Name()
}

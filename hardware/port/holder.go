package port

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// openError says in a technician's words why a tty cannot be opened.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EIO):
		return &Error{CodeGone, fmt.Sprintf("port %s is not there: plugged in, and the name right?", path), err}
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return &Error{CodeNotAllowed, fmt.Sprintf("port %s may not be opened: is the user in the group that owns it (dialout)?", path), err}
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EISDIR):
		return &Error{CodeNotTTY, fmt.Sprintf("%s is not a serial port", path), nil}
	case errors.Is(err, unix.EBUSY):
		return &Error{CodeBusy, fmt.Sprintf("port %s is in use by %s", path, holder(path)), nil}
	}
	return &Error{CodeRefused, fmt.Sprintf("port %s cannot be opened", path), err}
}

// holder names the process that has the port open, as far as /proc lets us see.
func holder(path string) string {
	pid := lockHolder(path)
	if pid == 0 {
		pid = openHolder(path)
	}
	if pid == 0 {
		return "another program (see: fuser -v " + path + ")"
	}
	if pid == os.Getpid() {
		return "another link of this program"
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(name)), pid)
	}
	return fmt.Sprintf("process %d", pid)
}

// lockHolder finds who has locked the device: "1: FLOCK  ADVISORY  WRITE 9019 00:1a:3 0 EOF" (device in hex, inode).
func lockHolder(path string) int {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	where := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	for line := range strings.Lines(string(locks)) {
		if f := strings.Fields(line); len(f) > 5 && f[1] == "FLOCK" && f[5] == where {
			pid, _ := strconv.Atoi(f[4])
			return max(pid, 0) // -1: a process of another container
		}
	}
	return 0
}

// openHolder finds who has the device open; only root sees the descriptors of others.
func openHolder(path string) int {
	node, err := filepath.EvalSymlinks(path)
	if err != nil {
		return 0
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err != nil || target != node {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(fd, "/")[2]); err == nil && pid != os.Getpid() {
			return pid
		}
	}
	return 0
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/queue"
)

// openError gives a folder that cannot be taken its exit code, and says what to do.
func openError(err error) error {
	switch {
	case errors.Is(err, queue.ErrBusy), errors.Is(err, localplatform.ErrBusy):
		return exit(exitRefused, fmt.Errorf("%w: is legacybridge already running? Stop it first, or name another folder with --state", err))
	case errors.Is(err, syscall.EADDRINUSE):
		return exit(exitRefused, fmt.Errorf("%w: is legacybridge already running? Stop what listens there, or change local.listen", err))
	case errors.Is(err, fs.ErrPermission):
		return exit(exitRefused, fmt.Errorf("%w: name a folder that this user may write to with --state DIR", err))
	case errors.Is(err, syscall.EROFS):
		return exit(exitDisk, fmt.Errorf("%w\n  next:  mount it for writing; if it became read-only by itself, look at dmesg and repair it first: umount, then e2fsck -f", err))
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return exit(exitDisk, fmt.Errorf("%w\n  next:  make room on this disk, and start again", err))
	case errors.Is(err, syscall.EIO):
		return failed(err)
	default:
		return exit(exitDisk, err)
	}
}

// failed ends the program because its disk cannot be trusted any more.
func failed(err error) error {
	return exit(exitDisk, fmt.Errorf("%w\n  next:  look at dmesg, repair the disk, and start again: what was stored is not lost, and goes on from there", err))
}

package main

import (
	"runtime"
	"runtime/debug"
)

// Reading a large configuration would otherwise be what the process takes most memory for, in all its life: it is read
// with little garbage at a time, and the running system is given more once that is gone.
const (
	loadGCPercent  = 10
	smallHeap      = 8 << 20
	smallGCPercent = 300 // garbage is what publishing makes most of; it is still some 20 MiB
	largeGCPercent = 50  // a large site on a small box
)

// settleMemory gives back what reading the configuration took.
func settleMemory() {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	percent := smallGCPercent
	if m.HeapAlloc > smallHeap {
		percent = largeGCPercent
	}
	debug.SetGCPercent(percent)
}

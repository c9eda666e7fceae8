package main

import (
	"syscall"
	"time"
)

// sleep waits as exactly as the system can. time.Sleep rounds up to a millisecond
// where the process has nothing else to do.
func sleep(d time.Duration) {
	if d > 0 {
		t := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&t, nil)
	}
}

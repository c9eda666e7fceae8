//go:build !linux

package sqldb

import (
	"syscall"
	"time"
)

// giveUpOn does nothing here: the system's own patience holds.
func giveUpOn(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }

//go:build unix

package iceberg

import (
	"os"
	"syscall"
)

// lockFile is an advisory lock that dies with its process.
type lockFile struct{ f *os.File }

func openLock(path string) (lockFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	return lockFile{f}, err
}

func (l lockFile) try() bool {
	return syscall.Flock(int(l.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

func (l lockFile) close() { _ = l.f.Close() }

//go:build unix

package migrate

import (
	"os"
	"syscall"
)

// tryLock takes a file's lock unless another holds it.
func tryLock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// giveName renames an open file.
func giveName(f *os.File, path string) error { return os.Rename(f.Name(), path) }

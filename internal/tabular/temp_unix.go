//go:build unix

package tabular

import (
	"os"
	"syscall"
)

// tryLock takes a file's lock unless another holds it. The kernel frees it with the
// file, however its holder ends. known is false where the file system has no locks.
func tryLock(f *os.File) (locked, known bool) {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case nil:
			return true, true
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return false, true
		default:
			return false, false
		}
	}
}

// closeBeforeRename: an open file can be renamed, and keeps its lock meanwhile.
const closeBeforeRename = false

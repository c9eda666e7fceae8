//go:build unix

package offline

import (
	"errors"
	"os"
	"syscall"
)

// spillLock is a file's lock; the kernel frees it when its holder dies, however it dies.
type spillLock struct{ f *os.File }

// lockSpill makes the file where it is missing, and waits for the lock only when told to.
func lockSpill(path string, wait bool) (*spillLock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &spillLock{f}, nil
}

func (l *spillLock) release() { l.f.Close() }

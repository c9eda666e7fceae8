//go:build unix

package embedded

import (
	"os"
	"path/filepath"
	"syscall"
)

// dirLock keeps a second process out of a data folder. The kernel frees it when
// its holder dies, however it dies; children do not inherit it.
type dirLock struct{ f *os.File }

func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return &dirLock{f}, nil
}

func (l *dirLock) release() { l.f.Close() }

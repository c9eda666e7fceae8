//go:build !unix

package offline

import (
	"errors"
	"os"
)

// spillLock is nothing where files cannot be locked: nobody can tell whether a
// process lives there, so the folders of others are left alone.
type spillLock struct{}

func lockSpill(path string, wait bool) (*spillLock, error) {
	if _, err := os.Stat(path); err == nil && !wait {
		return nil, errors.New("in use, or left behind")
	}
	return &spillLock{}, os.WriteFile(path, nil, 0o600)
}

func (l *spillLock) release() {}

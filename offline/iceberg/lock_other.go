//go:build !unix

package iceberg

import "errors"

// lockFile is nothing here: commits of several processes collide and retry.
type lockFile struct{}

func openLock(string) (lockFile, error) { return lockFile{}, errors.ErrUnsupported }
func (lockFile) try() bool              { return true }
func (lockFile) close()                 {}

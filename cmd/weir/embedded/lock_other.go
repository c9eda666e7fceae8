//go:build !unix

package embedded

// dirLock does nothing here: the port keeps a second process out.
type dirLock struct{}

func lockDir(string) (*dirLock, error) { return &dirLock{}, nil }

func (l *dirLock) release() {}

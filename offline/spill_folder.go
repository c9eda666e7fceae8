package offline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/weir-ml/weir/registry/feature"
)

// spillFolder is where a process keeps what its joins cannot hold in memory:
//
//	<dir>/lock              taken for a moment by who makes or removes folders
//	<dir>/<pid>-<random>/   of one process; its file lock is held while it lives
//
// The kernel frees the lock of a process that dies, so that what it leaves can be
// told from what is in use. Nothing is made before the first file is.
type spillFolder struct {
	dir  string
	disk spillDisk

	mu   sync.Mutex
	own  string // empty until the first file
	lock *spillLock
	next int
}

// spillDisk makes the files; tests put faults into it.
type spillDisk interface {
	Create(path string) (spillHandle, error)
}

type spillHandle interface {
	Write(p []byte) (int, error)
	ReadAt(p []byte, off int64) (int, error)
	Close() error
}

type osDisk struct{}

func (osDisk) Create(path string) (spillHandle, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
}

// lockName cannot be the name of a process's folder.
const lockName = "lock"

// sweep removes what dead processes have left.
func (f *spillFolder) sweep() error {
	if _, err := os.Stat(f.dir); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return f.fault(err)
	}
	door, err := lockSpill(filepath.Join(f.dir, lockName), true)
	if err != nil {
		return f.fault(err)
	}
	defer door.release()
	return f.sweepLocked()
}

func (f *spillFolder) sweepLocked() error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return f.fault(err)
	}
	for _, e := range entries {
		var pid, tail int
		if n, _ := fmt.Sscanf(e.Name(), "%d-%d", &pid, &tail); n != 2 || !e.IsDir() {
			continue // not one of ours
		}
		path := filepath.Join(f.dir, e.Name())
		l, err := lockSpill(filepath.Join(path, lockName), false)
		if err != nil {
			continue // its process lives
		}
		err = os.RemoveAll(path)
		l.release()
		if err != nil {
			return f.fault(err)
		}
	}
	return nil
}

// create makes a file in the process's own folder.
func (f *spillFolder) create(what string) (spillHandle, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.open(); err != nil {
		return nil, "", err
	}
	f.next++
	path := filepath.Join(f.own, fmt.Sprintf("%d-%s", f.next, what))
	h, err := f.disk.Create(path)
	if err != nil {
		return nil, "", f.fault(err)
	}
	return h, path, nil
}

// open makes the process's own folder.
func (f *spillFolder) open() error {
	if f.own != "" {
		return nil
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return f.fault(err)
	}
	door, err := lockSpill(filepath.Join(f.dir, lockName), true)
	if err != nil {
		return f.fault(err)
	}
	defer door.release()
	if err := f.sweepLocked(); err != nil {
		return err
	}
	own, err := os.MkdirTemp(f.dir, fmt.Sprintf("%d-*", os.Getpid()))
	if err != nil {
		return f.fault(err)
	}
	if f.lock, err = lockSpill(filepath.Join(own, lockName), false); err != nil {
		return f.fault(errors.Join(err, os.RemoveAll(own)))
	}
	f.own = own
	return nil
}

// close removes the process's own folder with all that is in it.
func (f *spillFolder) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.own == "" {
		return nil
	}
	if door, err := lockSpill(filepath.Join(f.dir, lockName), true); err == nil { // nobody sweeps meanwhile
		defer door.release()
	}
	err := os.RemoveAll(f.own)
	f.lock.release()
	f.own, f.lock = "", nil
	return err
}

// fault says which setting names the folder. A full disk is a limit; trying again
// does not help against either.
func (f *spillFolder) fault(err error) error {
	var known *feature.Error
	if errors.As(err, &known) {
		return err
	}
	e := feature.Errorf(feature.Internal, opJoin, "spill folder "+f.dir, "%w", err)
	switch {
	case errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "quota exceeded"):
		e.Kind = feature.Exhausted
		return e.WithHint("make room on its disk, name a folder on a larger one in offline.join.spill_dir, or give joins more of offline.join.memory")
	case errors.Is(err, os.ErrPermission):
		return e.WithHint("let Weir write there, or name another folder in offline.join.spill_dir")
	}
	return e.WithHint("offline.join.spill_dir names the folder")
}

package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// prefix begins the names of the folders of runs.
const prefix = "weir-migrate-"

// lockName is a file that a run has locked while it lives: the kernel frees it, however the run ends.
const lockName = "lock"

// unlockedAge is how old a folder without a lock must be to count as left behind: one that is being made has none for a moment.
const unlockedAge = time.Hour

// Folder makes a folder for a run's rows below spool, which is the system's for temporary files when empty, and removes those that killed runs have left there.
// done removes it.
func Folder(spool string) (dir string, done func(), err error) {
	if spool == "" {
		spool = os.TempDir()
	}
	sweep(spool)
	if dir, err = os.MkdirTemp(spool, prefix+"*"); err != nil {
		return "", nil, err
	}
	// It gets its name once it is locked: nobody else may be the first to lock it.
	lock, err := os.Create(filepath.Join(dir, lockName+".new"))
	if err == nil {
		tryLock(lock)
		err = giveName(lock, filepath.Join(dir, lockName))
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, func() {
		_ = os.RemoveAll(dir)
		_ = lock.Close()
	}, nil
}

func sweep(spool string) {
	all, _ := os.ReadDir(spool)
	for _, e := range all {
		rest, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || rest == "" || strings.Trim(rest, "0123456789") != "" { // made by somebody, and not by Folder
			continue
		}
		if d := filepath.Join(spool, e.Name()); left(d) {
			_ = os.RemoveAll(d)
		}
	}
}

// left tells that a folder's run is over.
func left(dir string) bool {
	is, err := os.Lstat(dir)
	if err != nil || !is.IsDir() {
		return false
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if os.IsNotExist(err) {
		return time.Since(is.ModTime()) > unlockedAge
	}
	if err != nil { // somebody else's
		return false
	}
	defer func() { _ = lock.Close() }()
	return tryLock(lock)
}

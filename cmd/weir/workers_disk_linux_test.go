package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// disk is a folder for the warehouse whose disk can be full.
type disk struct {
	dir     string
	mounted bool
}

// newDisk mounts a small tmpfs. Where mounting is refused, full and free limit
// what the workers' processes may write instead, which their filesystem calls
// answer with an error just as well.
func newDisk(t *testing.T, size string, mount bool) *disk {
	t.Helper()
	d := &disk{dir: filepath.Join(t.TempDir(), "warehouse")}
	require.NoError(t, os.Mkdir(d.dir, 0o755))
	if !mount {
		t.Log("disk full: by a limit on the size of files (prlimit), as asked")
		return d
	}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size="+size); err != nil {
		t.Logf("disk full: by a limit on the size of files (prlimit), for a tmpfs cannot be mounted: %v", err)
		return d
	}
	t.Logf("disk full: on a tmpfs of %s", size)
	d.mounted = true
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(d.dir, syscall.MNT_DETACH)) })
	return d
}

// full makes the disk full for these processes.
func (d *disk) full(t *testing.T, ps []*process) {
	t.Helper()
	if !d.mounted {
		for _, p := range ps {
			limitFiles(t, p.cmd.Process.Pid, 0)
		}
		return
	}
	f, err := os.Create(filepath.Join(d.dir, "filler"))
	require.NoError(t, err)
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		n, err := f.Write(block)
		if errors.Is(err, syscall.ENOSPC) {
			block = block[:(len(block)-n)/2]
			continue
		}
		require.NoError(t, err)
	}
}

// free takes the fault away.
func (d *disk) free(t *testing.T, ps []*process) {
	t.Helper()
	if d.mounted {
		require.NoError(t, os.Remove(filepath.Join(d.dir, "filler")))
		return
	}
	for _, p := range ps {
		limitFiles(t, p.cmd.Process.Pid, ^uint64(0))
	}
}

// refused is one of what the workers' logs say of it: the system's words, or
// SQLite's, which a worker meets first that has no table yet.
func (d *disk) refused() []string {
	if d.mounted {
		return []string{syscall.ENOSPC.Error()}
	}
	return []string{syscall.EFBIG.Error(), "disk I/O error"}
}

func limitFiles(t *testing.T, pid int, soft uint64) {
	t.Helper()
	limit := struct{ cur, max uint64 }{soft, ^uint64(0)}
	const fileSize = 1 // RLIMIT_FSIZE
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), fileSize, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	require.Zero(t, errno, "prlimit: %v", errno)
}

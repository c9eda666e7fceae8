package migrate

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a killed run has left is removed by the next one; the folder of one that lives, and what is not a run's, stay.
func TestFoldersOfKilledRuns(t *testing.T) {
	spool := filepath.Join(t.TempDir(), "a[b") // no pattern
	require.NoError(t, os.Mkdir(spool, 0o700))
	alive, done, err := Folder(spool)
	require.NoError(t, err)
	make := func(name string, age time.Duration, lock bool) string {
		d := filepath.Join(spool, name)
		require.NoError(t, os.MkdirAll(filepath.Join(d, "new"), 0o700))
		if lock { // whose holder is no more
			require.NoError(t, os.WriteFile(filepath.Join(d, lockName), nil, 0o600))
		}
		require.NoError(t, os.Chtimes(d, time.Now(), time.Now().Add(-age)))
		return d
	}
	killed := make(prefix+"17", 0, true)
	old := make(prefix+"18", 2*unlockedAge, false)
	begun := make(prefix+"19", 0, false)
	other := make("other", 2*unlockedAge, true)
	named := make(prefix+"of-2024", 2*unlockedAge, true) // by somebody who keeps something there
	file := filepath.Join(spool, prefix+"20")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	next, nextDone, err := Folder(spool)
	require.NoError(t, err)
	for _, d := range []string{killed, old} {
		require.NoDirExists(t, d)
	}
	for _, d := range []string{alive, next, begun, other, named} {
		require.DirExists(t, d)
	}
	require.FileExists(t, file)
	done()
	nextDone()
	require.NoDirExists(t, alive)
	require.NoDirExists(t, next)
	_, _, err = Folder(filepath.Join(spool, "absent"))
	require.Error(t, err)
}

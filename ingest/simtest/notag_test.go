//go:build !synctests

package simtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binaries is the folder with the test binaries that have the tag.
var binaries = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "weir-simtest-") })

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := binaries(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// tagged reports whether tests of virtual time can run here. franz-go holds
// mutexes while it waits for the network, and who waits for a mutex stops the
// virtual clock; its build tag synctests puts channels in their place. Without
// the tag the same test runs in a test binary that has it, and this one is done:
// the other tests of Weir run with the mutexes that users have.
func tagged(t *testing.T) bool {
	t.Helper()
	if testing.Short() && raceOn {
		t.Log("-short: without -race only")
	} else if raceOn {
		child(t, withRace)
	}
	child(t, withoutRace)
	return false
}

// built is a test binary that all tests share: linking it takes longer than most of them.
func built(name string, flags ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := binaries()
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, name)
		cmd := exec.Command("go", append(append([]string{"test", "-c", "-tags", "synctests", "-o", path}, flags...), ".")...)
		cmd.Stderr = os.Stderr
		return path, cmd.Run()
	})
}

var (
	withRace    = built("race.test", "-race", "-ldflags=-s -w")
	withoutRace = built("plain.test", "-ldflags=-s -w")
)

func child(t *testing.T, binary func() (string, error)) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatalf("building the test binary with virtual time: %v", err)
	}
	args := []string{"-test.v", "-test.timeout=60m", "-test.run=^" + t.Name() + "$"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	t.Logf("%s %v\n%s", filepath.Base(path), args, out)
	if err != nil {
		t.Fatal(err)
	}
}

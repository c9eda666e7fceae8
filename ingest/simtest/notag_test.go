//go:build !synctests

package simtest

import (
	"os/exec"
	"testing"
)

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
		child(t, "-race")
	}
	child(t)
	return false
}

func child(t *testing.T, flags ...string) {
	t.Helper()
	args := append([]string{"test", "-tags", "synctests", "-count=1", "-v", "-timeout=60m", "-run", "^" + t.Name() + "$"}, flags...)
	if testing.Short() {
		args = append(args, "-short")
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, ".")...)
	out, err := cmd.CombinedOutput()
	t.Logf("go %v\n%s", args, out)
	if err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStartsLight: what packages do before main begins is done by every command, so it
// has to stay little. internal/substrait keeps the most of it away.
func TestStartsLight(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run", "^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	total, seen := 0, false
	for _, m := range regexp.MustCompile(`(?m)^init (\S+) @.* clock, (\d+) bytes`).FindAllSubmatch(out, -1) {
		n, err := strconv.Atoi(string(m[2]))
		require.NoError(t, err)
		total += n
		if n > 2<<20 {
			t.Errorf("%s takes %d KiB at the start of every command: %s", m[1], n>>10, "is it needed before main?")
		}
		seen = seen || string(m[1]) == "github.com/apache/iceberg-go/table/substrait"
	}
	require.True(t, seen, "iceberg-go does not load Substrait's functions any longer: remove internal/substrait")
	// The binary takes 9 MiB, this one with what tests need and the race detector 12; Substrait would add 32.
	require.Less(t, total, 20<<20)
	t.Logf("%d KiB are taken before main", total>>10)
}

package native

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTail: what matters is not pushed out by a line that came a thousand times.
func TestTail(t *testing.T) {
	p := &Process{log: filepath.Join(t.TempDir(), "log")}
	text := "12:00:00 main WARN the cause\n" + "12:00:01 sender WARN could not be established\n" +
		strings.Repeat("12:00:02 sender WARN could not be established\n", 1000) + "12:00:03 main WARN up\nalone\nalone\n"
	require.NoError(t, os.WriteFile(p.log, []byte(text), 0o644))
	require.Equal(t, "12:00:00 main WARN the cause\n12:00:01 sender WARN could not be established\n(and 1000 more times)\n12:00:03 main WARN up\nalone\nalone", p.Tail())
	long := strings.Repeat("1 x\n1 y\n", 5000)
	require.NoError(t, os.WriteFile(p.log, []byte(long), 0o644))
	require.Less(t, len(p.Tail()), 7000)
	require.True(t, strings.HasSuffix(p.Tail(), "1 x\n1 y"))
	p.log += ".not there"
	require.Empty(t, p.Tail())
}

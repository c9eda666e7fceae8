package app

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/weir-ml/weir/internal/substrait" // as in the binary: its start takes 32 MB less
)

func TestMemoryLimit(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		live uint64
		want int64
	}{{0, 400 * mib}, {320 * mib, 400 * mib}, {400 * mib, 450 * mib}, {800 * mib, 900 * mib}, {801 * mib, math.MaxInt64}, {math.MaxUint64, math.MaxInt64}} {
		require.Equal(t, c.want, memoryLimit(400*mib, c.live))
	}
}

const memoryChild = "WEIR_TEST_MEMORY_CHILD"

// TestHoldMemory measures a process of its own, because its peak and the limit
// are the whole process's: 200 MiB in use, a gigabyte of garbage beside it.
func TestHoldMemory(t *testing.T) {
	const target = 260 << 20
	if held := os.Getenv(memoryChild); held != "" {
		n, err := strconv.ParseInt(held, 10, 64)
		require.NoError(t, err)
		defer HoldMemory(n)()
		litter()
		return
	}
	if raceEnabled {
		t.Skip("SKIP(race): the race detector's own memory is larger than what is measured")
	}
	peak := func(held int64) int64 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestHoldMemory$", "-test.v")
		cmd.Env = append(os.Environ(), "GOMEMLIMIT=", "GOGC=", fmt.Sprintf("%s=%d", memoryChild, held))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		_, text, found := strings.Cut(string(out), "VmHWM:")
		if !found {
			t.Skip("the system does not tell a process's peak")
		}
		kb, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
		require.NoError(t, err)
		return kb << 10
	}
	free, held := peak(0), peak(target)
	t.Logf("peak %d MiB, held %d MiB", free>>20, held>>20)
	require.Greater(t, free, int64(target+100<<20), "else this measures nothing")
	require.Less(t, held, int64(target+80<<20), "the binary's own pages count too")
}

var (
	litterKept [][]byte
	litterBin  []byte
)

func litter() {
	for range 200 {
		litterKept = append(litterKept, touched(1<<20))
	}
	runtime.GC()
	for range 1024 {
		litterBin = touched(1 << 20)
	}
	runtime.KeepAlive(litterKept)
	status, _ := os.ReadFile("/proc/self/status")
	fmt.Println(string(status))
}

func touched(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	return b
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLongestFirst: every package is still tested, the longest ones first.
func TestLongestFirst(t *testing.T) {
	args := ordered([]string{"-race", "-timeout", "20m", "./..."})
	require.Equal(t, []string{fmt.Sprint("-p=", runtime.GOMAXPROCS(0)+1), "-race", "-timeout", "20m", "./" + longest[0]}, args[:5])
	require.Equal(t, "./...", args[len(args)-1])
	for _, given := range [][]string{{"-p=1", "./..."}, {"-p", "7", "./..."}} {
		require.Equal(t, given[:len(given)-1], ordered(given)[:len(given)-1])
	}
	require.Equal(t, []string{"-race", "./online/..."}, ordered([]string{"-race", "./online/..."}))

	for _, p := range longest {
		tests, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(p), "*_test.go"))
		require.NoError(t, err)
		require.NotEmpty(t, tests, "%s is listed as long, and has no tests", p)
	}
}

// TestGoNamesEachPackageOnce is what the order rests on.
func TestGoNamesEachPackageOnce(t *testing.T) {
	cmd := exec.Command("go", "list", "./internal/testrun", "./internal/...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	names := strings.Fields(string(out))
	require.Regexp(t, "/internal/testrun$", names[0])
	require.NotContains(t, names[1:], names[0])
}

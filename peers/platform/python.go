package platform

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Python is the interpreter of the environment of a folder beside this file, as
// scripts/setup-test.sh made it.
func Python(t testing.TB, folder string) string { return filepath.Join(bin(t, folder), "python") }

// bin is the folder with an environment's programs.
func bin(t testing.TB, folder string) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	list, err := os.ReadFile(filepath.Join(filepath.Dir(here), folder, "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv("XDG_CACHE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(home, ".cache")
	}
	home := filepath.Join(dir, "weir", fmt.Sprintf("%s-%.6x", folder, sha256.Sum256(list)))
	if _, err := os.Stat(filepath.Join(home, "complete")); err != nil {
		with := "--peers"
		if folder == "airflow" {
			with = "--loop"
		}
		t.Fatalf("there is no Python environment with %s: run scripts/setup-test.sh %s", folder, with)
	}
	return filepath.Join(home, "bin")
}

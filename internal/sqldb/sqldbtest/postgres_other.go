//go:build !unix

package sqldbtest

import "testing"

func start(t testing.TB) string {
	t.Helper()
	t.Skipf("SKIP(postgres absent): set %s", Env)
	return ""
}

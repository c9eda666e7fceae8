package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func runReport(t *testing.T, require bool, lines ...string) (string, bool) {
	t.Helper()
	var b strings.Builder
	r := newReport(&b, "m", require)
	if err := r.read(strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	ok := r.summary()
	return b.String(), ok
}

func lastLine(s string) string {
	s = strings.TrimRight(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}

func TestGoodRun(t *testing.T) {
	out, ok := runReport(t, false,
		`{"Action":"start","Package":"m/a"}`,
		`{"Action":"run","Package":"m/a","Test":"TestX"}`,
		`{"Action":"output","Package":"m/a","Test":"TestX","Output":"=== RUN   TestX\n"}`,
		`{"Action":"output","Package":"m/a","Test":"TestX","Output":"    a_test.go:3: quiet\n"}`,
		`{"Action":"pass","Package":"m/a","Test":"TestX","Elapsed":0.1}`,
		`{"Action":"output","Package":"m/a","Test":"TestS","Output":"    a_test.go:9: SKIP(kafka absent): java is not installed\n"}`,
		`{"Action":"output","Package":"m/a","Test":"TestS","Output":"--- SKIP: TestS (0.00s)\n"}`,
		`{"Action":"skip","Package":"m/a","Test":"TestS","Elapsed":0}`,
		`{"Action":"pass","Package":"m/a","Elapsed":0.2}`,
		`{"Action":"skip","Package":"m/none","Elapsed":0}`,
	)
	require.True(t, ok)
	require.NotContains(t, out, "quiet")
	require.Contains(t, out, "SKIP(kafka absent): java is not installed\n      a.TestS\n")
	require.Equal(t, "1 passed, 0 failed, 1 skipped", lastLine(out))
}

func TestRequiredServerMayNotBeSkipped(t *testing.T) {
	out, ok := runReport(t, true,
		`{"Action":"pass","Package":"m/a","Test":"TestX"}`,
		`{"Action":"output","Package":"m/a","Test":"TestS","Output":"    a_test.go:9: SKIP(shared absent): no ../shared\n"}`,
		`{"Action":"skip","Package":"m/a","Test":"TestS"}`,
		`{"Action":"output","Package":"m/a","Test":"TestB","Output":"    a_test.go:9: SKIP(s3 absent): no server\n"}`,
		`{"Action":"skip","Package":"m/a","Test":"TestB"}`,
		`{"Action":"output","Package":"m/a","Test":"TestT","Output":"    a_test.go:9: only on Windows\n"}`,
		`{"Action":"skip","Package":"m/a","Test":"TestT"}`,
		`{"Action":"pass","Package":"m/a"}`,
	)
	require.False(t, ok)
	require.Equal(t, "1 passed, 2 failed, 1 skipped", lastLine(out))
}

// TestRunsAgainWithoutRace: what the race detector forbids to measure is asked for
// again, and the second run is the one that counts, once.
func TestRunsAgainWithoutRace(t *testing.T) {
	var b strings.Builder
	r := newReport(&b, "m", true)
	read := func(lines ...string) {
		require.NoError(t, r.read(strings.NewReader(strings.Join(lines, "\n"))))
	}
	skipped := func(test, why string) []string {
		return []string{
			`{"Action":"output","Package":"m/a","Test":"` + test + `","Output":"    a_test.go:9: ` + why + `\n"}`,
			`{"Action":"skip","Package":"m/a","Test":"` + test + `"}`,
		}
	}
	read(`{"Action":"pass","Package":"m/a","Test":"TestW"}`, `{"Action":"pass","Package":"m/a","Test":"TestX"}`)
	for _, test := range []string{"TestBytes", "TestAllocations", "TestAbsent", "TestW/part"} {
		read(skipped(test, "SKIP(race): its own memory is counted too")...)
	}
	read(skipped("TestS", "only on Windows")...)
	read(`{"Action":"pass","Package":"m/a"}`)
	tests, packages := r.raceless()
	require.Equal(t, []string{"TestAbsent", "TestAllocations", "TestBytes"}, tests)
	require.Equal(t, []string{"m/a"}, packages)
	read(`{"Action":"pass","Package":"m/a","Test":"TestBytes"}`, `{"Action":"fail","Package":"m/a","Test":"TestAllocations"}`, `{"Action":"fail","Package":"m/a"}`)
	require.False(t, r.summary())
	out := b.String()
	require.Contains(t, out, "FAIL  a  0s  (1 passed, 1 failed, 0 skipped)")
	require.Contains(t, out, "\n1 packages with tests\n")
	_, skips, _ := strings.Cut(out, "\nSkipped:\n")
	require.NotContains(t, skips, "TestBytes")
	require.Contains(t, skips, "a.TestAbsent", "it did not run the second time either")
	require.Equal(t, "3 passed, 1 failed, 3 skipped", lastLine(out))
}

func TestFailuresAreShownInFull(t *testing.T) {
	out, ok := runReport(t, false,
		`{"Action":"output","Package":"m/a","Test":"TestX","Output":"    a_test.go:3: got 1\n"}`,
		`{"Action":"output","Package":"m/a","Test":"TestX","Output":"    a_test.go:4: want 2\n"}`,
		`{"Action":"fail","Package":"m/a","Test":"TestX"}`,
		`{"Action":"fail","Package":"m/a"}`,
	)
	require.False(t, ok)
	require.Contains(t, out, "got 1")
	require.Contains(t, out, "want 2")
	require.Equal(t, "0 passed, 1 failed, 0 skipped", lastLine(out))
}

// TestDeadProcess has a test that never ended: a panic, a timeout, an exit.
func TestDeadProcess(t *testing.T) {
	out, ok := runReport(t, false,
		`{"Action":"pass","Package":"m/a","Test":"TestW"}`,
		`{"Action":"fail","Package":"m/a","Test":"TestV"}`,
		`{"Action":"output","Package":"m/a","Test":"TestX","Output":"=== RUN   TestX\n"}`,
		`{"Action":"output","Package":"m/a","Test":"TestX","Output":"panic: boom\n"}`,
		`{"Action":"output","Package":"m/a","Output":"exit status 2\n"}`,
		`{"Action":"fail","Package":"m/a"}`,
	)
	require.False(t, ok)
	require.Contains(t, out, "TestX had not ended")
	require.Contains(t, out, "panic: boom")
	require.Contains(t, out, "exit status 2")
	require.Equal(t, "1 passed, 2 failed, 0 skipped", lastLine(out))
}

func TestBuildFailure(t *testing.T) {
	out, ok := runReport(t, false,
		`{"ImportPath":"m/a [m/a.test]","Action":"build-output","Output":"a.go:1: syntax error\n"}`,
		`{"ImportPath":"m/a [m/a.test]","Action":"build-fail"}`,
		`{"Action":"output","Package":"m/a","Output":"FAIL\tm/a [build failed]\n"}`,
		`{"Action":"fail","Package":"m/a","FailedBuild":"m/a [m/a.test]"}`,
	)
	require.False(t, ok)
	require.Contains(t, out, "syntax error")
	require.Equal(t, "0 passed, 1 failed, 0 skipped", lastLine(out))
}

func TestNothingRanIsNotGood(t *testing.T) {
	out, ok := runReport(t, false, `{"Action":"skip","Package":"m/a"}`)
	require.False(t, ok)
	require.Equal(t, "0 passed, 0 failed, 0 skipped", lastLine(out))
}

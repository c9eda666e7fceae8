package check_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTimesAsText: a column of times is text to who asks how they are written, as in
// pandas, and times to all others and where --types says so.
func TestTimesAsText(t *testing.T) {
	dir := t.TempDir()
	csv := write(t, filepath.Join(dir, "a.csv"), "placed,seen\n2026-01-31T10:00:00Z,2026-01-31T10:00:00Z\n2026-01-31T10:01:00Z,2026-01-31T10:02:00Z\n")
	jsonl := write(t, filepath.Join(dir, "a.jsonl"), `{"placed":"2026-01-31T10:00:00Z","seen":"2026-01-31T10:00:00Z"}`+"\n")
	suite := write(t, filepath.Join(dir, "suite.json"), `{"name": "s", "expectations": [
		{"type": "expect_column_values_to_match_regex", "kwargs": {"column": "placed", "regex": "^2026-01-31T"}},
		{"type": "expect_column_values_to_match_strftime_format", "kwargs": {"column": "placed", "strftime_format": "%Y-%m-%dT%H:%M:%SZ"}},
		{"type": "expect_column_value_lengths_to_equal", "kwargs": {"column": "placed", "value": 20}},
		{"type": "expect_column_values_to_be_increasing", "kwargs": {"column": "seen"}}]}`)
	for _, file := range []string{csv, jsonl} {
		code, out, errs := weir("check", "--suite", suite, file)
		require.Zero(t, code, "%s%s", out, errs)
	}
	code, out, _ := weir("check", "--suite", suite, csv, "--types", "placed=timestamp")
	require.Equal(t, 1, code)
	require.Contains(t, out, "no text to match")

	code, _, errs := weir("check", "--suite", suite, csv, jsonl)
	require.Equal(t, 2, code)
	require.Contains(t, errs, `a.jsonl" is one too many: give the file to check`)
	code, _, errs = weir("check", "--suite", suite, csv, "-o", "xml")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "-o xml: use table or json, or junit")
}

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/command"
)

// TestDriftGuide writes the files of docs/drift.md, runs its commands, with no server, and
// gets the exit codes and outputs that it names.
func TestDriftGuide(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "drift.md"))
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	last, outputs, commands := "", 0, 0
	try := func(args ...string) (int, string, string) {
		var o, e bytes.Buffer
		return command.Main(args, strings.NewReader(""), &o, &e), o.String(), e.String()
	}
	for _, m := range qualityBlock.FindAllStringSubmatch(string(guide), -1) {
		switch kind, name, text := m[1], m[2], m[3]; kind {
		case "file":
			require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		case "output":
			require.Equal(t, text, last)
			outputs++
		case "run":
			want, err := strconv.Atoi(name)
			require.NoError(t, err)
			for line := range strings.Lines(text) {
				args := strings.Fields(line)
				require.Equal(t, "bin/weir", args[0], line)
				code, out, errs := try(args[1:]...)
				require.Equal(t, want, code, "%s\n%s%s", line, out, errs)
				last = out
				commands++
			}
		}
	}
	require.Equal(t, []int{1, 4}, []int{outputs, commands})
	page, err := os.ReadFile("drift.html")
	require.NoError(t, err)
	require.Contains(t, string(page), "<svg")

	// What the page says of the JSON.
	code, out, _ := try("compare", "--reference", "january.csv", "--current", "january.csv", "-o", "json")
	require.Zero(t, code)
	var r struct {
		Drift   bool
		Columns []struct {
			Column, Test string
			Tests        map[string]any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.False(t, r.Drift)
	require.Len(t, r.Columns, 3)
	for _, name := range []string{"ks", "wasserstein", "psi", "jensen_shannon", "hellinger", "kl", "nulls", "outliers"} {
		require.Contains(t, r.Columns[0].Tests, name)
	}
	for _, name := range []string{"psi", "jensen_shannon", "hellinger", "kl", "chi_square", "g", "homogeneity", "z", "l_infinity", "nulls", "new_categories"} {
		require.Contains(t, r.Columns[1].Tests, name)
	}

	for _, wrong := range [][]string{{}, {"--reference", "january.csv"}, {"--reference", "january.csv", "--current", "none.csv"},
		{"--reference", "january.csv", "--current", "july.csv", "--columns", "amounts"}, {"--reference", "january.csv", "--current", "july.csv", "--method", "guess"},
		{"--reference", "january.csv", "--current", "july.csv", "--alpha", "0"}, {"--reference", "january.csv", "--current", "july.csv", "--alpha", "1"},
		{"--reference", "january.csv", "--current", "july.csv", "--share", "2"}, {"--reference", "january.csv", "--current", "july.csv", "--method", "evidently", "--alpha", "0.1"},
		{"--reference", "january.csv", "--current", "july.csv", "--memory", "0"}, {"january.csv", "july.csv"}} {
		code, _, errs := try(append([]string{"compare"}, wrong...)...)
		require.Equal(t, 2, code, wrong)
		require.NotEmpty(t, errs, wrong)
	}
}

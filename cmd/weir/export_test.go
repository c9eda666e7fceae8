package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestExport: every entity's newest values in a file, as lookups answer them, now
// and at a moment of the past; entities of a file; what is asked for wrongly.
func TestExport(t *testing.T) {
	w, _ := salesWeir(t, 0)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	w.run("import", "--view", "sales", fileOf(t, "more.csv", "id,at,n,y\ns03,2026-02-01T00:00:00Z,300,c\nnew,2026-02-01T00:00:00Z,1,d\n"))

	var sum struct {
		Rows    int64
		At      time.Time
		Columns []struct {
			Name, View string
			Nulls      int64
		}
	}
	for _, name := range []string{"now.csv", "now.parquet", "now.jsonl", "now.arrow"} {
		w.json(&sum, "export", "--service", "model", "--out", file(name), "--time-column", "moment")
		require.EqualValues(t, 41, sum.Rows)
		require.Len(t, sum.Columns, 2)
		require.Zero(t, sum.Columns[0].Nulls)
		require.WithinDuration(t, time.Now(), sum.At, time.Minute)
		lines := readAll(t, file(name))
		require.Equal(t, "id,moment,n,y", lines[0])
		require.Len(t, lines, 42)
		for _, line := range lines[1:] {
			cells := strings.Split(line, ",")
			at, err := time.Parse(time.RFC3339Nano, cells[1])
			require.NoError(t, err)
			require.True(t, at.Equal(sum.At), line)
		}
	}
	// Lookups answer the same.
	for _, line := range readAll(t, file("now.parquet"))[1:6] {
		cells := strings.Split(line, ",")
		got := w.run("lookup", "--service", "model", "--entity", "id="+cells[0])
		require.Regexp(t, `n\W+`+cells[2]+`\b`, got)
		require.Regexp(t, `y\W+`+cells[3]+`\b`, got)
	}

	// Rows of a file without a created field were known when they happened.
	text := w.run("export", "--service", "model", "--at", "2026-01-15", "--out", file("then.csv"))
	require.Contains(t, text, "40 rows of service model version 1 as of 2026-01-15T00:00:00Z")
	lines := readAll(t, file("then.csv"))
	require.Contains(t, lines, "s03,2026-01-15T00:00:00Z,3,b")
	require.NotContains(t, strings.Join(lines, "\n"), "new")
	w.run("export", "--service", "model", "--at", "2026-01-01T10:30:00Z", "--out", file("early.csv"))
	require.Len(t, readAll(t, file("early.csv")), 1+11)

	some := fileOf(t, "some.csv", "id,note\nnew,x\nnobody,y\ns03,z\n")
	w.run("export", "--service", "model", "--entities", some, "--out", file("some.csv"))
	lines = readAll(t, file("some.csv"))
	require.Len(t, lines, 4)
	for i, want := range []string{"new,x,1,d", "nobody,y,,", "s03,z,300,c"} {
		cells := strings.Split(lines[1+i], ",")
		require.Equal(t, want, strings.Join(append(cells[:2], cells[3:]...), ","))
	}

	for _, c := range []struct{ args, says string }{
		{"--service none --out " + file("x.csv"), "none"},
		{"--service model --out " + file("x.txt"), "x.txt"},
		{"--service model", "--out"},
		{"--service model --at yesterday --out " + file("x.csv"), "--at yesterday"},
		{"--service model --entities " + file("absent.csv") + " --out " + file("x.csv"), "absent.csv"},
		{"--service model --entities " + fileOf(t, "other.csv", "shop\na\n") + " --out " + file("x.csv"), "id"},
		{"--service model --version nothing --out " + file("x.csv"), "nothing"},
		{"--service model --time-column n --out " + file("x.csv"), "time column n: service model has a feature of this name (give the time column another name"},
		{"--service model --time-column id --out " + file("x.csv"), "time column id: a join key has this name (give the time column another name"},
		{"--service model --out " + file("none/x.csv"), "there is no folder " + file("none") + ": make it first"},
	} {
		code, _, errs := w.try(append([]string{"export"}, strings.Fields(c.args)...)...)
		require.Equal(t, 2, code, c.args)
		require.Contains(t, errs, c.says)
		require.NoFileExists(t, file("x.csv"))
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 7, "no half files: %v", left)
}

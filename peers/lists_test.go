//go:build peers

package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const listsManifest = `apiVersion: weir/v1
kind: Entity
metadata: {name: thing}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: things}
spec: {topic: things, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: things}
spec:
  source: things
  entities: [thing]
  features:
    - {name: vec, type: array<float32>}
    - {name: tags, type: array<string>}
    - {name: n, type: array<int64>}
    - {name: seen, type: array<timestamp>}
    - {name: raw, type: array<bytes>}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: lists}
spec: {features: ["things:*"]}
`

// TestListsFromPython: arrays are lists to pyarrow, pandas and Polars, by Flight and in files.
func TestListsFromPython(t *testing.T) {
	p := start(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	p.run("apply", "-f", file("lists.yaml", listsManifest))
	p.run("import", "--view", "things", file("things.jsonl", `{"id":"a","at":"2026-01-01T00:00:00Z","vec":[0.5,-1.25],"tags":["é",""],"n":[-9223372036854775808,9223372036854775807],"seen":["2026-01-02T03:04:05.678901Z"],"raw":["AAE=",""]}
{"id":"b","at":"2026-01-01T00:00:00Z","vec":[],"tags":[],"n":[],"seen":[],"raw":[]}
{"id":"c","at":"2026-01-01T00:00:00Z"}
`))
	spine := file("spine.jsonl", `{"id":"a","event_timestamp":"2026-02-01T00:00:00Z","carried":[1,2]}
{"id":"b","event_timestamp":"2026-02-01T00:00:00Z","carried":null}
{"id":"c","event_timestamp":"2026-02-01T00:00:00Z","carried":[]}
{"id":"nobody","event_timestamp":"2026-02-01T00:00:00Z","carried":[3]}
`)
	for _, ext := range []string{"parquet", "arrow", "jsonl", "csv"} {
		p.run("snapshot", "create", "--service", "lists", "--spine", spine, "--out", filepath.Join(dir, "set."+ext))
	}
	cmd := exec.Command(pythonOf(t, "feast"), "-W", "ignore", "feast/lists_check.py", p.app.GRPCAddr(), dir)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "all the same\n", string(out))
}

//go:build peers

package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"
)

// TestPointInTimeProduct has a whole Weir import three views in the order in which
// their rows arrived (../shared/bench/pit/gen.py, in part in eight lanes) and make training sets of them, under
// both clocks, before and after compaction; each is DuckDB's over the same files, row
// for row. Those made before can be made again after it. PIT_ROWS sets the rows of a view (20000), PIT_PYTHON a Python with numpy and pyarrow.
func TestPointInTimeProduct(t *testing.T) {
	gen, err := filepath.Abs("../../shared/bench/pit/gen.py")
	require.NoError(t, err)
	if _, err := os.Stat(gen); err != nil {
		t.Skip("SKIP(shared absent): no ../shared")
	}
	rows := 20_000
	if s := os.Getenv("PIT_ROWS"); s != "" {
		rows, _ = strconv.Atoi(s)
	}
	dir := t.TempDir()
	out, err := exec.Command(numpy(t), gen, dir, fmt.Sprint(rows), fmt.Sprint(rows/10), fmt.Sprint(rows/4)).CombinedOutput()
	require.NoError(t, err, "%s", out)

	out, err = exec.Command(numpy(t), "-c", intoLanes, dir).CombinedOutput()
	require.NoError(t, err, "%s", out)

	p := start(t)
	defs := filepath.Join(dir, "pit.yaml")
	require.NoError(t, os.WriteFile(defs, []byte(pitManifest()), 0o644))
	p.run("apply", "-f", defs)
	for v := 1; v <= 3; v++ {
		p.run("import", "--view", fmt.Sprintf("v%d", v), filepath.Join(dir, "lanes", fmt.Sprintf("v%d", v)))
	}
	spine := filepath.Join(dir, "spine.parquet")
	duck := &pit{e: startPIT(t), dir: dir}
	before := map[string]string{} // files by id
	for _, state := range []string{"as imported", "compacted"} {
		if state == "compacted" {
			var done []struct {
				View        string
				Files, Made int64
			}
			require.NoError(t, json.Unmarshal([]byte(p.run("compact", "-o", "json")), &done))
			require.Len(t, done, 3)
			for _, d := range done {
				require.Greater(t, d.Made, int64(15), "%+v", d)
				require.Greater(t, d.Files, 5*d.Made, "%+v", d)
			}
			t.Logf("compacted: %+v", done)
			for id, made := range before {
				p.run("snapshot", "verify", id, "--spine", made, "--time-column", "ts")
			}
		}
		for _, clock := range []string{"event", "known"} {
			made := filepath.Join(dir, strings.ReplaceAll(state, " ", "-")+"-"+clock+".parquet")
			var snapshot struct{ ID string }
			require.NoError(t, json.Unmarshal([]byte(p.run("snapshot", "create", "-o", "json", "--service", "pit", "--spine", spine, "--time-column", "ts", "--time", clock, "--out", made)), &snapshot))
			before[snapshot.ID] = made
			c := pitCase{Clock: "event", Spine: spine, At: "ts"}
			if clock == "known" {
				c.Clock = "known"
			}
			for v := 1; v <= 3; v++ {
				x := pitView{Facts: filepath.Join(dir, "arrival", fmt.Sprintf("v%d", v), "*.parquet"), TTL: 30 * 86_400_000_000,
					Keys: map[string]string{"entity_id": "entity_id"}, Event: "event_ts", Known: "created_ts"}
				for f := range 5 {
					x.Features = append(x.Features, pitFeature{fmt.Sprintf("v%d_f%d", v, f), "float64"})
				}
				c.Views = append(c.Views, x)
			}
			want, err := duck.ask(c)
			require.NoError(t, err)
			got, ids := features(t, made, c)
			require.Len(t, got, len(want))
			found := 0
			for i := range want {
				require.Equal(t, int64(i), ids[i], "the spine's order")
				require.Equal(t, want[i], got[i], "%s, %s clock, row %d", state, clock, i)
				for _, x := range got[i] {
					if x != "null" {
						found++
					}
				}
			}
			require.Greater(t, found, len(want), "hardly any row finds a value")
			t.Logf("%s, %s clock: %d rows, %d values", state, clock, len(want), found)
		}
	}
}

// intoLanes cuts two of a view's ten files of arrivals into eight, dealt out row by row as
// a topic's partitions would have them, so that some days have files enough to be merged.
const intoLanes = `
import glob, os, sys, pyarrow.parquet as pq
for path in glob.glob(sys.argv[1] + "/arrival/*/*.parquet"):
    rows, to = pq.read_table(path), path.replace("/arrival/", "/lanes/")
    os.makedirs(os.path.dirname(to), exist_ok=True)
    lanes = 8 if path.endswith(("-3.parquet", "-4.parquet")) else 1
    for lane in range(lanes):
        pq.write_table(rows.take(list(range(lane, rows.num_rows, lanes))), to.replace(".parquet", f"-{lane}.parquet"))
`

// numpy is a Python that gen.py runs with.
func numpy(t *testing.T) string {
	candidates := []string{os.Getenv("PIT_PYTHON"), python(t)}
	others, err := filepath.Glob(filepath.Join(cache(t), "*", "bin", "python"))
	require.NoError(t, err)
	for _, p := range append(candidates, others...) {
		if p != "" && exec.Command(p, "-c", "import numpy, pyarrow.parquet").Run() == nil {
			return p
		}
	}
	t.Skip("SKIP(numpy absent): name a Python with numpy and pyarrow in PIT_PYTHON")
	return ""
}

func pitManifest() string {
	var b strings.Builder
	b.WriteString("apiVersion: weir/v1\nkind: Entity\nmetadata: {name: entity}\nspec: {join_keys: [{name: entity_id, type: int64}]}\n")
	for v := 1; v <= 3; v++ {
		fmt.Fprintf(&b, `---
apiVersion: weir/v1
kind: Source
metadata: {name: s%[1]d}
spec:
  topic: s%[1]d
  event_time: {field: event_ts}
  created: {field: created_ts}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: v%[1]d}
spec:
  source: s%[1]d
  entities: [entity]
  ttl: 720h
  features:
`, v)
		for f := range 5 {
			fmt.Fprintf(&b, "    - {name: v%d_f%d, type: float64}\n", v, f)
		}
	}
	b.WriteString("---\napiVersion: weir/v1\nkind: FeatureService\nmetadata: {name: pit}\nspec:\n  features: [\"v1:*\", \"v2:*\", \"v3:*\"]\n")
	return b.String()
}

// features are the texts of a training set's features, and its row numbers.
func features(t *testing.T, path string, c pitCase) (rows [][]string, ids []int64) {
	pf, err := file.OpenParquetFile(path, false)
	require.NoError(t, err)
	defer pf.Close()
	r, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: 1 << 12}, memory.DefaultAllocator)
	require.NoError(t, err)
	recs, err := r.GetRecordReader(context.Background(), nil, nil)
	require.NoError(t, err)
	defer recs.Release()
	for recs.Next() {
		rec := recs.RecordBatch()
		column := func(name string) arrow.Array {
			at := rec.Schema().FieldIndices(name)
			require.Len(t, at, 1, "%s in %v", name, rec.Schema())
			return rec.Column(at[0])
		}
		for i := range int(rec.NumRows()) {
			var row []string
			for _, v := range c.Views {
				for _, f := range v.Features {
					row = append(row, text(column(f.Name), i))
				}
			}
			rows = append(rows, row)
			id, err := strconv.ParseInt(text(column("row_id"), i), 10, 64)
			require.NoError(t, err)
			ids = append(ids, id)
		}
	}
	require.NoError(t, recs.Err())
	return rows, ids
}

//go:build peers

package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/testseed"
)

// TestDatasketchesReads stores a profile as windows are stored, and has Python's datasketches read
// the quantiles, the distinct values and the frequent items in it.
func TestDatasketchesReads(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	fields := []arrow.Field{{Name: "number", Type: arrow.PrimitiveTypes.Float64}, {Name: "few", Type: arrow.BinaryTypes.String}, {Name: "many", Type: arrow.BinaryTypes.String}}
	for _, rows := range []int{0, 100, 30_000} {
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
		var numbers []float64
		counts := map[string]map[string]int64{"few": {}, "many": {}}
		for i := range rows {
			numbers = append(numbers, r.NormFloat64())
			b.Field(0).(*array.Float64Builder).Append(numbers[i])
			for k, text := range []string{fmt.Sprint("ä", r.IntN(5)), fmt.Sprintf("item %d", int(r.ExpFloat64()*400))} {
				b.Field(k + 1).(*array.StringBuilder).Append(text)
				counts[fields[k+1].Name][text]++
			}
		}
		p := drift.NewProfiler()
		require.NoError(t, p.Write(b.NewRecordBatch()))
		stored, err := p.Finish()
		require.NoError(t, err)
		profile, err := drift.DecodeProfile(stored)
		require.NoError(t, err)
		for _, f := range profile.Features {
			q := map[string]any{"hll": f.HLL()}
			if f.Shape == drift.Numbers && rows > 0 {
				q["kll"], q["ranks"] = f.KLL(), []float64{0.01, 0.5, 0.9}
			} else if f.Shape == drift.Categories {
				q["frequent_items"] = f.FrequentItems()
			}
			got := readSketches(t, q)
			want, _, ok := f.Distinct()
			require.True(t, ok)
			require.InDelta(t, want, got.Distinct, 0.06*want+0.5, "%s of %d", f.Name, rows)
			if q["kll"] != nil {
				slices.Sort(numbers)
				require.Equal(t, []float64{float64(rows), numbers[0], numbers[rows-1]}, []float64{float64(got.N), got.Min, got.Max})
				for i, rank := range q["ranks"].([]float64) {
					mine, _ := f.Quantile(rank)
					require.Equal(t, mine, got.Quantiles[i])
				}
				if rows > 1000 {
					require.InDelta(t, f.RankError(), got.RankError, 1e-9)
				}
			}
			if f.Shape == drift.Categories {
				require.EqualValues(t, rows, got.Total)
				for name, bounds := range got.Items {
					require.LessOrEqual(t, bounds[0], counts[f.Name][name], name)
					require.GreaterOrEqual(t, bounds[1], counts[f.Name][name], name)
				}
				require.Equal(t, f.Name == "many" && rows > 1000, f.CategoryError() > 0)
				if f.CategoryError() == 0 {
					require.Len(t, got.Items, len(counts[f.Name]))
				}
			}
		}
	}
}

type readOut struct {
	N                  int64
	Min, Max, Distinct float64
	Quantiles          []float64
	RankError          float64 `json:"rank_error"`
	Total              int64
	Items              map[string][2]int64
}

func readSketches(t testing.TB, q map[string]any) (out readOut) {
	in, err := json.Marshal(q)
	require.NoError(t, err)
	cmd := exec.Command(pythonOf(t, "sketches"), "sketches/client.py")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin = bytes.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	b, err := cmd.Output()
	require.NoError(t, err, "%s", &errs)
	require.NoError(t, json.Unmarshal(b, &out))
	return out
}

package compare

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// realRows reads a file of ../shared/data beside the module.
func realRows(t *testing.T, name string) [][]string {
	t.Helper()
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	f, err := os.Open(filepath.Join(dir, "data", name))
	if err != nil {
		t.Skipf("SKIP(shared absent): %v", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	return rows
}

// part writes the rows that a test wants of a real file.
func part(t *testing.T, rows [][]string, column string, want func(i int, v string) bool) string {
	t.Helper()
	at := -1
	for i, h := range rows[0] {
		if h == column {
			at = i
		}
	}
	require.GreaterOrEqual(t, at, 0, column)
	out := [][]string{rows[0]}
	for i, r := range rows[1:] {
		if want(i, r[at]) {
			out = append(out, r)
		}
	}
	path := filepath.Join(t.TempDir(), "part.csv")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, csv.NewWriter(f).WriteAll(out))
	return path
}

var realNulls = tabular.ReadOptions{Nulls: []string{"NA", " "}}

func TestRealWeather(t *testing.T) {
	rows := realRows(t, "nyc_weather_2013.csv")
	month := func(m string) string { return part(t, rows, "month", func(_ int, v string) bool { return v == m }) }
	r, err := Run(t.Context(), Options{Reference: month("1"), Current: month("7"), Read: realNulls})
	require.NoError(t, err)
	require.True(t, r.Drift)
	for _, want := range []string{"temp", "dewp", "humid", "pressure", "wind_gust", "visib"} {
		require.Contains(t, r.DriftedColumns(), want)
	}
	for _, quiet := range []string{"origin", "year", "day", "hour"} {
		require.NotContains(t, r.DriftedColumns(), quiet)
	}
}

func TestRealBirdstrikes(t *testing.T) {
	rows := realRows(t, "birdstrikes.csv")
	early := part(t, rows, "Flight Date", func(_ int, v string) bool { return v < "1995" })
	late := part(t, rows, "Flight Date", func(_ int, v string) bool { return v >= "1999" })
	r, err := Run(t.Context(), Options{Reference: early, Current: late})
	require.NoError(t, err)
	reasons := map[string][]string{}
	for _, c := range r.Columns {
		reasons[c.Name] = c.Reasons
	}
	require.Contains(t, reasons["Origin State"], "distribution")
	require.Equal(t, []string{"nulls"}, reasons["Speed IAS in knots"])
	require.Empty(t, reasons["Time of day"])
}

func TestRealChurn(t *testing.T) {
	rows := realRows(t, "telco_churn.csv")
	tenure := func(want func(int) bool) string {
		return part(t, rows, "tenure", func(_ int, v string) bool { n, _ := strconv.Atoi(v); return want(n) })
	}
	r, err := Run(t.Context(), Options{Reference: tenure(func(n int) bool { return n >= 24 }), Current: tenure(func(n int) bool { return n < 6 }), Read: realNulls})
	require.NoError(t, err)
	for _, want := range []string{"tenure", "MonthlyCharges", "TotalCharges", "Contract", "Churn"} {
		require.Contains(t, r.DriftedColumns(), want)
	}
	require.NotContains(t, r.DriftedColumns(), "gender")
	require.NotContains(t, r.DriftedColumns(), "customerID")

	seed := rand.New(rand.NewPCG(testseed.For(t), 1))
	alarms := 0
	for range max(3, 10/times) {
		first := map[int]bool{}
		for _, i := range seed.Perm(len(rows) - 1)[:(len(rows)-1)/2] {
			first[i] = true
		}
		r, err := Run(t.Context(), Options{Reference: part(t, rows, "tenure", func(i int, _ string) bool { return first[i] }),
			Current: part(t, rows, "tenure", func(i int, _ string) bool { return !first[i] }), Read: realNulls})
		require.NoError(t, err)
		alarms += r.Drifted
		require.Equal(t, 21, len(r.Columns))
	}
	require.Zero(t, alarms, "random halves")
}

// mixed is a table of every kind of column.
func mixed(rnd *rand.Rand, n int, shift float64) arrow.RecordBatch {
	fields := []arrow.Field{{Name: "f", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "<b>&\"s", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "few", Type: arrow.PrimitiveTypes.Int64}, {Name: "id", Type: arrow.BinaryTypes.String},
		{Name: "yes", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}, {Name: "t", Type: feature.Timestamp.Arrow()}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	for i := range n {
		if b.Field(0).(*array.Float64Builder).Append(rnd.NormFloat64() + shift); i%50 == 1 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.Int64Builder).Append(rnd.Int64N(1000))
		}
		b.Field(2).(*array.StringBuilder).Append([]string{"<script>alert(1)</script>", "b", "c\"'"}[rnd.IntN(3)])
		b.Field(3).(*array.Int64Builder).Append(rnd.Int64N(4))
		b.Field(4).(*array.StringBuilder).Append(fmt.Sprint("id-", rnd.Uint64()))
		b.Field(5).(*array.BooleanBuilder).Append(rnd.IntN(3) == 0)
		b.Field(6).(*array.TimestampBuilder).Append(arrow.Timestamp(i))
	}
	return b.NewRecordBatch()
}

func written(t *testing.T, name string, rec arrow.RecordBatch) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	w, err := tabular.Create(path, rec.Schema(), tabular.WriteOptions{})
	require.NoError(t, err)
	require.NoError(t, w.Write(rec))
	require.NoError(t, w.Close())
	return path
}

// TestFormats: the same rows tell the same in every format, and however little memory
// there is for columns.
func TestFormats(t *testing.T) {
	rnd := rand.New(rand.NewPCG(testseed.For(t), 5))
	a, b := mixed(rnd, 6000, 0), mixed(rnd, 2000, 0.5)
	var want *Report
	for _, name := range []string{"x.parquet", "x.csv", "x.jsonl", "x.arrow"} {
		ref, cur := written(t, name, a), written(t, name, b)
		for _, mib := range []int64{256 << 20, 1400 << 10} {
			last := int64(-1)
			r, err := Run(t.Context(), Options{Reference: ref, Current: cur, Memory: mib, Progress: func(done, total int64) {
				require.LessOrEqual(t, last, done, name)
				last = done
			}})
			require.NoError(t, err, "%s %d", name, mib)
			require.Equal(t, []string{"f"}, r.DriftedColumns(), name)
			r.Reference.Path, r.Current.Path = "", ""
			for i := range r.Columns {
				r.Columns[i].plot = nil
			}
			if want == nil {
				want = r
				for _, c := range r.Columns {
					require.Equal(t, map[string]Kind{"f": Numbers, "i": Numbers, "few": Categories, "id": Text, "yes": Categories, "t": Other, "<b>&\"s": Categories}[c.Name], c.Kind, c.Name)
				}
			}
			x, err := json.Marshal(want)
			require.NoError(t, err)
			y, err := json.Marshal(r)
			require.NoError(t, err)
			require.JSONEq(t, string(x), string(y), "%s %d", name, mib)
		}
		_, err := Run(t.Context(), Options{Reference: ref, Current: cur, Memory: 100 << 10})
		require.ErrorContains(t, err, "--memory")
	}
}

func TestPage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(testseed.For(t), 6))
	ref, cur := written(t, "x.parquet", mixed(rnd, 2000, 0)), written(t, "x.parquet", mixed(rnd, 2000, 1))
	r, err := Run(t.Context(), Options{Reference: ref, Current: cur, Plots: true})
	require.NoError(t, err)
	var page bytes.Buffer
	require.NoError(t, r.WriteHTML(&page))
	text := page.String()
	require.NotContains(t, text, "<script")
	require.NotContains(t, text, "src=")
	require.NotRegexp(t, `(?i)href="[^#]`, text)
	require.NotContains(t, text, "://")
	require.Contains(t, text, "&lt;script&gt;alert(1)&lt;/script&gt;")
	require.Equal(t, 5, strings.Count(text, "<svg")) // not of times and identifiers
	require.NotContains(t, text, "NaN")
}

func TestColumnsThatDiffer(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	ref := file("ref.csv", "a,b,c\n1,x,3\n2,y,4\n3,x,5\n")
	cur := file("cur.csv", "a,c,d\n1,x,1\n2,y,2\n2,x,4\n")
	r, err := Run(t.Context(), Options{Reference: ref, Current: cur})
	require.NoError(t, err)
	require.Equal(t, []string{"b", "c"}, r.DriftedColumns())
	require.Equal(t, []string{"d"}, r.OnlyCurrent)
	require.Equal(t, []string{"missing"}, r.Columns[1].Reasons)
	require.Equal(t, []string{"type"}, r.Columns[2].Reasons)
	require.True(t, r.Drift)

	r, err = Run(t.Context(), Options{Reference: ref, Current: cur, Columns: []string{"a"}})
	require.NoError(t, err)
	require.False(t, r.Drift)
	require.Len(t, r.Columns, 1)
	require.Empty(t, r.OnlyCurrent)

	_, err = Run(t.Context(), Options{Reference: ref, Current: cur, Columns: []string{"b"}})
	require.Equal(t, feature.NotFound, feature.KindOf(err))
	require.ErrorContains(t, err, "cur.csv")
	_, err = Run(t.Context(), Options{Reference: filepath.Join(dir, "none.csv"), Current: cur})
	require.Equal(t, feature.NotFound, feature.KindOf(err))
	_, err = Run(t.Context(), Options{Reference: ref, Current: cur, Alpha: 1})
	require.ErrorContains(t, err, "alpha")
	empty := file("empty.csv", "a,b\n")
	for _, o := range []Options{{Reference: empty, Current: cur}, {Reference: ref, Current: empty}} {
		_, err = Run(t.Context(), o)
		require.ErrorContains(t, err, "no rows") // which is not that nothing has drifted
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Run(ctx, Options{Reference: ref, Current: cur})
	require.ErrorIs(t, err, context.Canceled)
}

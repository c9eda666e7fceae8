package check_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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

// proposed profiles a file and returns the files of its suite and schema.
func proposed(t *testing.T, data string, more ...string) (suite, schema string) {
	t.Helper()
	dir := t.TempDir()
	suite, schema = filepath.Join(dir, "suite.yaml"), filepath.Join(dir, "schema.json")
	code, out, errs := weir(append([]string{"profile", data, "--suite", suite, "--schema", schema}, more...)...)
	require.Equal(t, 0, code, out+errs)
	return suite, schema
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	return rows
}

func writeCSV(t *testing.T, path string, rows [][]string) string {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	w := csv.NewWriter(f)
	require.NoError(t, w.WriteAll(rows))
	require.NoError(t, f.Close())
	return path
}

// TestShuffledColumns: a file passes what is proposed from it, and no longer does
// when values change columns, all of them or two; nor when the order of the columns changes.
func TestShuffledColumns(t *testing.T) {
	data := shared(t, "data", "telco_churn.csv")
	rows := readCSV(t, data)
	suite, schema := proposed(t, data)
	passes := func(file string) bool {
		t.Helper()
		code, out, errs := weir("check", "--suite", suite, file, "-o", "json", "--result-format", "boolean_only")
		require.NotEqual(t, 2, code, out+errs)
		return code == 0
	}
	code, out, errs := weir("check", "--suite", suite, "--schema", schema, data, "--fail-on", "info")
	require.Equal(t, 0, code, out+errs)
	file := filepath.Join(t.TempDir(), "shuffled.csv")
	// moved gives the column to[i] the values of column i.
	moved := func(to []int) [][]string {
		out := [][]string{rows[0]}
		for _, r := range rows[1:] {
			n := make([]string, len(r))
			for i, v := range r {
				n[to[i]] = v
			}
			out = append(out, n)
		}
		return out
	}
	n := len(rows[0])
	rng := rand.New(rand.NewPCG(testseed.For(t), 0))
	for range 4 {
		to := rng.Perm(n)
		if slices.IsSorted(to) {
			continue
		}
		require.False(t, passes(writeCSV(t, file, moved(to))), "columns moved to %v", to)
	}
	var missed []string
	pairs := 0
	for i := range n {
		for j := i + 1; j < n; j++ {
			if rng.IntN(10) > 0 && !alike(rows[0][i], rows[0][j]) {
				continue // a tenth of them a run
			}
			to := make([]int, n)
			for k := range to {
				to[k] = k
			}
			to[i], to[j] = j, i
			pairs++
			if passes(writeCSV(t, file, moved(to))) {
				missed = append(missed, rows[0][i]+" and "+rows[0][j])
			}
		}
	}
	t.Logf("of %d pairs of columns whose values changed places, not seen: %v", pairs, missed)
	for _, m := range missed {
		a, b, _ := strings.Cut(m, " and ")
		require.True(t, alike(a, b), m)
	}
	// The values of one column among its rows: seen where other columns depend on it.
	for _, name := range []string{"PhoneService", "InternetService", "OnlineBackup"} {
		k := slices.Index(rows[0], name)
		out := [][]string{rows[0]}
		order := rng.Perm(len(rows) - 1)
		for i, r := range rows[1:] {
			c := slices.Clone(r)
			c[k] = rows[1+order[i]][k]
			out = append(out, c)
		}
		require.False(t, passes(writeCSV(t, file, out)), name)
	}
	// The same file with its columns in another order.
	out2 := [][]string{}
	for _, r := range rows {
		out2 = append(out2, append(slices.Clone(r[1:]), r[0]))
	}
	require.False(t, passes(writeCSV(t, file, out2)))
}

// alike are columns with the same values in shares so near that no rule tells them apart.
func alike(a, b string) bool {
	return slices.ContainsFunc([][]string{{"StreamingTV", "StreamingMovies"}, {"OnlineBackup", "DeviceProtection"}, {"OnlineSecurity", "TechSupport"}},
		func(p []string) bool { return a == p[0] && b == p[1] })
}

// TestProfileFaults: what cannot be profiled is said, and nothing is written.
func TestProfileFaults(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "d.csv", "a\n1\n")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"airport_weather", "--server", "127.0.0.1:1"}, "127.0.0.1:1"},
		{[]string{"none.csv", "--suite", "s.yaml"}, "none.csv"},
		{[]string{"d.csv", "--name", "No Name", "--suite", "s.yaml"}, "is not a name"},
		{[]string{"d.csv", "--types", "b=int64", "--suite", "s.yaml"}, `there is no column "b"`},
		{[]string{"d.csv", "--suite", "none/s.yaml"}, "none/s.yaml"},
	} {
		code, out, errs := weir(append([]string{"profile"}, c.args...)...)
		require.Equal(t, 2, code, out)
		require.Contains(t, errs, c.says)
		require.NoFileExists(t, "s.yaml")
	}
	code, out, errs := weir("profile", "d.csv", "-o", "json")
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, `"expect_column_values_to_be_of_type"`)
}

// TestProposalsHold: whatever a file holds and however it is written, it passes
// the suite and the schema that are proposed from it.
func TestProposalsHold(t *testing.T) {
	dir := t.TempDir()
	for seed := range testseed.Each(t, 30) {
		rng := rand.New(rand.NewPCG(seed, 0))
		rec := randomTable(rng)
		for _, format := range []tabular.Format{tabular.CSV, tabular.JSONLines, tabular.Parquet, tabular.Arrow} {
			data := filepath.Join(dir, "table."+string(format))
			w, err := tabular.Create(data, rec.Schema(), tabular.WriteOptions{})
			require.NoError(t, err)
			require.NoError(t, w.Write(rec))
			require.NoError(t, w.Close())
			suite, schema := proposed(t, data)
			code, out, errs := weir("check", "--suite", suite, "--schema", schema, data, "--fail-on", "info")
			if code != 0 {
				text, _ := os.ReadFile(suite)
				t.Fatalf("seed %d, %s: exit code %d\n%s%s\n%s", seed, format, code, out, errs, text)
			}
		}
	}
}

func randomTable(rng *rand.Rand) arrow.RecordBatch {
	rows := 1 + rng.IntN(200)
	var fields []arrow.Field
	var cols []arrow.Array
	types := []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Timestamp}
	for i := range 1 + rng.IntN(6) {
		typ := types[rng.IntN(len(types))]
		b := array.NewBuilder(memory.DefaultAllocator, typ.Arrow())
		nulls := []float64{0, 0, 0.1, 0.9, 1}[rng.IntN(5)]
		value := randomValues(rng, b, rows)
		for k := range rows {
			if rng.Float64() < nulls {
				b.AppendNull()
			} else {
				value(k)
			}
		}
		fields = append(fields, arrow.Field{Name: []string{"a", "B c", "d.e", "ü", "\"q\": #", "z"}[i], Type: typ.Arrow(), Nullable: true})
		cols = append(cols, b.NewArray())
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(rows))
}

// randomValues is a way to fill a column: constant, few values, rising, anything.
func randomValues(rng *rand.Rand, b array.Builder, rows int) func(row int) {
	few, rising := rng.IntN(3) == 0, rng.IntN(4) == 0
	pick := func(row int) int64 {
		switch {
		case rising:
			return int64(row)
		case few:
			return int64(rng.IntN(4))
		}
		return rng.Int64() >> rng.IntN(63)
	}
	scale := math.Pow(10, float64(rng.IntN(40)-20))
	texts := []func(n int64) string{
		func(n int64) string { return fmt.Sprintf("%04d-%c", uint64(n)%10000, 'A'+byte(uint64(n)%26)) },
		func(n int64) string { return []string{"yes", "no", "", " ", "a,b", "\"", "x\ny", "null"}[uint64(n)%8] },
		func(n int64) string { return fmt.Sprintf("user%d@example.com", n) },
		func(n int64) string { return fmt.Sprintf("2026-%02d-%02d", 1+uint64(n)%12, 1+uint64(n)%28) },
		func(n int64) string { return strings.Repeat("äß☃", int(uint64(n)%7)) },
		func(n int64) string { return fmt.Sprint(n) },
		func(n int64) string { return fmt.Sprintf(`{"n": %d}`, n) },
		func(n int64) string { return []string{"true", "1.5", "12", "007", "nan"}[uint64(n)%5] },
	}
	text := texts[rng.IntN(len(texts))]
	switch b := b.(type) {
	case *array.BooleanBuilder:
		return func(row int) { b.Append(pick(row)&1 == 0) }
	case *array.Int32Builder:
		return func(row int) { b.Append(int32(pick(row))) }
	case *array.Int64Builder:
		return func(row int) { b.Append(pick(row)) }
	case *array.Float32Builder:
		return func(row int) { b.Append(float32(rng.NormFloat64() * scale)) }
	case *array.Float64Builder:
		odd := rng.IntN(5) == 0
		return func(row int) {
			switch {
			case odd && rng.IntN(10) == 0:
				b.Append([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64}[rng.IntN(7)])
			case few:
				b.Append(float64(pick(row)) / 4)
			default:
				b.Append(rng.NormFloat64() * scale)
			}
		}
	case *array.StringBuilder:
		return func(row int) { b.Append(text(pick(row))) }
	case *array.TimestampBuilder:
		return func(row int) { b.Append(arrow.Timestamp(1_700_000_000_000_000 + pick(row)%1_000_000_000_000_000)) }
	}
	panic("no such builder")
}

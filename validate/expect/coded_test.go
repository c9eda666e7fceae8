package expect

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
)

// coded is a batch with its texts as places in a dictionary of them, in an order of its
// own and with some that no row has.
func coded(rnd *rand.Rand, rec arrow.RecordBatch) arrow.RecordBatch {
	fields, cols := slices.Clone(rec.Schema().Fields()), slices.Clone(rec.Columns())
	for i, c := range cols {
		texts, ok := c.(*array.String)
		if !ok || rnd.IntN(5) == 0 {
			continue
		}
		var kinds []string
		for range rnd.IntN(4) * rnd.IntN(100) {
			kinds = append(kinds, string(rune('A'+len(kinds))))
		}
		places := array.NewInt32Builder(memory.DefaultAllocator)
		for k := range texts.Len() {
			if texts.IsNull(k) {
				places.AppendNull()
				continue
			}
			at := slices.Index(kinds, texts.Value(k))
			if at < 0 {
				at, kinds = len(kinds), append(kinds, texts.Value(k))
			}
			places.Append(int32(at))
		}
		dict := array.NewStringBuilder(memory.DefaultAllocator)
		dict.AppendValues(kinds, nil)
		t := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
		fields[i].Type, cols[i] = t, array.NewDictionaryArray(t, places.NewArray(), dict.NewArray())
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, rec.NumRows())
}

// TestCodedTexts: a table is judged alike whether its texts come as they are or as places
// in a dictionary.
func TestCodedTexts(t *testing.T) {
	if raceDetector {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	failures := 0
	for seed := range testseed.Each(t, 150) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		rec := randomRecord(rnd)
		var rules []string
		for range 1 + rnd.IntN(6) {
			rules = append(rules, randomWhole(rnd))
		}
		suite, faults := CompileTable(suiteOf(t, rules...), rec.Schema())
		require.Empty(t, faults)
		judge := func(batches ...arrow.RecordBatch) *Report {
			run := suite.Begin(TableOptions{Complete: true, Temp: t.TempDir()})
			defer run.Close()
			for _, b := range batches {
				require.NoError(t, run.Add(b))
			}
			r, err := run.Finish()
			require.NoError(t, err)
			return r
		}
		half := rec.NumRows() / 2
		a, b := rec.NewSlice(0, half), rec.NewSlice(half, rec.NumRows())
		want := judge(a, b)
		for _, got := range []*Report{judge(coded(rnd, a), coded(rnd, b)), judge(a, coded(rnd, b))} {
			if why := differentReport(want, got); why != "" {
				t.Fatalf("%s\nof %q\n%v", why, rules, rec)
			}
		}
		for _, r := range want.Results {
			if !r.Success && len(r.Examples) > 0 {
				failures++
			}
		}
	}
	require.Positive(t, failures)
}

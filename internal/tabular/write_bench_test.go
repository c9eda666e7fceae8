package tabular

import (
	"io"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// trainingRows are the batches of a training set: a spine's row number, key, time and
// label, then the features of three views, one of eight values of a view null.
func trainingRows(rows, batch int) []arrow.RecordBatch {
	r := rand.New(rand.NewPCG(99, 1))
	fields := []arrow.Field{{Name: "row_id", Type: arrow.PrimitiveTypes.Int64}, {Name: "entity_id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "ts", Type: feature.Timestamp.Arrow()}, {Name: "label", Type: arrow.PrimitiveTypes.Int64}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"} {
		fields = append(fields, arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Float64, Nullable: true})
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	value := []func() float64{
		r.NormFloat64,
		func() float64 { return math.Round((r.ExpFloat64()+r.ExpFloat64())*50*100) / 100 },
		func() float64 { return math.Floor(4 + 2*r.NormFloat64()) },
		r.Float64,
		func() float64 { return math.Round(r.Float64()*1e4) / 1e4 },
	}
	var out []arrow.RecordBatch
	for lo := 0; lo < rows; lo += batch {
		for i := lo; i < min(lo+batch, rows); i++ {
			b.Field(0).(*array.Int64Builder).Append(int64(i))
			b.Field(1).(*array.Int64Builder).Append(r.Int64N(1e6))
			b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(1_750_000_000_000_000 + r.Int64N(90*86_400_000_000)))
			b.Field(3).(*array.Int64Builder).Append(r.Int64N(2))
			for v := range 3 {
				null := r.IntN(8) == 0
				for k := range 5 {
					if f := b.Field(4 + 5*v + k).(*array.Float64Builder); null {
						f.AppendNull()
					} else {
						f.Append(value[k]())
					}
				}
			}
		}
		out = append(out, b.NewRecordBatch())
	}
	return out
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// BenchmarkParquetWrite: a training set of 1M rows and 19 columns as Parquet.
func BenchmarkParquetWrite(b *testing.B) {
	const rows = 1 << 20
	set := trainingRows(rows, 32<<10)
	b.ReportAllocs()
	from := cpuSeconds()
	size := int64(0)
	for b.Loop() {
		out := &countBytes{}
		w, err := NewWriter(out, set[0].Schema(), Parquet)
		require.NoError(b, err)
		for _, rec := range set {
			require.NoError(b, w.Write(rec))
		}
		require.NoError(b, w.Close())
		size = out.n
	}
	b.ReportMetric((cpuSeconds()-from)/float64(b.N), "CPU-s/op")
	b.ReportMetric(float64(size)/rows, "B/row")
}

type countBytes struct{ n int64 }

func (c *countBytes) Write(b []byte) (int, error) { c.n += int64(len(b)); return len(b), nil }

var _ io.Writer = (*countBytes)(nil)

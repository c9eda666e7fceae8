package online

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// BenchmarkCells encodes and decodes the row of the project's benchmarks: ten
// float64 and a string.
func BenchmarkCells(b *testing.B) {
	v := &feature.View{Keys: []feature.Field{{Name: "id", Type: feature.Int64}}}
	want := []want{}
	for i := range 10 {
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("f%d", i), Type: feature.Float64})
	}
	v.Features = append(v.Features, feature.Field{Name: "s", Type: feature.String})
	rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	const rows = 1024
	for r := range rows {
		rb.Field(0).(*array.Int64Builder).Append(int64(r))
		for i := range 10 {
			rb.Field(1 + i).(*array.Float64Builder).Append(float64(r * i))
		}
		rb.Field(11).(*array.StringBuilder).Append("monthly")
	}
	rec := rb.NewRecordBatch()
	s := SchemaOf(v)
	stamp := feature.Stamp{Event: 1_700_000_000_000_000, Known: 1_700_000_002_000_000, Partition: 3, Offset: 123_456_789}
	cols := make([]feature.BlockColumn, len(v.Features))
	for i, f := range v.Features {
		cols[i].Reset(f.Type, rows)
		want = append(want, wantOf(i))
	}
	var w CellWriter
	if err := w.Reset(s, rec, 1); err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			buf = w.Append(buf[:0], i%rows, stamp, false)
		}
		b.ReportMetric(float64(len(buf)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		buf = w.Append(buf[:0], 0, stamp, false)
		p := project(s, v, want)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, cells, err := ReadHeader(buf)
			if err == nil {
				err = p.decode(cells, cols, i%rows)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("reset", func(b *testing.B) {
		for b.Loop() {
			_ = w.Reset(s, rec, 1)
		}
	})
}

func wantOf(i int) want { return want{feature: i, column: i} }

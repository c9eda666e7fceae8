package validate

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// testBatch has a column of every type, a third of its values null, and does not
// start at the beginning of its arrays.
func testBatch(rows int) *feature.Batch {
	rnd := rand.New(rand.NewPCG(3, 4))
	view := &feature.View{Meta: feature.Meta{Name: "v"}, Keys: []feature.Field{{Name: "id", Type: feature.Int64}}}
	for _, n := range feature.TypeNames() {
		t, _ := feature.ParseType(n)
		view.Features = append(view.Features, feature.Field{Name: "x_" + n, Type: t})
	}
	bld := array.NewRecordBuilder(memory.DefaultAllocator, view.Schema())
	for i := range rows + 3 {
		bld.Field(0).(*array.Int64Builder).Append(int64(i))
		for _, f := range bld.Fields()[1:] {
			if rnd.IntN(3) == 0 {
				f.AppendNull()
				continue
			}
			switch f := f.(type) {
			case *array.BooleanBuilder:
				f.Append(rnd.IntN(2) == 0)
			case *array.Int32Builder:
				f.Append(rnd.Int32())
			case *array.Int64Builder:
				f.Append(rnd.Int64())
			case *array.Float32Builder:
				f.Append(rnd.Float32())
			case *array.Float64Builder:
				f.Append(rnd.Float64())
			case *array.StringBuilder:
				f.Append(strings.Repeat("é", rnd.IntN(5)))
			case *array.BinaryBuilder:
				f.Append([]byte{byte(i), 0, 255}[:rnd.IntN(4)])
			case *array.TimestampBuilder:
				f.Append(arrow.Timestamp(rnd.Int64N(1e15)))
			}
		}
	}
	b := &feature.Batch{View: view, Rows: bld.NewRecordBatch().NewSlice(3, int64(rows+3)), Origin: feature.Origin{Topic: "t", First: 10, Next: int64(10 + 2*rows)}}
	for i := range rows {
		b.Offsets = append(b.Offsets, int64(10+2*i))
		b.EventTime = append(b.EventTime, int64(i))
		b.KnownTime = append(b.KnownTime, int64(-i))
	}
	return b
}

// rejecting is a verdict against the named rows.
func rejecting(rows int, out ...int) *Verdict {
	v := &Verdict{}
	v.Reset(rows, []Rule{{Type: "count", Severity: feature.Info}, {Type: "reject", Severity: feature.Critical, Mostly: 1, Rejects: true}})
	for _, i := range out {
		v.Failures(1).Set(i)
	}
	if rows > 0 {
		v.Failures(0).Set(0)
	}
	v.Close(func(rule, row int) feature.Reason { return feature.Reason{Rule: v.Rules()[rule].Type} })
	return v
}

// TestFilterIsInvisible: a batch without rejected rows is passed on as it is,
// and copying all its rows instead would have given the same.
func TestFilterIsInvisible(t *testing.T) {
	b := testBatch(300)
	if got := Filter(b, rejecting(b.Len())); got != b {
		t.Error("a batch with nothing rejected was copied")
	}
	all := make([]int, b.Len())
	for i := range all {
		all[i] = i
	}
	same(t, gather(b, all), b, all)
}

func TestFilter(t *testing.T) {
	for _, tombstones := range []bool{false, true} {
		b := testBatch(300)
		if tombstones {
			b.Tombstone = make([]bool, b.Len())
			b.Tombstone[7], b.Tombstone[8] = true, true
		}
		for _, out := range [][]int{{0}, {299}, {0, 7, 64, 65, 128, 299}, {7, 8}} {
			v := rejecting(b.Len(), out...)
			got := Filter(b, v)
			if got == b || got.Len() != b.Len()-len(out) {
				t.Fatalf("%d rows left of %d without %v", got.Len(), b.Len(), out)
			}
			same(t, got, b, slices.Clone(v.Keep()))
		}
		none := make([]int, b.Len())
		for i := range none {
			none[i] = i
		}
		if got := Filter(b, rejecting(b.Len(), none...)); got.Len() != 0 || got.Rows.NumRows() != 0 || got.Origin != b.Origin {
			t.Error("all rejected, and something is left or the origin is lost")
		}
	}
}

// same checks that got has rows keep of b.
func same(t *testing.T, got, b *feature.Batch, keep []int) {
	t.Helper()
	if got.View != b.View || got.Origin != b.Origin || !got.Rows.Schema().Equal(b.Rows.Schema()) || (got.Tombstone == nil) != (b.Tombstone == nil) {
		t.Fatal("view, origin, schema or tombstones differ")
	}
	for i, k := range keep {
		if got.Stamp(i) != b.Stamp(k) || got.Deleted(i) != b.Deleted(k) {
			t.Fatalf("row %d has the stamp %+v, want %+v", i, got.Stamp(i), b.Stamp(k))
		}
		for c := range b.Rows.Columns() {
			if !array.SliceEqual(got.Rows.Column(c), int64(i), int64(i+1), b.Rows.Column(c), int64(k), int64(k+1)) {
				t.Fatalf("row %d column %d differs", i, c)
			}
		}
	}
}

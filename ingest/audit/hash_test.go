package audit_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmem "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest/audit"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

func sum(v *feature.View, bs ...*feature.Batch) (s uint64) {
	for _, b := range bs {
		for _, h := range audit.RowHashes(v, b) {
			s += h
		}
	}
	return s
}

// TestHashes: a row has one hash, wherever batches begin and end and however the
// rows are ordered, also after it has been written to a file and read back; and
// whatever is changed about it gives another.
func TestHashes(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	v := offlinetest.View("stats")
	g := &offlinetest.Gen{R: r, View: v}
	b := g.Batch(2, 100, 3000, true)
	want := sum(v, b)
	hashes := map[uint64]bool{}
	for _, h := range audit.RowHashes(v, b) {
		hashes[h] = true
	}
	require.Len(t, hashes, b.Len())

	// Cut up.
	var parts []*feature.Batch
	for lo := 0; lo < b.Len(); {
		hi := min(b.Len(), lo+1+r.IntN(200))
		p := *b
		p.Rows = b.Rows.NewSlice(int64(lo), int64(hi))
		p.Offsets, p.EventTime, p.KnownTime, p.Tombstone = b.Offsets[lo:hi], b.EventTime[lo:hi], b.KnownTime[lo:hi], b.Tombstone[lo:hi]
		parts = append(parts, &p)
		lo = hi
	}
	r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	require.Equal(t, want, sum(v, parts...))

	// In a table and back.
	tb, err := memory.Open().Table(t.Context(), v)
	require.NoError(t, err)
	w := offlinetest.NewWriter(t, tb)
	c := &feature.Commit{ID: "c", View: v, Advances: []feature.Advance{{To: offlinetest.At(2, b.Origin.Next, "c")}}}
	require.NoError(t, offlinetest.Flush(t.Context(), w, c, b))
	var read []*feature.Batch
	require.NoError(t, offline.Scan(context.Background(), tb, offline.ScanOptions{}, func(b *feature.Batch) error {
		b.Rows.Retain()
		read = append(read, b)
		return nil
	}))
	require.Greater(t, len(read), 1)
	require.Equal(t, want, sum(v, read...))

	// Changed in one place.
	i := r.IntN(b.Len())
	for b.Deleted(i) || b.Rows.Column(1).ValueStr(i) == "0" { // its empty value is to be another one
		i = r.IntN(b.Len())
	}
	differs := func(what string, change func(b *feature.Batch)) {
		o := *b
		o.Offsets, o.EventTime = append([]int64{}, b.Offsets...), append([]int64{}, b.EventTime...)
		o.KnownTime, o.Tombstone = append([]int64{}, b.KnownTime...), append([]bool{}, b.Tombstone...)
		change(&o)
		require.NotEqual(t, want, sum(v, &o), what)
	}
	differs("offset", func(b *feature.Batch) { b.Offsets[i]++ })
	differs("event time", func(b *feature.Batch) { b.EventTime[i]++ })
	differs("known time", func(b *feature.Batch) { b.KnownTime[i]++ })
	differs("tombstone", func(b *feature.Batch) { b.Tombstone[i] = true })
	differs("partition", func(b *feature.Batch) { b.Origin.Partition++ })
	differs("topic", func(b *feature.Batch) { b.Origin.TopicID[3]++ })
	for n, f := range v.Columns() {
		differs(f.Name, func(o *feature.Batch) {
			cols := append([]array.Builder{}, array.NewRecordBuilder(arrowmem.DefaultAllocator, v.Schema()).Fields()...)
			arrs := o.Rows.Columns()
			for k := range o.Len() {
				switch col := arrs[n]; {
				case k != i && col.IsNull(k):
					cols[n].AppendNull()
				case k != i:
					require.NoError(t, cols[n].AppendValueFromString(col.ValueStr(k)))
				case !col.IsNull(k) && n >= len(v.Keys):
					cols[n].AppendNull()
				default:
					cols[n].AppendEmptyValue()
				}
			}
			changed := append(arrs[:n:n], append([]arrow.Array{cols[n].NewArray()}, arrs[n+1:]...)...)
			o.Rows = array.NewRecordBatch(v.Schema(), changed, int64(o.Len()))
		})
	}
}

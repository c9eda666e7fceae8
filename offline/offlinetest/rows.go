// Package offlinetest is the suite that every offline.Store must pass, and the
// tools it is made of: views, random batches, and a reader of data files that
// shares no code with the writer.
//
// Read Store first.
package offlinetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// View is a resolved view with a composite key and a feature of every type, of
// arrays some, and more if asked.
func View(name string, more ...feature.Field) *feature.View {
	v := &feature.View{Meta: feature.Meta{Project: "shop", Name: name}, Source: "events", Entities: []string{"customer", "shop"}, Version: 1}
	v.Keys = []feature.Field{{Name: "customer_id", Type: feature.String}, {Name: "shop_id", Type: feature.Int64}}
	for _, t := range []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Bytes, feature.Timestamp} {
		v.Features = append(v.Features, feature.Field{Name: "f_" + t.String(), Type: t})
	}
	for _, t := range []feature.Type{feature.Int64, feature.Float32, feature.String} {
		v.Features = append(v.Features, feature.Field{Name: "f_" + t.String() + "s", Type: feature.Array(t)})
	}
	v.Features = append(v.Features, more...)
	return v
}

// TopicID is the id that generated batches carry.
var TopicID = [16]byte{0xca, 0xfe, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}

// Base is the time that generated rows lie around: 2024-03-10T00:00:00Z.
const Base int64 = 1710028800_000000

// Gen makes random batches.
type Gen struct {
	R    *rand.Rand
	View *feature.View
	Keys int // how many different customers; 20 when 0
	Days int // how far back event times reach; 3 when 0
}

// Batch makes n rows of a partition from offset first on; gaps leave offsets out.
func (g *Gen) Batch(partition int32, first int64, n int, gaps bool) *feature.Batch {
	b := &feature.Batch{View: g.View, Origin: feature.Origin{Topic: "events", TopicID: TopicID, Partition: partition, First: first}}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, g.View.Schema())
	defer rb.Release()
	at := first
	for range n {
		if gaps {
			at += g.R.Int64N(3)
		}
		b.Offsets = append(b.Offsets, at)
		at++
		ev := Base - g.R.Int64N(int64(or(g.Days, 3))*offline.Day)
		kn := ev + g.R.Int64N(3600_000000) - 60_000000
		dead := g.R.IntN(20) == 0
		if dead {
			kn = ev
			if b.Tombstone == nil {
				b.Tombstone = make([]bool, len(b.EventTime), n)
			}
		}
		if b.Tombstone != nil {
			b.Tombstone = append(b.Tombstone, dead)
		}
		b.EventTime, b.KnownTime = append(b.EventTime, ev), append(b.KnownTime, kn)
		for ci, c := range g.View.Columns() {
			f := rb.Field(ci)
			if ci >= len(g.View.Keys) && (dead || g.R.IntN(6) == 0) {
				f.AppendNull()
				continue
			}
			g.value(f, c, ci < len(g.View.Keys))
		}
	}
	b.Origin.Next = at
	b.Rows = rb.NewRecordBatch()
	return b
}

func (g *Gen) value(f array.Builder, c feature.Field, key bool) {
	k := g.R.IntN(or(g.Keys, 20))
	switch f := f.(type) {
	case *array.BooleanBuilder:
		f.Append(g.R.IntN(2) == 0)
	case *array.Int32Builder:
		f.Append(int32(k))
	case *array.Int64Builder:
		if key {
			f.Append(int64(k%3) - 1)
		} else {
			f.Append(g.R.Int64() - g.R.Int64())
		}
	case *array.Float32Builder:
		f.Append(g.R.Float32())
	case *array.Float64Builder:
		f.Append([]float64{g.R.NormFloat64(), math.NaN(), math.Inf(1), math.Copysign(0, -1)}[min(g.R.IntN(40), 3)%4])
	case *array.StringBuilder:
		if key {
			f.Append(fmt.Sprintf("customer-%05d", k))
		} else {
			f.Append([]string{"", "monthly", "two years", strings.Repeat("é", 20)}[g.R.IntN(4)])
		}
	case *array.BinaryBuilder:
		if c.Type.IsArray() {
			f.Append(g.array(c.Type, k))
		} else {
			f.Append([]byte{0, byte(k), 0xff})
		}
	case *array.TimestampBuilder:
		f.Append(arrow.Timestamp(Base + int64(k)))
	default:
		panic("offlinetest: no value for " + c.Type.String())
	}
}

// array is an array in its packed form: often short, at times empty, now and then long.
func (g *Gen) array(t feature.Type, k int) []byte {
	var v feature.Vector
	v.Reset(t.Elem(), 1)
	out := []byte{}
	for i := range []int{0, 1, 2, 3, k % 30}[g.R.IntN(5)] {
		switch v.Type {
		case feature.Bool:
			v.Bools[0] = (k+i)%2 == 0
		case feature.Int32:
			v.Int32s[0] = int32(k - i)
		case feature.Int64, feature.Timestamp:
			v.Int64s[0] = int64(k) << (i % 60)
		case feature.Float32:
			v.Float32[0] = g.R.Float32()
		case feature.Float64:
			v.Float64[0] = g.R.NormFloat64()
		default:
			v.Bytes[0] = []byte([]string{"", "monthly", fmt.Sprint("tag ", k)}[i%3])
		}
		out = feature.AppendElement(out, &v, 0)
	}
	return out
}

func or(n, d int) int {
	if n == 0 {
		return d
	}
	return n
}

// Lines prints the rows of a batch, one text a row, all columns by name.
func Lines(b *feature.Batch) []string {
	out := make([]string, b.Len())
	for i := range out {
		var cells []string
		for ci, c := range b.View.Columns() {
			cells = append(cells, c.Name+"="+cell(b.Rows.Column(ci), i))
		}
		s := b.Stamp(i)
		out[i] = strings.Join(append(cells, fmt.Sprintf("%s=%d", offline.ColEffective, s.Effective()),
			fmt.Sprintf("%s=%d", offline.ColEvent, s.Event), fmt.Sprintf("%s=%d", offline.ColKnown, s.Known),
			fmt.Sprintf("%s=%x", offline.ColTopicID, b.Origin.TopicID), fmt.Sprintf("%s=%d", offline.ColPartition, s.Partition),
			fmt.Sprintf("%s=%d", offline.ColOffset, s.Offset), fmt.Sprintf("%s=%t", offline.ColTombstone, b.Deleted(i))), " ")
	}
	return out
}

func cell(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.Timestamp:
		return fmt.Sprint(int64(a.Value(i)))
	case *array.Binary:
		return fmt.Sprintf("%x", a.Value(i))
	case *array.FixedSizeBinary:
		return fmt.Sprintf("%x", a.Value(i))
	case *array.Float64:
		return fmt.Sprint(a.Value(i))
	case *array.Float32:
		return fmt.Sprint(a.Value(i))
	}
	return a.ValueStr(i)
}

// Read prints all rows of a state in the same way, through arrow's Parquet
// reader, columns found by field id; absent columns are null. It also checks
// what the state claims of its files: rows, bounds, day, order.
func Read(t testing.TB, tb offline.Table, st *offline.State) []string {
	t.Helper()
	var out []string
	var rows int64
	for _, f := range st.Files {
		rows += f.Rows
		out = append(out, readFile(t, tb, f)...)
	}
	require.Equal(t, st.Rows, rows, "the state's row count")
	require.Len(t, out, int(rows))
	return out
}

func readFile(t testing.TB, tb offline.Table, f offline.File) []string {
	t.Helper()
	r, err := tb.Open(context.Background(), f.Path)
	require.NoError(t, err)
	defer r.Close()
	require.Equal(t, f.Bytes, r.Size(), "size of %s", f.Path)
	pf, err := file.NewParquetReader(io.NewSectionReader(r, 0, r.Size()))
	require.NoError(t, err)
	defer pf.Close()
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	require.NoError(t, err)
	tab, err := fr.ReadTable(context.Background())
	require.NoError(t, err)
	defer tab.Release()
	byID := map[int]arrow.Array{}
	for i := range int(tab.NumCols()) {
		id := int(pf.MetaData().Schema.Root().Field(i).FieldID())
		require.Positive(t, id, "every column of a data file has a field id")
		a, err := array.Concatenate(tab.Column(i).Data().Chunks(), memory.DefaultAllocator)
		require.NoError(t, err)
		byID[id] = a
	}
	for _, c := range tb.Columns() {
		if lists, ok := byID[c.ID].(array.ListLike); ok {
			packed, err := feature.FromLists(c.Type, lists)
			require.NoError(t, err)
			byID[c.ID] = packed
		}
	}
	n := int(tab.NumRows())
	require.Equal(t, f.Rows, int64(n))
	cols := tb.Columns()
	at := func(name string, i int) int64 {
		c := cols[slices.IndexFunc(cols, func(c offline.Column) bool { return c.Name == name })]
		switch a := byID[c.ID].(type) {
		case *array.Timestamp:
			return int64(a.Value(i))
		case *array.Int64:
			return a.Value(i)
		case *array.Int32:
			return int64(a.Value(i))
		}
		t.Fatalf("column %s of %s is %T", name, f.Path, byID[c.ID])
		return 0
	}
	var keys []arrow.Array
	for _, c := range cols[:len(tb.View().Keys)] {
		keys = append(keys, byID[c.ID])
	}
	out := make([]string, n)
	var lastKey []byte
	var last feature.Stamp
	for i := range n {
		var cells []string
		for _, c := range cols {
			v := "null"
			if a := byID[c.ID]; a != nil {
				v = cell(a, i)
			}
			cells = append(cells, c.Name+"="+v)
		}
		out[i] = strings.Join(cells, " ")
		s := feature.Stamp{Event: at(offline.ColEvent, i), Known: at(offline.ColKnown, i),
			Partition: int32(at(offline.ColPartition, i)), Offset: at(offline.ColOffset, i)}
		eff := at(offline.ColEffective, i)
		require.Equal(t, s.Effective(), eff)
		require.Equal(t, offline.DayOf(f.MinEffective), offline.DayOf(eff), "one day a file")
		for _, in := range [][3]int64{{f.MinEffective, eff, f.MaxEffective}, {f.MinEvent, s.Event, f.MaxEvent},
			{f.MinKnown, s.Known, f.MaxKnown}, {f.MinOffset, s.Offset, f.MaxOffset}} {
			require.True(t, in[0] <= in[1] && in[1] <= in[2], "bounds of %s: %v", f.Path, in)
		}
		k := feature.AppendKey(nil, keys, i)
		if i > 0 && f.Sorted {
			c := bytes.Compare(lastKey, k)
			require.True(t, c < 0 || c == 0 && last.Compare(s) < 0, "order of %s at row %d", f.Path, i)
		}
		lastKey, last = k, s
	}
	return out
}

// SameRows compares two sets of printed rows, order aside.
func SameRows(t testing.TB, want, got []string) {
	t.Helper()
	want, got = slices.Clone(want), slices.Clone(got)
	slices.Sort(want)
	slices.Sort(got)
	for i := range min(len(want), len(got)) {
		require.Equal(t, want[i], got[i], "row %d of %d wanted, %d there", i, len(want), len(got))
	}
	require.Len(t, got, len(want))
}

// field cuts the value of a column out of a printed row.
func field(line, name string) string {
	_, rest, _ := strings.Cut(" "+line, " "+name+"=")
	v, _, _ := strings.Cut(rest, " ")
	return v
}

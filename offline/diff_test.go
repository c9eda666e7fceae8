package offline_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	memtable "github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// twoTables is a table whose snapshots 1 and 2 are the newest states of two others.
type twoTables struct {
	offline.Table // the first
	second        offline.Table
}

const fromSecond = "second:"

func (t twoTables) Load(ctx context.Context, v offline.Version) (*offline.State, error) {
	of := t.Table
	if v.Snapshot == 2 {
		of = t.second
	}
	st, err := of.Load(ctx, offline.Version{})
	if err != nil {
		return nil, err
	}
	out := *st
	out.Snapshot, out.Files = v.Snapshot, slices.Clone(st.Files)
	for i := range out.Files {
		if v.Snapshot == 2 {
			out.Files[i].Path = fromSecond + out.Files[i].Path
		}
	}
	return &out, nil
}

func (t twoTables) PositionsAt(ctx context.Context, snapshot int64) ([]feature.Position, error) {
	st, err := t.Load(ctx, offline.Version{Snapshot: snapshot})
	if err != nil {
		return nil, err
	}
	return st.Positions, nil
}

func (t twoTables) Open(ctx context.Context, path string) (offline.FileReader, error) {
	if of, ok := strings.CutPrefix(path, fromSecond); ok {
		return t.second.Open(ctx, of)
	}
	return t.Table.Open(ctx, path)
}

// put makes a table of batches, a commit each.
func put(t *testing.T, v *feature.View, batches []*feature.Batch) offline.Table {
	t.Helper()
	tb, err := memtable.Open().Table(t.Context(), v)
	require.NoError(t, err)
	w := offlinetest.NewWriter(t, tb)
	at := map[int32]feature.Position{}
	for i, b := range batches {
		p := b.Origin.Partition
		c := &feature.Commit{ID: fmt.Sprint("c", i), View: v, Advances: []feature.Advance{{From: at[p], To: offlinetest.At(p, b.Origin.Next, fmt.Sprint("c", i))}}}
		at[p] = c.Advances[0].To
		require.NoError(t, offlinetest.Flush(t.Context(), w, c, b))
	}
	return tb
}

// changed is b with rows left out and values of f_int32 and f_string replaced.
func changed(r *rand.Rand, b *feature.Batch) *feature.Batch {
	out := &feature.Batch{View: b.View, Origin: b.Origin}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, b.View.Schema())
	defer rb.Release()
	for i := range b.Offsets {
		if r.IntN(10) == 0 {
			continue
		}
		out.Offsets, out.EventTime, out.KnownTime = append(out.Offsets, b.Offsets[i]), append(out.EventTime, b.EventTime[i]), append(out.KnownTime, b.KnownTime[i])
		out.Tombstone = append(out.Tombstone, b.Deleted(i))
		n, text := r.IntN(4) == 0, r.IntN(4) == 0
		for c, f := range b.View.Columns() {
			switch {
			case n && f.Name == "f_int32":
				rb.Field(c).(*array.Int32Builder).Append(int32(r.IntN(5)))
			case text && f.Name == "f_string":
				rb.Field(c).AppendNull()
			default:
				copyValue(rb.Field(c), b.Rows.Column(c), i)
			}
		}
	}
	out.Rows = rb.NewRecordBatch()
	return out
}

func copyValue(to array.Builder, from arrow.Array, i int) {
	if from.IsNull(i) {
		to.AppendNull()
		return
	}
	switch to := to.(type) {
	case *array.BooleanBuilder:
		to.Append(from.(*array.Boolean).Value(i))
	case *array.Int32Builder:
		to.Append(from.(*array.Int32).Value(i))
	case *array.Int64Builder:
		to.Append(from.(*array.Int64).Value(i))
	case *array.Float32Builder:
		to.Append(from.(*array.Float32).Value(i))
	case *array.Float64Builder:
		to.Append(from.(*array.Float64).Value(i))
	case *array.StringBuilder:
		to.Append(from.(*array.String).Value(i))
	case *array.BinaryBuilder:
		to.Append(from.(*array.Binary).Value(i))
	case *array.TimestampBuilder:
		to.Append(from.(*array.Timestamp).Value(i))
	}
}

// TestDiff compares versions with plain maps of their rows, in one pass and in many.
func TestDiff(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 9))
	v := offlinetest.View("stats")
	g := &offlinetest.Gen{R: r, View: v}
	var before, after []*feature.Batch
	next := map[int32]int64{}
	for range 12 {
		p := r.Int32N(3)
		b := g.Batch(p, next[p], 1+r.IntN(400), true)
		next[p] = b.Origin.Next
		before = append(before, b)
		if a := changed(r, b); a.Len() > 0 {
			after = append(after, a)
		}
	}
	more := g.Batch(1, next[1], 100, true)
	after = append(after, more)
	tb := twoTables{put(t, v, before), put(t, v, after)}

	lines := func(bs []*feature.Batch) map[string]string {
		out := map[string]string{}
		for _, b := range bs {
			for i, l := range offlinetest.Lines(b) {
				out[fmt.Sprintf("%d@%d", b.Origin.Partition, b.Offsets[i])] = l
			}
		}
		return out
	}
	old, now := lines(before), lines(after)
	var added, removed, different int64
	for at, l := range now {
		if was, ok := old[at]; !ok {
			added++
		} else if was != l {
			different++
		}
	}
	for at := range old {
		if _, ok := now[at]; !ok {
			removed++
		}
	}
	require.EqualValues(t, 100, added)
	for _, most := range []int{0, 300} {
		o := offline.DiffOptions{From: offline.Version{Snapshot: 1}, To: offline.Version{Snapshot: 2}, Examples: 1 << 20}
		d, err := offline.DiffIn(t.Context(), tb, o, most)
		require.NoError(t, err)
		require.Equal(t, []int64{added, removed, different}, []int64{d.Added, d.Removed, d.Changed}, "seed %d", seed)
		require.ElementsMatch(t, []string{"f_int32", "f_string"}, slices.Collect(maps.Keys(d.Columns)))
		require.Len(t, d.Rows, int(added+removed+different))
		for _, row := range d.Rows {
			at := fmt.Sprintf("%d@%d", row.Partition, row.Offset)
			require.Equal(t, "events", row.Topic)
			was, is := old[at], now[at]
			switch row.Kind {
			case offline.DiffAdded:
				require.Empty(t, was)
				require.NotEmpty(t, is)
				require.Nil(t, row.Before)
				require.Len(t, row.After, len(row.Columns))
				if k := slices.Index(row.Columns, "f_int64s"); row.After[k] == "null" {
					require.Contains(t, is, " f_int64s=null ")
				} else { // as a list
					var longs []int64
					require.NoError(t, json.Unmarshal([]byte(row.After[k]), &longs))
					packed := []byte{}
					for _, x := range longs {
						packed = binary.LittleEndian.AppendUint64(packed, uint64(x))
					}
					require.Contains(t, is, fmt.Sprintf(" f_int64s=%x ", packed))
				}
			case offline.DiffRemoved:
				require.NotEmpty(t, was)
				require.Empty(t, is)
				require.Nil(t, row.After)
				require.Len(t, row.Before, len(row.Columns))
			default:
				require.NotEqual(t, was, is)
				require.Equal(t, offline.DiffChanged, row.Kind)
				for k, c := range row.Columns {
					require.NotEqual(t, row.Before[k], row.After[k])
					if c == "f_int32" {
						require.Contains(t, was, " f_int32="+row.Before[k]+" ")
						require.Contains(t, is, " f_int32="+row.After[k]+" ")
					} else {
						require.Equal(t, "null", row.After[k])
					}
				}
			}
		}
		require.Len(t, d.Moved, 1)
		require.Equal(t, []int64{next[1], more.Origin.Next}, []int64{d.Moved[0].From, d.Moved[0].Next})
	}

	d, err := offline.Diff(t.Context(), tb, offline.DiffOptions{From: offline.Version{Snapshot: 1}, To: offline.Version{Snapshot: 1}})
	require.NoError(t, err)
	require.Zero(t, d.Files+len(d.Rows))
	require.Zero(t, d.Added+d.Removed+d.Changed)
}

// TestDiffOfColumnsAndImports: a view that changed between two versions, and imports,
// of which a version of the past does not tell all.
func TestDiffOfColumnsAndImports(t *testing.T) {
	dir := t.TempDir()
	ice, err := iceberg.Open(t.Context(), "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "warehouse"), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer ice.Close()
	for name, s := range map[string]offline.Store{"memory": memtable.Open(), "iceberg": ice} {
		t.Run(name, func(t *testing.T) {
			v := offlinetest.View("moods")
			tb, err := s.Table(t.Context(), v)
			require.NoError(t, err)
			g := &offlinetest.Gen{R: rand.New(rand.NewPCG(3, 4)), View: v}
			flush := func(tb offline.Table, topic byte, name string, n int) {
				b := g.Batch(feature.ImportPartition, 0, n, false)
				b.Origin.TopicID, b.Origin.Topic = [16]byte{topic}, "file:"+name
				to := feature.Position{Topic: b.Origin.Topic, TopicID: b.Origin.TopicID, Partition: feature.ImportPartition, Next: b.Origin.Next, Started: 1}
				require.NoError(t, offlinetest.Flush(t.Context(), offlinetest.NewWriter(t, tb), offlinetest.Move(tb.View(), name, feature.Position{}, to), b))
			}
			flush(tb, 1, "a", 5)
			flush(tb, 2, "b", 5)
			st, err := tb.Load(t.Context(), offline.Version{})
			require.NoError(t, err)
			tagged := offline.Version{Snapshot: st.Snapshot}
			diff := func(tb offline.Table) *offline.Difference {
				d, err := offline.Diff(t.Context(), tb, offline.DiffOptions{From: tagged})
				require.NoError(t, err)
				return d
			}
			require.Empty(t, diff(tb).Moved, "the same state, whose last commit moved one import only")
			require.Empty(t, diff(tb).Schema)

			next := *v
			next.Version, next.Features = 2, slices.Clone(v.Features)
			i := next.Feature("f_float32")
			next.Features[i] = feature.Field{Name: "f_wide", Type: feature.Float64, Path: "f_float32", Column: "f_float32"}
			next.Features = append(next.Features, feature.Field{Name: "f_new", Type: feature.String})
			tb, err = s.Table(t.Context(), &next)
			require.NoError(t, err)
			g.View = &next
			flush(tb, 3, "c", 5)
			d := diff(tb)
			require.Len(t, d.Moved, 1)
			require.Equal(t, "file:c", d.Moved[0].Topic)
			var got []string
			for _, c := range d.Schema {
				text := c.Kind
				for _, x := range []*offline.Column{c.Was, c.Is} {
					if x != nil {
						text += fmt.Sprintf(" %s:%s", x.Name, x.Type)
					}
				}
				got = append(got, text)
			}
			require.ElementsMatch(t, []string{"changed f_float32:float32 f_wide:float64", "added f_new:string"}, got)
			require.EqualValues(t, 5, d.Added)
		})
	}
}

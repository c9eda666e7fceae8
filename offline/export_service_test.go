package offline_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/jointest"
	memstore "github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/registry/feature"
)

// exported is what an export gave, a line of cells for each row.
func exported(t *testing.T, b *jointest.Built, change func(*offline.ExportRequest)) (rows [][]any, schema *arrow.Schema, err error) {
	t.Helper()
	req := offline.ExportRequest{Service: b.Service, Tables: b.Tables, Memory: b.World.Way.Memory, Workers: b.World.Way.Workers,
		Begin: func(s *arrow.Schema) error { schema = s; return nil }}
	change(&req)
	res, err := offline.Export(t.Context(), req, func(rec arrow.RecordBatch) error {
		require.True(t, rec.Schema().Equal(schema))
		for i := range int(rec.NumRows()) {
			row := make([]any, rec.NumCols())
			for c := range row {
				row[c] = cellAny(rec.Column(c), i)
			}
			rows = append(rows, row)
		}
		return nil
	})
	if err == nil {
		require.EqualValues(t, len(rows), res.Rows)
	}
	return rows, schema, err
}

// living are the entities that a naive reading of the facts finds at a moment, in
// the order of their keys' bytes; ok is false when no view has all keys.
func living(w *jointest.World, at int64) (out []jointest.Row, keys []feature.Field, ok bool) {
	for _, v := range w.Views {
		if len(v.Keys) > len(keys) {
			keys = v.Keys
		}
	}
	has := func(v *jointest.View, k string) int {
		return slices.IndexFunc(v.Keys, func(x feature.Field) bool { return x.Name == k })
	}
	found := map[string]jointest.Row{}
	for i := range w.Views {
		v := &w.Views[i]
		for _, k := range v.Keys {
			if !slices.ContainsFunc(keys, func(x feature.Field) bool { return x.Name == k.Name }) {
				return nil, nil, false
			}
		}
		if len(v.Keys) < len(keys) {
			continue
		}
		last := map[string]*jointest.Fact{}
		for fi := range v.Facts {
			f := &v.Facts[fi]
			if f.Known > at {
				continue
			}
			row := jointest.Row{Keys: map[string]any{}, Time: at}
			var values []any
			for _, k := range keys {
				x := f.Keys[has(v, k.Name)]
				row.Keys[k.Name] = x
				values = append(values, x)
			}
			id := string(keyBytes(values))
			if l := last[id]; l != nil && l.Stamp().Compare(f.Stamp()) > 0 {
				continue
			}
			last[id] = f
			if _, there := found[id]; !there {
				row.Note = false
				found[id] = row
			}
		}
		for id, f := range last {
			if !f.Dead {
				row := found[id]
				row.Note = true
				found[id] = row
			}
		}
	}
	ids := make([]string, 0, len(found))
	for id, row := range found {
		if row.Note == true {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		row := found[id]
		row.Note = nil
		out = append(out, row)
	}
	return out, keys, true
}

// An export has a row for each living entity, with what a naive search finds for
// it at that moment, whatever the tables' layout and however many parts.
func TestExportAgainstOracle(t *testing.T) {
	seed := testseed.For(t)
	refused, empty, compared := 0, 0, 0
	for n := range offline.Fewer(120) {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		w := jointest.Random(r, jointest.Usual())
		w.Clock = feature.KnownClock
		if r.IntN(2) == 0 { // more often than by chance, views that have their keys in common
			for i := range w.Views[1:] {
				for _, f := range w.Views[0].Facts[:min(len(w.Views[0].Facts), 40)] {
					if len(w.Views[1+i].Keys) == 1 && w.Views[0].Keys[0].Name == w.Views[1+i].Keys[0].Name && len(w.Views[0].Keys) == 1 && len(w.Views[1+i].Facts) > 0 {
						w.Views[1+i].Facts[r.IntN(len(w.Views[1+i].Facts))].Keys = f.Keys
					}
				}
			}
		}
		var times []int64
		for _, v := range w.Views {
			for _, f := range v.Facts {
				times = append(times, f.Known, f.Known-1, f.Event, f.Known+v.TTL, f.Known+v.TTL+1)
			}
		}
		if len(times) == 0 {
			times = []int64{5}
		}
		b, err := w.Build(t.Context(), memstore.Open(), nil)
		require.NoError(t, err)
		for range 3 {
			at := min(max(times[r.IntN(len(times))], feature.MinTime), feature.MaxTime)
			if at == 0 {
				continue // which is none
			}
			want, keys, ok := living(w, at)
			most := []int{1 << 20, 1, 7}[r.IntN(3)]
			got, schema, err := exported(t, b, func(o *offline.ExportRequest) { o.At = at; offline.ExportIn(o, most) })
			if !ok {
				require.Equal(t, feature.Invalid, feature.KindOf(err), "%v", err)
				require.ErrorContains(t, err, "entities")
				refused++
				continue
			}
			require.NoError(t, err, "case %d: %s", n, w)
			if len(want) == 0 {
				empty++
			}
			require.Equal(t, offline.DefaultTimeColumn, schema.Field(len(keys)).Name)
			var lines [][]any
			for _, row := range want {
				var line []any
				for _, k := range keys {
					line = append(line, row.Keys[k.Name])
				}
				lines = append(lines, append(append(line, at), w.Answer(row)...))
			}
			require.True(t, slices.EqualFunc(lines, got, func(a, b []any) bool { return slices.EqualFunc(a, b, jointest.Same) }),
				"case %d at %d:\nwant %v\ngot  %v\n%s", n, at, lines, got, w)
			compared += len(got)
		}
		b.Close()
	}
	t.Logf("%d rows compared, %d exports without rows, %d refused", compared, empty, refused)
	require.Positive(t, refused)
	least := 1000
	if offline.RaceOn {
		least = 50
	}
	require.Greater(t, compared, least)
}

// The entities of a file are exported as they stand there, all as of one moment.
func TestExportOfGivenEntities(t *testing.T) {
	w := &jointest.World{Clock: feature.KnownClock, Views: []jointest.View{
		{Name: "a", Keys: []feature.Field{field("id", feature.Int64)}, Features: []jointest.Feature{{Name: "x", Type: feature.Int64}},
			Facts: []jointest.Fact{{Keys: []any{int64(1)}, Event: 10, Known: 10, Values: []any{int64(100)}}, {Keys: []any{int64(1)}, Event: 20, Known: 20, Offset: 1, Values: []any{int64(200)}}}},
		{Name: "b", Keys: []feature.Field{field("shop", feature.Int64)}, Features: []jointest.Feature{{Name: "y", Type: feature.Int64}},
			Facts: []jointest.Fact{{Keys: []any{int64(7)}, Event: 5, Known: 5, Values: []any{int64(70)}}}},
	}}
	b, err := w.Build(t.Context(), memstore.Open(), nil)
	require.NoError(t, err)
	defer b.Close()
	give := func(names ...string) *batches {
		var fields []arrow.Field
		for _, n := range names {
			fields = append(fields, arrow.Field{Name: n, Type: arrow.PrimitiveTypes.Int64, Nullable: true})
		}
		schema := arrow.NewSchema(fields, nil)
		rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for _, row := range [][]any{{int64(1), int64(7), int64(41)}, {int64(9), int64(7), int64(42)}, {nil, int64(8), int64(43)}} {
			for c := range names {
				jointest.AppendValue(rb.Field(c), row[c])
			}
		}
		return &batches{schema: schema, recs: []arrow.RecordBatch{rb.NewRecordBatch()}}
	}
	got, _, err := exported(t, b, func(o *offline.ExportRequest) {
		o.At, o.Entities, o.TimeColumn = 15, give("id", "shop", "note"), "asked"
	})
	require.NoError(t, err)
	require.Equal(t, [][]any{
		{int64(1), int64(7), int64(41), int64(15), int64(100), int64(70)},
		{int64(9), int64(7), int64(42), int64(15), nil, int64(70)},
		{nil, int64(8), int64(43), int64(15), nil, nil},
	}, got)

	_, _, err = exported(t, b, func(o *offline.ExportRequest) {
		o.At, o.Entities, o.TimeColumn = 15, give("id", "shop", "asked"), "asked"
	})
	require.ErrorContains(t, err, "leave the column out")
	_, _, err = exported(t, b, func(o *offline.ExportRequest) { o.At, o.Entities = 15, give("id") })
	require.ErrorContains(t, err, "shop")
	_, _, err = exported(t, b, func(o *offline.ExportRequest) { o.At = 15 })
	require.ErrorContains(t, err, "no view has all of its join keys")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = offline.Export(ctx, offline.ExportRequest{Service: b.Service, Tables: b.Tables, At: 15, Entities: give("id", "shop")}, func(arrow.RecordBatch) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
}

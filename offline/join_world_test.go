package offline_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/jointest"
	memstore "github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/registry/feature"
)

// A world is some views with their rows, a service over them and a spine: what
// the join is tried on, and what the oracle reads in the most naive way.

type fact struct {
	keys   []any // string, int64, int32, bool, []byte, feature time as int64
	stamp  feature.Stamp
	dead   bool
	values []any // nil is null
}

type worldView struct {
	view  *feature.View
	facts []fact
	table offline.Table
}

type world struct {
	views   []*worldView
	service *feature.Service
	spine   []spineRow
	schema  *arrow.Schema // of the spine
	clock   feature.Clock
}

type spineRow struct {
	keys map[string]any // nil is null
	time any            // int64 or nil
	id   int64
}

func field(name string, t feature.Type) feature.Field { return feature.Field{Name: name, Type: t} }

func makeView(name string, ttl feature.Duration, keys []feature.Field, features ...feature.Field) *feature.View {
	return &feature.View{Meta: feature.Meta{Project: "default", Name: name}, Source: "s", Entities: []string{"e"}, Keys: keys, Features: features, TTL: ttl, Version: 1}
}

func makeService(t testing.TB, views ...*feature.View) *feature.Service {
	s := &feature.Service{Meta: feature.Meta{Project: "default", Name: "svc"}, Version: 3}
	for _, v := range views {
		s.Features = append(s.Features, v.Meta.Name+":*")
	}
	faults := s.Resolve(func(name string) *feature.View {
		if i := slices.IndexFunc(views, func(v *feature.View) bool { return v.Meta.Name == name }); i >= 0 {
			return views[i]
		}
		return nil
	})
	require.Empty(t, faults)
	return s
}

func (w *world) tables() []offline.TableAt {
	var at []offline.TableAt
	for _, v := range w.views {
		at = append(at, offline.TableAt{Table: v.table})
	}
	return at
}

// appendFact puts a fact's row in file order.
func factRow(v *feature.View, f fact) parquet.Row {
	var row parquet.Row
	put := func(x any, optional bool) {
		i := len(row)
		var p parquet.Value
		switch x := x.(type) {
		case nil:
			row = append(row, parquet.NullValue().Level(0, 0, i))
			return
		case string:
			p = parquet.ByteArrayValue([]byte(x))
		case []byte:
			p = parquet.ByteArrayValue(x)
		case int64:
			p = parquet.Int64Value(x)
		case int32:
			p = parquet.Int32Value(x)
		case bool:
			p = parquet.BooleanValue(x)
		case float64:
			p = parquet.DoubleValue(x)
		case float32:
			p = parquet.FloatValue(x)
		}
		def := 0
		if optional {
			def = 1
		}
		row = append(row, p.Level(0, def, i))
	}
	for _, k := range f.keys {
		put(k, false)
	}
	for _, x := range f.values {
		put(x, true)
	}
	put(f.stamp.Effective(), false)
	put(f.stamp.Event, false)
	put(f.stamp.Known, false)
	row = append(row, parquet.FixedLenByteArrayValue(make([]byte, 16)).Level(0, 0, len(row)))
	put(f.stamp.Partition, false)
	put(f.stamp.Offset, false)
	put(f.dead, false)
	return row
}

func keyBytes(keys []any) []byte {
	var b []byte
	for _, k := range keys {
		switch k := k.(type) {
		case string:
			b = feature.AppendKeyText(b, k)
		case []byte:
			b = feature.AppendKeyText(b, k)
		case int64:
			b = feature.AppendKeyInt64(b, k)
		case int32:
			b = feature.AppendKeyInt32(b, k)
		case bool:
			b = feature.AppendKeyBool(b, k)
		}
	}
	return b
}

// writeFile puts facts into one data file.
func writeFile(t testing.TB, table offline.Table, name string, facts []fact, sorted, bounds bool, groupRows, pageBytes int) offline.File {
	t.Helper()
	if sorted {
		facts = slices.Clone(facts)
		slices.SortFunc(facts, func(a, b fact) int {
			if c := bytes.Compare(keyBytes(a.keys), keyBytes(b.keys)); c != 0 {
				return c
			}
			return a.stamp.Compare(b.stamp)
		})
	}
	fw, err := table.Create(context.Background(), name)
	require.NoError(t, err)
	pw := parquet.NewWriter(fw, offline.ParquetSchema("v", table.Columns()), parquet.MaxRowsPerRowGroup(int64(groupRows)),
		parquet.PageBufferSize(pageBytes), parquet.Compression(&parquet.Snappy), parquet.DictionaryMaxBytes(64))
	f := offline.File{Rows: int64(len(facts)), Sorted: sorted,
		MinEffective: offline.UnknownMin, MaxEffective: offline.UnknownMax, MinKnown: offline.UnknownMin, MaxKnown: offline.UnknownMax,
		MinEvent: offline.UnknownMin, MaxEvent: offline.UnknownMax}
	for i, x := range facts {
		_, err := pw.WriteRows([]parquet.Row{factRow(table.View(), x)})
		require.NoError(t, err)
		if !bounds {
			continue
		}
		if i == 0 {
			f.MinEffective, f.MaxEffective = x.stamp.Effective(), x.stamp.Effective()
			f.MinKnown, f.MaxKnown, f.MinEvent, f.MaxEvent = x.stamp.Known, x.stamp.Known, x.stamp.Event, x.stamp.Event
		}
		f.MinEffective, f.MaxEffective = min(f.MinEffective, x.stamp.Effective()), max(f.MaxEffective, x.stamp.Effective())
		f.MinKnown, f.MaxKnown = min(f.MinKnown, x.stamp.Known), max(f.MaxKnown, x.stamp.Known)
		f.MinEvent, f.MaxEvent = min(f.MinEvent, x.stamp.Event), max(f.MaxEvent, x.stamp.Event)
	}
	require.NoError(t, pw.Close())
	f.Path, err = fw.Commit()
	require.NoError(t, err)
	return f
}

func appendFiles(t testing.TB, table offline.Table, files []offline.File) {
	t.Helper()
	c := &feature.Commit{ID: fmt.Sprintf("c%d", rand.Uint64()), View: table.View()}
	require.NoError(t, table.Append(context.Background(), c, files))
}

// oracle is the answer for one spine row and view: read the rule, try every fact.
func (w *world) oracle(v *worldView, s spineRow) []any {
	none := make([]any, len(v.view.Features))
	if s.time == nil {
		return none
	}
	at := s.time.(int64)
	var keys []any
	for _, k := range v.view.Keys {
		if s.keys[k.Name] == nil {
			return none
		}
		keys = append(keys, s.keys[k.Name])
	}
	kb := keyBytes(keys)
	var best *fact
	order := func(f *fact) [4]int64 {
		x := f.stamp.Effective()
		if w.clock == feature.EventClock {
			x = f.stamp.Event
		}
		return [4]int64{x, f.stamp.Known, int64(f.stamp.Partition), f.stamp.Offset}
	}
	for i := range v.facts {
		f := &v.facts[i]
		seen := f.stamp.Known
		if w.clock == feature.EventClock {
			seen = f.stamp.Event
		}
		if seen > at || !bytes.Equal(keyBytes(f.keys), kb) {
			continue
		}
		if best == nil {
			best = f
			continue
		}
		a, b := order(best), order(f)
		if slices.Compare(a[:], b[:]) < 0 {
			best = f
		}
	}
	if best == nil || best.dead || v.view.TTL > 0 && order(best)[0] < at-v.view.TTL.Micros() {
		return none
	}
	return best.values
}

// records makes the spine's batches, of random sizes.
func (w *world) records(r *rand.Rand) *batches {
	b := &batches{schema: w.schema}
	for from := 0; from < len(w.spine); {
		to := min(len(w.spine), from+1+r.IntN(40))
		rb := array.NewRecordBuilder(memory.DefaultAllocator, w.schema)
		for _, s := range w.spine[from:to] {
			for i, f := range w.schema.Fields() {
				var x any
				switch f.Name {
				case "row_id":
					x = s.id
				case "at":
					x = s.time
				default:
					x = s.keys[f.Name]
				}
				jointest.AppendValue(rb.Field(i), x)
			}
		}
		b.recs = append(b.recs, rb.NewRecordBatch())
		from = to
	}
	return b
}

// batches is a spine in memory.
type batches struct {
	schema *arrow.Schema
	recs   []arrow.RecordBatch
	next   int
}

func (b *batches) Schema() *arrow.Schema { return b.schema }

func (b *batches) Read() (arrow.RecordBatch, error) {
	if b.next == len(b.recs) {
		return nil, eof
	}
	b.next++
	r := b.recs[b.next-1]
	r.Retain()
	return r, nil
}

func cellAny(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Boolean:
		return a.Value(i)
	case *array.Int32:
		return a.Value(i)
	case *array.Int64:
		return a.Value(i)
	case *array.Timestamp:
		return int64(a.Value(i))
	case *array.Float32:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.String:
		return a.Value(i)
	case *array.Binary:
		return slices.Clone(a.Value(i))
	case *array.List:
		out := []any{}
		from, to := a.ValueOffsets(i)
		for k := from; k < to; k++ {
			out = append(out, cellAny(a.ListValues(), int(k)))
		}
		return out
	}
	panic(a.DataType())
}

// randomWorld is one of jointest's.
func randomWorld(t *testing.T, r *rand.Rand) *world {
	from := jointest.Random(r, jointest.Usual())
	b, err := from.Build(context.Background(), memstore.Open(), nil)
	require.NoError(t, err)
	w := &world{clock: from.Clock, service: b.Service, schema: from.SpineSchema()}
	for i, v := range from.Views {
		x := &worldView{view: b.Tables[i].Table.View(), table: b.Tables[i].Table}
		for _, f := range v.Facts {
			x.facts = append(x.facts, fact{keys: f.Keys, stamp: f.Stamp(), dead: f.Dead, values: f.Values})
		}
		w.views = append(w.views, x)
	}
	for i, row := range from.Spine {
		s := spineRow{keys: maps.Clone(row.Keys), time: row.Time, id: int64(i)}
		s.keys["note"], s.keys["mark"] = row.Note, row.Mark
		w.spine = append(w.spine, s)
	}
	return w
}

func openTable(t testing.TB, v *feature.View) offline.Table {
	table, err := memstore.Open().Table(context.Background(), v)
	require.NoError(t, err)
	return table
}

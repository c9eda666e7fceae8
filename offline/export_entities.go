package offline

import (
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// timed is a stream of rows with one more column, which holds the same time everywhere.
type timed struct {
	rows   RowReader
	schema *arrow.Schema
	at     arrow.Timestamp
}

func newTimed(rows RowReader, column string, at int64) (RowReader, error) {
	s := rows.Schema()
	if s.HasField(column) {
		return nil, feature.Errorf(feature.Invalid, opExport, "entities column "+column, "all entities are exported as of one moment, which this column will hold").
			WithHint("leave the column out, or make a training set, in which each row has its own time")
	}
	return &timed{rows, arrow.NewSchema(append(s.Fields(), arrow.Field{Name: column, Type: feature.Timestamp.Arrow()}), nil), arrow.Timestamp(at)}, nil
}

func (t *timed) Schema() *arrow.Schema { return t.schema }

func (t *timed) Read() (arrow.RecordBatch, error) {
	rec, err := t.rows.Read()
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	at := times(int(rec.NumRows()), t.at)
	defer at.Release()
	return array.NewRecordBatch(t.schema, append(slices.Clone(rec.Columns()), at), rec.NumRows()), nil
}

func times(n int, at arrow.Timestamp) arrow.Array {
	b := array.NewTimestampBuilder(memory.DefaultAllocator, feature.Timestamp.Arrow().(*arrow.TimestampType))
	defer b.Release()
	b.Reserve(n)
	for range n {
		b.UnsafeAppend(at)
	}
	return b.NewArray()
}

// exportEntities and exportBytes are how many keys are looked for at once, and the bytes
// of them: the tables' keys are read once for each so many.
const (
	exportEntities = 4 << 20
	exportBytes    = 64 << 20
)

// entities gives the entities that tables hold at a moment, as a spine, in the
// order of their keys' bytes.
type entities struct {
	ctx    context.Context
	at     int64
	views  []entityView
	keys   []feature.Field
	schema *arrow.Schema
	most   int

	found *keySet
	order []int32 // what is still to come of found
	last  bool    // there is nothing after found
}

// entityView is a table whose keys are entities, and its key columns in the order of the service's.
type entityView struct {
	table Table
	files []File
	keys  []Column
}

func newEntities(ctx context.Context, req ExportRequest, tables []TableAt) (*entities, error) {
	keys, full, err := exportKeys(req.Service)
	if err != nil {
		return nil, err
	}
	e := &entities{ctx: ctx, at: req.At, keys: keys, most: cmp.Or(req.most, exportEntities), found: &keySet{}}
	var fields []arrow.Field
	for _, k := range keys {
		if k.Name == req.TimeColumn {
			return nil, feature.Errorf(feature.Invalid, opExport, "time column "+k.Name, "a join key has this name").WithHint("give the time column another name (--time-column)")
		}
		fields = append(fields, arrow.Field{Name: k.Name, Type: k.Type.Arrow()})
	}
	e.schema = arrow.NewSchema(append(fields, arrow.Field{Name: req.TimeColumn, Type: feature.Timestamp.Arrow()}), nil)
	for _, i := range full {
		t := tables[i]
		v := entityView{table: t.Table}
		for _, k := range keys {
			at := slices.IndexFunc(req.Service.Views[i].Keys, func(x feature.Field) bool { return x.Name == k.Name })
			v.keys = append(v.keys, t.Table.Columns()[at])
		}
		st, err := t.Table.Load(ctx, t.Version)
		if err != nil {
			return nil, err
		}
		v.files = slices.DeleteFunc(slices.Clone(st.Files), func(f File) bool { return f.MinKnown > e.at })
		e.views = append(e.views, v)
	}
	return e, nil
}

func (e *entities) Schema() *arrow.Schema { return e.schema }

// Read gives the next entities.
func (e *entities) Read() (arrow.RecordBatch, error) {
	for len(e.order) == 0 {
		if e.last {
			e.found = nil
			return nil, io.EOF
		}
		if err := e.find(); err != nil {
			return nil, err
		}
	}
	n := min(len(e.order), maxOutRows)
	some := e.order[:n]
	e.order = e.order[n:]
	return e.batch(some)
}

// find collects the next living entities: the keys of which some view has a newest
// row that is not a tombstone.
func (e *entities) find() error {
	s := &keySet{above: e.found.upTo, most: e.most, bytes: exportBytes}
	e.found = s
	for i := range e.views {
		if err := e.views[i].collect(e.ctx, s, e.at); err != nil {
			return err
		}
	}
	for _, i := range s.sorted() {
		if s.states[i]&keyLives != 0 {
			e.order = append(e.order, i)
		}
	}
	e.last = s.upTo == nil
	return nil
}

func (e *entities) batch(some []int32) (arrow.RecordBatch, error) {
	vectors := make([]feature.Vector, len(e.keys))
	for i, k := range e.keys {
		vectors[i].Reset(k.Type, len(some))
	}
	for at, x := range some {
		rest := e.found.key(int(x))
		for i, k := range e.keys {
			rest = feature.CutKey(rest, k.Type, &vectors[i], at)
		}
	}
	cols := make([]arrow.Array, 0, len(e.keys)+1)
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for i := range vectors {
		a, err := vectorArray(&vectors[i], 0, len(some))
		if err != nil {
			return nil, err
		}
		cols = append(cols, a)
	}
	cols = append(cols, times(len(some), arrow.Timestamp(e.at)))
	return array.NewRecordBatch(e.schema, cols, int64(len(some))), nil
}

package offline

import (
	"bytes"
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

// exportEntities is how many keys are looked for at once: the tables' keys are read
// once for each so many. A key takes some hundred bytes while it is looked for.
const exportEntities = 1 << 20

// entities gives the entities that tables hold at a moment, as a spine.
type entities struct {
	ctx    context.Context
	at     int64
	views  []entityView
	keys   []feature.Field
	schema *arrow.Schema
	most   int

	part, parts int
	found       []entity // of the part, in the order of their bytes
	ready       []arrow.RecordBatch
}

// entityView is a table whose keys are entities; order says which of its keys is the i-th.
type entityView struct {
	TableAt
	order []int
}

// entity is a key, and where its values stand.
type entity struct {
	key []byte
	rec arrow.RecordBatch // keys in the order of the service's
	row int
}

func newEntities(ctx context.Context, req ExportRequest, tables []TableAt) (*entities, error) {
	keys, full, err := exportKeys(req.Service)
	if err != nil {
		return nil, err
	}
	e := &entities{ctx: ctx, at: req.At, keys: keys, most: cmp.Or(req.most, exportEntities)}
	var fields []arrow.Field
	for _, k := range keys {
		if k.Name == req.TimeColumn {
			return nil, feature.Errorf(feature.Invalid, opExport, "time column "+k.Name, "a join key has this name").WithHint("give the time column another name (--time-column)")
		}
		fields = append(fields, arrow.Field{Name: k.Name, Type: k.Type.Arrow()})
	}
	e.schema = arrow.NewSchema(append(fields, arrow.Field{Name: req.TimeColumn, Type: feature.Timestamp.Arrow()}), nil)
	rows, mixed := int64(0), false
	for _, i := range full {
		v := entityView{TableAt: tables[i]}
		for _, k := range keys {
			at := slices.IndexFunc(req.Service.Views[i].Keys, func(x feature.Field) bool { return x.Name == k.Name })
			v.order = append(v.order, at)
		}
		st, err := v.Table.Load(ctx, v.Version)
		if err != nil {
			return nil, err
		}
		if rows = max(rows, st.Rows); !slices.IsSorted(v.order) {
			mixed = true
		}
		e.views = append(e.views, v)
	}
	// Keys are divided by the hash of their bytes, in the order in which a view has
	// them: views that name the same keys in different orders are read in one part.
	if e.parts = PartsFor(rows); mixed {
		e.parts = 1
	}
	return e, nil
}

func (e *entities) Schema() *arrow.Schema { return e.schema }

// Read gives the next entities.
func (e *entities) Read() (arrow.RecordBatch, error) {
	for len(e.found) == 0 {
		if e.part == e.parts {
			return nil, io.EOF
		}
		if err := e.find(); err != nil {
			return nil, err
		}
		e.part++
	}
	n := min(len(e.found), maxOutRows)
	rec, err := e.batch(e.found[:n])
	if e.found = e.found[n:]; len(e.found) == 0 {
		e.found = nil
		releaseRecords(e.ready)
		e.ready = nil
	}
	return rec, err
}

// find collects the living entities of the next part: the keys of which some view
// has a newest row that is not a tombstone.
func (e *entities) find() error {
	seen := map[string]struct{}{}
	for _, v := range e.views {
		o := NewestOptions{Version: v.Version, Part: e.part, Parts: e.parts, KnownBy: e.at, Columns: []string{}}
		err := newest(e.ctx, v.Table, o, e.most, func(b *feature.Batch) error {
			cols := make([]arrow.Array, len(e.keys))
			own := b.KeyColumns()
			for i, at := range v.order {
				cols[i] = own[at]
			}
			rec := array.NewRecordBatch(arrow.NewSchema(e.schema.Fields()[:len(cols)], nil), cols, int64(b.Len()))
			e.ready = append(e.ready, rec)
			for i := range b.Len() {
				if b.Deleted(i) {
					continue
				}
				key := feature.AppendKey(nil, cols, i)
				if _, ok := seen[string(key)]; ok {
					continue
				}
				seen[string(key)] = struct{}{}
				e.found = append(e.found, entity{key, rec, i})
			}
			return nil
		})
		if err != nil {
			releaseRecords(e.ready)
			e.ready, e.found = nil, nil
			return err
		}
	}
	slices.SortFunc(e.found, func(a, b entity) int { return bytes.Compare(a.key, b.key) })
	return nil
}

// setKey copies a join key, which is never null.
func setKey(v *feature.Vector, at int, c arrow.Array, row int) {
	v.Valid[at] = true
	switch c := c.(type) {
	case *array.Boolean:
		v.Bools[at] = c.Value(row)
	case *array.Int32:
		v.Int32s[at] = c.Value(row)
	case *array.Int64:
		v.Int64s[at] = c.Value(row)
	case *array.Timestamp:
		v.Int64s[at] = int64(c.Value(row))
	case *array.String:
		v.Bytes[at] = []byte(c.Value(row))
	case *array.Binary:
		v.Bytes[at] = c.Value(row)
	}
}

func releaseRecords(recs []arrow.RecordBatch) {
	for _, r := range recs {
		r.Release()
	}
}

func (e *entities) batch(some []entity) (arrow.RecordBatch, error) {
	cols := make([]arrow.Array, 0, len(e.keys)+1)
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for i, k := range e.keys {
		var v feature.Vector
		v.Reset(k.Type, len(some))
		for at, x := range some {
			setKey(&v, at, x.rec.Column(i), x.row)
		}
		a, err := vectorArray(&v, 0, len(some))
		if err != nil {
			return nil, err
		}
		cols = append(cols, a)
	}
	cols = append(cols, times(len(some), arrow.Timestamp(e.at)))
	return array.NewRecordBatch(e.schema, cols, int64(len(some))), nil
}

package tabular

import (
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/weir-ml/weir/registry/feature"
)

// parquetEncoder writes column by column: each batch's values go through one
// small buffer per column, pages are cut by size, row groups by rows.
type parquetEncoder struct {
	w        *parquet.Writer //lint:ignore SA1019 its generic successor wants a Go type; a file's columns are known at run time only
	nullable []bool
	values   []parquet.Value
	inGroup  int
	rowGroup int
}

func newParquetEncoder(out io.Writer, schema *arrow.Schema, rowGroup int) (*parquetEncoder, error) {
	e := &parquetEncoder{rowGroup: rowGroup, values: make([]parquet.Value, 2048)}
	group := parquet.Group{}
	names := make([]string, 0, schema.NumFields())
	for _, f := range schema.Fields() {
		if _, ok := group[f.Name]; ok {
			return nil, feature.Errorf(feature.Invalid, "tabular.write", f.Name, "two columns have the name %q", f.Name).WithHint("rename one of them")
		}
		t, _ := TypeOf(f.Type)
		node := parquetNode(t)
		if f.Nullable {
			node = parquet.Optional(node)
		}
		group[f.Name] = node
		names = append(names, f.Name)
		e.nullable = append(e.nullable, f.Nullable)
	}
	e.w = parquet.NewWriter(out, parquet.NewSchema("rows", orderedGroup{group, names}),
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}), parquet.PageBufferSize(256<<10),
		parquet.CreatedBy("weir", "", ""))
	return e, nil
}

// orderedGroup keeps the columns in the order of the schema; a Group sorts them by name.
type orderedGroup struct {
	parquet.Group
	names []string
}

func (g orderedGroup) Fields() []parquet.Field {
	fs := g.Group.Fields()
	slices.SortFunc(fs, func(a, b parquet.Field) int {
		return slices.Index(g.names, a.Name()) - slices.Index(g.names, b.Name())
	})
	return fs
}

func parquetNode(t feature.Type) parquet.Node {
	switch t {
	case feature.Bool:
		return parquet.Leaf(parquet.BooleanType)
	case feature.Int32:
		return parquet.Int(32)
	case feature.Int64:
		return parquet.Int(64)
	case feature.Float32:
		return parquet.Leaf(parquet.FloatType)
	case feature.Float64:
		return parquet.Leaf(parquet.DoubleType)
	case feature.Bytes:
		return parquet.Leaf(parquet.ByteArrayType)
	case feature.Timestamp:
		return parquet.Timestamp(parquet.Microsecond)
	}
	return parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
}

func (e *parquetEncoder) write(rec arrow.RecordBatch) error {
	for from := 0; from < int(rec.NumRows()); {
		to := min(int(rec.NumRows()), from+e.rowGroup-e.inGroup)
		for i, w := range e.w.ColumnWriters() {
			if err := e.column(w, rec.Column(i), i, from, to); err != nil {
				return err
			}
		}
		e.inGroup += to - from
		from = to
		if e.inGroup == e.rowGroup {
			e.inGroup = 0
			if err := e.w.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *parquetEncoder) column(w *parquet.ColumnWriter, c arrow.Array, index, from, to int) error {
	get := parquetValue(c)
	def := 0
	if e.nullable[index] {
		def = 1
	}
	for from < to {
		n := min(to-from, len(e.values))
		for i := range n {
			if c.IsNull(from + i) {
				e.values[i] = parquet.NullValue().Level(0, 0, index)
			} else {
				e.values[i] = get(from+i).Level(0, def, index)
			}
		}
		if _, err := w.WriteRowValues(e.values[:n]); err != nil {
			return err
		}
		from += n
	}
	return nil
}

func parquetValue(c arrow.Array) func(i int) parquet.Value {
	switch c := c.(type) {
	case *array.Boolean:
		return func(i int) parquet.Value { return parquet.BooleanValue(c.Value(i)) }
	case *array.Int32:
		return func(i int) parquet.Value { return parquet.Int32Value(c.Value(i)) }
	case *array.Int64:
		return func(i int) parquet.Value { return parquet.Int64Value(c.Value(i)) }
	case *array.Timestamp:
		return func(i int) parquet.Value { return parquet.Int64Value(int64(c.Value(i))) }
	case *array.Float32:
		return func(i int) parquet.Value { return parquet.FloatValue(c.Value(i)) }
	case *array.Float64:
		return func(i int) parquet.Value { return parquet.DoubleValue(c.Value(i)) }
	case *array.String:
		return func(i int) parquet.Value { return parquet.ByteArrayValue(bytesOf(c.Value(i))) }
	case *array.Binary:
		return func(i int) parquet.Value { return parquet.ByteArrayValue(c.Value(i)) }
	}
	panic("tabular: no Parquet form for " + c.DataType().String())
}

func (e *parquetEncoder) finish() error { return e.w.Close() }

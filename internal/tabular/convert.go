package tabular

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// TypeOf is the feature type that holds a column of an Arrow type without loss;
// exact tells that the column already is one, as it goes from file to file
// (feature.Type.Exchange). A list of scalars is an array; other nested types are JSON text.
func TypeOf(t arrow.DataType) (ft feature.Type, exact bool) {
	switch t := t.(type) {
	case *arrow.BooleanType:
		return feature.Bool, true
	case *arrow.Int32Type:
		return feature.Int32, true
	case *arrow.Int64Type:
		return feature.Int64, true
	case *arrow.Float32Type:
		return feature.Float32, true
	case *arrow.Float64Type:
		return feature.Float64, true
	case *arrow.StringType:
		return feature.String, true
	case *arrow.BinaryType:
		return feature.Bytes, true
	case *arrow.TimestampType:
		return feature.Timestamp, t.Unit == arrow.Microsecond && t.TimeZone == "UTC"
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Uint8Type, *arrow.Uint16Type:
		return feature.Int32, false
	case *arrow.Uint32Type, *arrow.Uint64Type:
		return feature.Int64, false
	case *arrow.Float16Type:
		return feature.Float32, false
	case *arrow.Decimal32Type, *arrow.Decimal64Type, *arrow.Decimal128Type, *arrow.Decimal256Type:
		return feature.Float64, false
	case *arrow.Date32Type, *arrow.Date64Type:
		return feature.Timestamp, false
	case *arrow.LargeBinaryType, *arrow.BinaryViewType, *arrow.FixedSizeBinaryType:
		return feature.Bytes, false
	case *arrow.DictionaryType:
		ft, _ = TypeOf(t.ValueType)
		return ft, false
	case arrow.ExtensionType:
		ft, _ = TypeOf(t.StorageType())
		return ft, false
	case *arrow.MapType:
	case arrow.ListLikeType:
		if ft, ok := arrayType(t.Elem()); ok {
			return ft, arrow.TypeEqual(t, ft.Exchange())
		}
	}
	return feature.String, false
}

// Convert returns a column as feature type t: the same values or an error that
// names the first row (from 0) whose value has no exact form there. Integers
// may become narrower, floats that are whole become integers, texts are parsed,
// naive times are UTC; times finer than a microsecond are cut. Lists become arrays
// in their packed form, their elements by the same rules. The caller
// releases the result, which is the column itself where nothing is to be done.
func Convert(c arrow.Array, t feature.Type) (arrow.Array, error) {
	if t.IsArray() {
		return pack(c, t)
	}
	if arrow.TypeEqual(c.DataType(), t.Arrow()) {
		c.Retain()
		return c, nil
	}
	if ts, ok := c.DataType().(*arrow.TimestampType); ok && t == feature.Timestamp && ts.Unit == arrow.Microsecond {
		d := c.Data()
		n := array.NewData(t.Arrow(), d.Len(), d.Buffers(), nil, d.NullN(), d.Offset())
		defer n.Release()
		return array.MakeFromData(n), nil
	}
	if d, ok := c.(*array.Dictionary); ok && t == feature.String {
		if texts := lookUp(d); texts != nil {
			return texts, nil
		}
	}
	col := newColumn("", t)
	defer col.b.Release()
	if err := col.convert(c); err != nil {
		return nil, err
	}
	return col.b.NewArray(), nil
}

// convert appends the values of a column.
func (c *column) convert(from arrow.Array) error {
	if from.DataType().ID() == arrow.NULL { // has no bitmap to ask
		c.b.AppendNulls(from.Len())
		return nil
	}
	c.b.Reserve(from.Len())
	put := converter(from, c)
	for i := range from.Len() {
		if from.IsNull(i) {
			c.b.AppendNull()
			continue
		}
		if !put(i) {
			return &ConvertError{Row: i, Value: valueText(from, i), From: from.DataType().String(), To: c.typ, Why: c.why}
		}
	}
	return nil
}

// ConvertError is the first value of a column that has no exact form in a type.
type ConvertError struct {
	Row   int // within the column
	Value string
	From  string
	To    feature.Type
	Why   string // which element of a list does not fit; else empty
}

func (e *ConvertError) Error() string {
	if e.Why != "" {
		return e.Why
	}
	return fmt.Sprintf("%q (%s) is not %s", e.Value, e.From, a(e.To))
}

func valueText(c arrow.Array, i int) string { return feature.Shorten([]byte(c.ValueStr(i))) }

// converter returns what appends row i of c to col; false when it does not fit.
func converter(c arrow.Array, col *column) func(i int) bool {
	switch c := c.(type) {
	case *array.Boolean:
		return func(i int) bool {
			if b, ok := col.b.(*array.BooleanBuilder); ok {
				b.Append(c.Value(i))
				return true
			}
			return col.typ == feature.String && col.text([]byte(strconv.FormatBool(c.Value(i))))
		}
	case *array.Int8:
		return fromInts(c, col)
	case *array.Int16:
		return fromInts(c, col)
	case *array.Int32:
		return fromInts(c, col)
	case *array.Int64:
		return fromInts(c, col)
	case *array.Uint8:
		return fromInts(c, col)
	case *array.Uint16:
		return fromInts(c, col)
	case *array.Uint32:
		return fromInts(c, col)
	case *array.Uint64:
		return func(i int) bool { return c.Value(i) <= math.MaxInt64 && putInt(col, int64(c.Value(i))) }
	case *array.Float16:
		return func(i int) bool { return putFloat(col, float64(c.Value(i).Float32())) }
	case *array.Float32:
		return func(i int) bool { return putFloat(col, float64(c.Value(i))) }
	case *array.Float64:
		return func(i int) bool { return putFloat(col, c.Value(i)) }
	case *array.String:
		return func(i int) bool { return col.text(bytesOf(c.Value(i))) }
	case *array.LargeString:
		return func(i int) bool { return col.text(bytesOf(c.Value(i))) }
	case *array.StringView:
		return func(i int) bool { return col.text(bytesOf(c.Value(i))) }
	case *array.Binary:
		return fromBytes(c, col)
	case *array.LargeBinary:
		return fromBytes(c, col)
	case *array.BinaryView:
		return fromBytes(c, col)
	case *array.FixedSizeBinary:
		return fromBytes(c, col)
	case *array.Timestamp:
		unit := c.DataType().(*arrow.TimestampType).Unit
		return func(i int) bool { v, ok := micros(int64(c.Value(i)), unit); return ok && putTime(col, v) }
	case *array.Date32:
		return func(i int) bool { return putTime(col, int64(c.Value(i))*86400e6) }
	case *array.Date64:
		return func(i int) bool { v, ok := micros(int64(c.Value(i)), arrow.Millisecond); return ok && putTime(col, v) }
	case *array.Dictionary:
		inner := converter(c.Dictionary(), col)
		return func(i int) bool {
			k := c.GetValueIndex(i)
			if c.Dictionary().IsNull(k) {
				col.b.AppendNull()
				return true
			}
			return inner(k)
		}
	case array.ExtensionArray:
		return converter(c.Storage(), col)
	case array.ListLike:
		if col.elem != nil {
			elems := c.ListValues()
			put := converter(elems, col.elem)
			return func(i int) bool {
				from, to := c.ValueOffsets(i)
				return col.list(elems, from, to, put)
			}
		}
	case *array.Decimal32, *array.Decimal64, *array.Decimal128, *array.Decimal256, *array.Time32, *array.Time64:
		return func(i int) bool { return col.text([]byte(c.ValueStr(i))) }
	}
	return func(i int) bool {
		if col.typ != feature.String {
			return false
		}
		v, err := json.Marshal(c.GetOneForMarshal(i))
		return err == nil && col.text(v)
	}
}

type valuer[T any] interface{ Value(int) T }

func fromInts[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](c valuer[T], col *column) func(int) bool {
	return func(i int) bool { return putInt(col, int64(c.Value(i))) }
}

func fromBytes(c valuer[[]byte], col *column) func(int) bool {
	return func(i int) bool {
		switch b := col.b.(type) {
		case *array.BinaryBuilder:
			b.Append(c.Value(i))
			return true
		case *array.StringBuilder:
			return col.text(c.Value(i))
		}
		return false
	}
}

func putInt(col *column, v int64) bool {
	switch b := col.b.(type) {
	case *array.Int32Builder:
		if v < math.MinInt32 || v > math.MaxInt32 {
			return false
		}
		b.Append(int32(v))
	case *array.Int64Builder:
		b.Append(v)
	case *array.Float32Builder:
		if v < -(1<<24) || v > 1<<24 {
			return false
		}
		b.Append(float32(v))
	case *array.Float64Builder:
		if v < -(1<<53) || v > 1<<53 {
			return false
		}
		b.Append(float64(v))
	case *array.StringBuilder:
		b.Append(strconv.FormatInt(v, 10))
	default:
		return false
	}
	return true
}

func putFloat(col *column, v float64) bool {
	switch b := col.b.(type) {
	case *array.Float32Builder:
		if float64(float32(v)) != v && v == v {
			return false
		}
		b.Append(float32(v))
	case *array.Float64Builder:
		b.Append(v)
	case *array.StringBuilder:
		b.Append(string(appendFloat(nil, v, 64)))
	case *array.Int32Builder, *array.Int64Builder:
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return false
		}
		return putInt(col, int64(v))
	default:
		return false
	}
	return true
}

func putTime(col *column, v int64) bool {
	switch b := col.b.(type) {
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v))
	case *array.StringBuilder:
		b.Append(string(AppendTime(nil, v)))
	default:
		return false
	}
	return true
}

// micros turns a count of units into microseconds; what is finer is cut towards the past.
func micros(v int64, u arrow.TimeUnit) (int64, bool) {
	switch u {
	case arrow.Second:
		return v * 1e6, v <= math.MaxInt64/1_000_000 && v >= math.MinInt64/1_000_000
	case arrow.Millisecond:
		return v * 1e3, v <= math.MaxInt64/1000 && v >= math.MinInt64/1000
	case arrow.Nanosecond:
		q := v / 1e3
		if v%1e3 < 0 {
			q--
		}
		return q, true
	}
	return v, true
}

// normalizer brings batches of one schema to feature types, as they go from file to file.
type normalizer struct {
	schema *arrow.Schema
	types  []feature.Type
	same   bool
	loose  bool // lists may have elements that are null
}

func newNormalizer(in *arrow.Schema, types map[string]feature.Type) *normalizer {
	n := &normalizer{same: true}
	fs := make([]arrow.Field, in.NumFields())
	for i, f := range in.Fields() {
		t, exact := TypeOf(f.Type)
		if d, ok := types[f.Name]; ok && d != t {
			t, exact = d, false
		}
		n.types = append(n.types, t)
		n.same = n.same && exact && !t.IsArray() // whose elements are to be looked at
		fs[i] = arrow.Field{Name: f.Name, Type: t.Exchange(), Nullable: f.Nullable}
	}
	n.schema = arrow.NewSchema(fs, nil)
	return n
}

// batch converts a batch; the caller releases the result and still owns rec. On
// a value that does not fit, col is its column.
func (n *normalizer) batch(rec arrow.RecordBatch) (out arrow.RecordBatch, col int, err error) {
	if n.same {
		// Not rec itself: its schema may have metadata, such as the field ids of a
		// Parquet file, and then it would not be a batch of Reader.Schema.
		return array.NewRecordBatch(n.schema, rec.Columns(), rec.NumRows()), 0, nil
	}
	cols := make([]arrow.Array, 0, len(n.types))
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for i, t := range n.types {
		c, err := exchange(rec.Column(i), t, n.loose)
		if err != nil {
			return nil, i, err
		}
		cols = append(cols, c)
	}
	return array.NewRecordBatch(n.schema, cols, rec.NumRows()), 0, nil
}

package offline_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// TestJoinCarriesAnyColumn: columns that no view knows come out as they went in,
// whatever their type, through memory and through the disk, from batches that were cut
// out of larger ones. Of list views and dense unions Arrow's writer for Go cannot write what
// was cut out: those end in an error where they would have to go through the disk.
func TestJoinCarriesAnyColumn(t *testing.T) {
	types := []arrow.DataType{
		arrow.Null, arrow.FixedWidthTypes.Boolean, arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Uint64, arrow.FixedWidthTypes.Float16,
		arrow.BinaryTypes.LargeString, arrow.BinaryTypes.LargeBinary, arrow.BinaryTypes.StringView, arrow.BinaryTypes.BinaryView,
		&arrow.FixedSizeBinaryType{ByteWidth: 3}, arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Date64,
		arrow.FixedWidthTypes.Time32ms, arrow.FixedWidthTypes.Time64ns, arrow.FixedWidthTypes.Timestamp_ns, &arrow.TimestampType{Unit: arrow.Second},
		arrow.FixedWidthTypes.Duration_us, arrow.FixedWidthTypes.MonthInterval, arrow.FixedWidthTypes.DayTimeInterval, arrow.FixedWidthTypes.MonthDayNanoInterval,
		&arrow.Decimal128Type{Precision: 20, Scale: 3}, &arrow.Decimal256Type{Precision: 50, Scale: 3},
		arrow.ListOf(arrow.PrimitiveTypes.Int64), arrow.LargeListOf(arrow.BinaryTypes.String), arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32),
		arrow.ListOf(arrow.ListOf(arrow.BinaryTypes.String)), arrow.ListViewOf(arrow.PrimitiveTypes.Int32), arrow.LargeListViewOf(arrow.BinaryTypes.String),
		arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, arrow.Field{Name: "b", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true}),
		arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64),
		&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int16, ValueType: arrow.BinaryTypes.String},
		arrow.ListOf(&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.PrimitiveTypes.Int64}),
		arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String),
		arrow.DenseUnionOf([]arrow.Field{{Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}, []arrow.UnionTypeCode{0, 1}),
		arrow.SparseUnionOf([]arrow.Field{{Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}, []arrow.UnionTypeCode{0, 1}),
		extensions.NewUUIDType(),
	}
	svc, tables := oneFact(t, 0)
	for _, typ := range types {
		t.Run(strings.ReplaceAll(typ.String(), " ", ""), func(t *testing.T) {
			schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
				{Name: "at", Type: feature.Timestamp.Arrow(), Nullable: true}, {Name: "any", Type: typ, Nullable: true}}, nil)
			r := rand.New(rand.NewPCG(31, 32))
			var recs []arrow.RecordBatch
			var want []string
			for range 3 {
				rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
				for i := range 200 {
					rb.Field(0).(*array.Int64Builder).Append(int64(i % 9))
					rb.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1 << 50))
					appendRandom(r, rb.Field(2))
				}
				whole := rb.NewRecordBatch()
				from, to := 3+r.Int64N(20), 150+r.Int64N(40)
				part := whole.NewSlice(from, to)
				for i := range int(part.NumRows()) {
					want = append(want, fmt.Sprint(part.Column(2).GetOneForMarshal(i)))
				}
				recs = append(recs, part)
			}
			sum, err := offline.HashRows(recs)
			require.NoError(t, err)
			for _, way := range ways {
				joins, _, _ := makeJoins(t, nil)
				req := offline.JoinRequest{Service: svc, Tables: tables, Joins: joins, Memory: 8 << 10, Spine: offline.Spine{Rows: &batches{schema: schema, recs: recs}, Time: "at"}}
				if way == "memory" {
					req.Memory = 64 << 20
				}
				offline.By(&req, way)
				var got []string
				var spine []arrow.RecordBatch
				res, err := offline.Join(ctx, req, func(rec arrow.RecordBatch) error {
					require.True(t, arrow.TypeEqual(rec.Column(2).DataType(), typ))
					for i := range int(rec.NumRows()) {
						got = append(got, fmt.Sprint(rec.Column(2).GetOneForMarshal(i)))
					}
					s := array.NewRecordBatch(schema, rec.Columns()[:3], rec.NumRows())
					spine = append(spine, s)
					return nil
				})
				if id := typ.ID(); way != "memory" && (id == arrow.LIST_VIEW || id == arrow.LARGE_LIST_VIEW || id == arrow.DENSE_UNION) {
					require.ErrorContains(t, err, "arrow/ipc")
					require.Empty(t, got)
					continue
				}
				require.NoError(t, err, way)
				require.Equal(t, way, res.Way)
				require.Equal(t, want, got, way)
				again, err := offline.HashRows(spine)
				require.NoError(t, err)
				require.Equal(t, sum, again, way)
			}
		})
	}
}

// appendRandom appends a value or null to any builder.
func appendRandom(r *rand.Rand, b array.Builder) {
	if _, union := b.Type().(arrow.UnionType); !union && r.IntN(5) == 0 {
		b.AppendNull()
		return
	}
	text := strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(30))
	switch b := b.(type) {
	case *array.NullBuilder:
		b.AppendNull()
	case *array.ListBuilder:
		b.Append(true)
		for range r.IntN(4) {
			appendRandom(r, b.ValueBuilder())
		}
	case *array.LargeListBuilder:
		b.Append(true)
		for range r.IntN(4) {
			appendRandom(r, b.ValueBuilder())
		}
	case *array.ListViewBuilder:
		n := r.IntN(4)
		b.AppendWithSize(true, n)
		for range n {
			appendRandom(r, b.ValueBuilder())
		}
	case *array.LargeListViewBuilder:
		n := r.IntN(4)
		b.AppendWithSize(true, n)
		for range n {
			appendRandom(r, b.ValueBuilder())
		}
	case *array.FixedSizeListBuilder:
		b.Append(true)
		for range 2 {
			appendRandom(r, b.ValueBuilder())
		}
	case *array.MapBuilder:
		b.Append(true)
		for i := range r.IntN(3) {
			b.KeyBuilder().(*array.StringBuilder).Append(fmt.Sprint(text, i))
			appendRandom(r, b.ItemBuilder())
		}
	case *array.StructBuilder:
		b.Append(true)
		for i := range b.NumField() {
			appendRandom(r, b.FieldBuilder(i))
		}
	case *array.RunEndEncodedBuilder:
		b.Append(1)
		appendRandom(r, b.ValueBuilder())
	case *array.DenseUnionBuilder:
		k := r.IntN(2)
		b.Append(arrow.UnionTypeCode(k))
		appendRandom(r, b.Child(k))
	case *array.SparseUnionBuilder:
		k := r.IntN(2)
		b.Append(arrow.UnionTypeCode(k))
		appendRandom(r, b.Child(k))
		b.Child(1 - k).AppendEmptyValue()
	case *array.ExtensionBuilder:
		appendRandom(r, b.StorageBuilder())
	case *extensions.UUIDBuilder:
		appendRandom(r, b.StorageBuilder())
	case *array.FixedSizeBinaryBuilder:
		v := make([]byte, b.Type().(*arrow.FixedSizeBinaryType).ByteWidth)
		v[0] = byte(r.IntN(256))
		b.Append(v)
	case *array.MonthDayNanoIntervalBuilder:
		b.Append(arrow.MonthDayNanoInterval{Months: int32(r.IntN(9)), Days: int32(r.IntN(9)), Nanoseconds: r.Int64N(99)})
	case *array.DayTimeIntervalBuilder:
		b.Append(arrow.DayTimeInterval{Days: int32(r.IntN(9)), Milliseconds: int32(r.IntN(9))})
	case *array.MonthIntervalBuilder:
		b.Append(arrow.MonthInterval(r.IntN(9)))
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	default:
		n := fmt.Sprint(r.IntN(100))
		switch b.Type().ID() {
		case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
			n = text
		case arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW:
			n = "YWJj"
		case arrow.DATE32, arrow.DATE64:
			n = fmt.Sprintf("20%02d-03-04", r.IntN(99))
		case arrow.TIME32, arrow.TIME64:
			n = fmt.Sprintf("10:11:%02d", r.IntN(60))
		case arrow.TIMESTAMP:
			n = fmt.Sprintf("2024-01-02T10:11:%02d", r.IntN(60))
			if b.Type().(*arrow.TimestampType).TimeZone != "" {
				n += "Z"
			}
		case arrow.DURATION:
			n = fmt.Sprintf("%dus", r.IntN(60))
		case arrow.DICTIONARY:
			n = fmt.Sprint(r.IntN(40))
		}
		if err := b.AppendValueFromString(n); err != nil {
			panic(fmt.Sprintf("%s: %v", b.Type(), err))
		}
	}
}

package jointest

import (
	"context"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// writeFile writes a data file row by row, as another engine might: it shares no
// code with offline.Writer.
func writeFile(ctx context.Context, v *View, t offline.Table, name string, facts []Fact, layout File) (offline.File, error) {
	if layout.Sorted {
		facts = inOrder(facts)
	}
	f := offline.File{Rows: int64(len(facts)), Sorted: layout.Sorted,
		MinEffective: offline.UnknownMin, MaxEffective: offline.UnknownMax, MinKnown: offline.UnknownMin, MaxKnown: offline.UnknownMax,
		MinEvent: offline.UnknownMin, MaxEvent: offline.UnknownMax}
	if layout.Bounds {
		f.MinEffective, f.MaxEffective = ends(facts, func(f *Fact) int64 { return min(f.Event, f.Known) })
		f.MinKnown, f.MaxKnown = ends(facts, func(f *Fact) int64 { return f.Known })
		f.MinEvent, f.MaxEvent = ends(facts, func(f *Fact) int64 { return f.Event })
	}
	fw, err := t.Create(ctx, name)
	if err != nil {
		return f, err
	}
	defer fw.Abort()
	options := []parquet.WriterOption{offline.ParquetSchema("v", t.Columns()), parquet.Compression(&parquet.Snappy), parquet.DictionaryMaxBytes(64)}
	if layout.GroupRows > 0 {
		options = append(options, parquet.MaxRowsPerRowGroup(int64(layout.GroupRows)))
	}
	if layout.PageBytes > 0 {
		options = append(options, parquet.PageBufferSize(layout.PageBytes))
	}
	pw := parquet.NewWriter(fw, options...)
	for i := range facts {
		if _, err := pw.WriteRows([]parquet.Row{v.row(t, &facts[i])}); err != nil {
			return f, err
		}
	}
	if err := pw.Close(); err != nil {
		return f, err
	}
	f.Path, err = fw.Commit()
	return f, err
}

func ends(facts []Fact, of func(*Fact) int64) (lo, hi int64) {
	times := make([]int64, len(facts))
	for i := range facts {
		times[i] = of(&facts[i])
	}
	return slices.Min(times), slices.Max(times)
}

// row is a fact in the table's columns.
func (v *View) row(t offline.Table, f *Fact) parquet.Row {
	system := map[string]any{
		offline.ColEffective: min(f.Event, f.Known), offline.ColEvent: f.Event, offline.ColKnown: f.Known,
		offline.ColPartition: f.Partition, offline.ColOffset: f.Offset, offline.ColTombstone: f.Dead, offline.ColTopicID: [16]byte{},
	}
	var row parquet.Row
	for i, c := range t.Columns() {
		x, is := system[c.Name]
		switch {
		case is:
		case i < len(v.Keys):
			x = f.Keys[i]
		default:
			x = v.valueAs(f, feature.Field{Name: c.Stored, Type: c.Type})
		}
		if list, ok := x.([]any); ok {
			row = appendList(row, list, i)
			continue
		}
		p, level := parquetValue(x), 0
		if !c.Required && x != nil {
			level = 1
		}
		row = append(row, p.Level(0, level, i))
	}
	return row
}

// appendList appends a list that may be null, as the values of column i.
func appendList(row parquet.Row, list []any, i int) parquet.Row {
	if len(list) == 0 {
		return append(row, parquet.NullValue().Level(0, 1, i))
	}
	for k, x := range list {
		row = append(row, parquetValue(x).Level(min(k, 1), 2, i))
	}
	return row
}

func parquetValue(x any) parquet.Value {
	switch x := x.(type) {
	case nil:
		return parquet.NullValue()
	case string:
		return parquet.ByteArrayValue([]byte(x))
	case []byte:
		return parquet.ByteArrayValue(x)
	case [16]byte:
		return parquet.FixedLenByteArrayValue(x[:])
	case int64:
		return parquet.Int64Value(x)
	case int32:
		return parquet.Int32Value(x)
	case bool:
		return parquet.BooleanValue(x)
	case float64:
		return parquet.DoubleValue(x)
	case float32:
		return parquet.FloatValue(x)
	}
	panic(fmt.Sprintf("jointest: no parquet value of %T", x))
}

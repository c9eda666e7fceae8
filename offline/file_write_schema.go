package offline

import (
	"fmt"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/registry/feature"
)

// orderedGroup is a Parquet group whose fields keep the order they were given;
// parquet.Group alone would sort them by name.
type orderedGroup struct {
	parquet.Group
	fields []parquet.Field
}

func (g *orderedGroup) Fields() []parquet.Field { return g.fields }

// ParquetSchema is the schema of data files with these columns, field ids included.
// The encodings in it are for those who write by it; our own files choose theirs
// by what is in them.
func ParquetSchema(name string, cols []Column) *parquet.Schema {
	g := parquet.Group{}
	for _, c := range cols {
		g[c.Name] = parquet.FieldID(columnNode(c), c.ID)
	}
	byName := map[string]parquet.Field{}
	for _, f := range g.Fields() {
		byName[f.Name()] = f
	}
	o := &orderedGroup{Group: g}
	for _, c := range cols {
		o.fields = append(o.fields, byName[c.Name])
	}
	return parquet.NewSchema(name, o)
}

func columnNode(c Column) parquet.Node {
	var n parquet.Node
	switch {
	case c.Fixed > 0:
		// One value for whole files: as a dictionary it costs nothing to read.
		n = parquet.Encoded(parquet.Leaf(parquet.FixedLenByteArrayType(c.Fixed)), &parquet.RLEDictionary)
	case c.Type == feature.Bool:
		n = parquet.Leaf(parquet.BooleanType)
	case c.Type == feature.Int32:
		n = parquet.Leaf(parquet.Int32Type)
	case c.Type == feature.Int64:
		n = parquet.Leaf(parquet.Int64Type)
	case c.Type == feature.Float32:
		n = parquet.Leaf(parquet.FloatType)
	case c.Type == feature.Float64:
		n = parquet.Leaf(parquet.DoubleType)
	case c.Type == feature.String && c.Required:
		n = parquet.Encoded(parquet.String(), &parquet.Plain)
	case c.Type == feature.String:
		n = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	case c.Type == feature.Bytes:
		n = parquet.Encoded(parquet.Leaf(parquet.ByteArrayType), &parquet.Plain)
	case c.Type == feature.Timestamp:
		n = parquet.Timestamp(parquet.Microsecond)
	default:
		panic(fmt.Sprintf("offline: column %s of type %s cannot be written", c.Name, c.Type))
	}
	// Neighbours of one key are close in time: a fifth off the file, and cheaper
	// to compress. Measured with random keys and 14 columns.
	if c.Name == ColEffective || c.Name == ColEvent || c.Name == ColKnown || c.Name == ColOffset {
		n = parquet.Encoded(n, &parquet.DeltaBinaryPacked)
	}
	if !c.Required {
		n = parquet.Optional(n)
	}
	return n
}

// SortSuffix are the columns that order the rows of one key; the order of
// AppendKey's bytes is the order of the key columns one by one.
var SortSuffix = []string{ColEffective, ColKnown, ColPartition, ColOffset}

// SystemColumns are the system columns in file order, without ids.
func SystemColumns() []Column {
	return []Column{
		{Name: ColEffective, Stored: ColEffective, Type: feature.Timestamp, Required: true},
		{Name: ColEvent, Stored: ColEvent, Type: feature.Timestamp, Required: true},
		{Name: ColKnown, Stored: ColKnown, Type: feature.Timestamp, Required: true},
		{Name: ColTopicID, Stored: ColTopicID, Type: feature.Bytes, Fixed: 16, Required: true},
		{Name: ColPartition, Stored: ColPartition, Type: feature.Int32, Required: true},
		{Name: ColOffset, Stored: ColOffset, Type: feature.Int64, Required: true},
		{Name: ColTombstone, Stored: ColTombstone, Type: feature.Bool, Required: true},
	}
}

// ViewColumns are the columns of a view's table in file order, without ids.
func ViewColumns(v *feature.View) []Column {
	var cols []Column
	for i, f := range v.Columns() {
		cols = append(cols, Column{Name: f.Name, Stored: f.Stored(), Type: f.Type, Required: i < len(v.Keys)})
	}
	return append(cols, SystemColumns()...)
}

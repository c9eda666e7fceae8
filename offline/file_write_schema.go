package offline

import (
	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/internal/parquetfile"
	"github.com/weir-ml/weir/registry/feature"
)

// ParquetSchema is the schema of data files with these columns, field ids included.
// The encodings in it are for those who write by it; our own files choose theirs
// by what is in them.
func ParquetSchema(name string, cols []Column) *parquet.Schema {
	return parquetfile.Schema(name, fileColumns(cols), func(c parquetfile.Column, n parquet.Node) parquet.Node {
		switch {
		case c.Fixed > 0 || c.Type == feature.String && !c.Key:
			return parquet.Encoded(n, &parquet.RLEDictionary)
		case c.Name == ColEffective || c.Name == ColEvent || c.Name == ColKnown || c.Name == ColOffset:
			return parquet.Encoded(n, &parquet.DeltaBinaryPacked)
		}
		return n
	})
}

// fileColumns are a table's columns as they stand in its files.
func fileColumns(cols []Column) []parquetfile.Column {
	out := make([]parquetfile.Column, len(cols))
	for i, c := range cols {
		out[i] = parquetfile.Column{Name: c.Name, ID: c.ID, Element: c.Element, Type: c.Type, Fixed: c.Fixed, Required: c.Required, Key: c.Required}
	}
	return out
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

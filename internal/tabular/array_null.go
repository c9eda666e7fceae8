package tabular

import (
	"context"
	"errors"
	"io"
	"maps"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/weir-ml/weir/registry/feature"
)

// doubtful are the columns that look like arrays and may be none, because some element
// is null: then they are JSON text. The file's own type does not tell, for most writers
// say of every list that its elements may be null. Of a pipe nothing can be read twice.
func (r *Reader) doubtful(o ReadOptions, s *arrow.Schema, t *typedReader) map[string]bool {
	if _, err := r.src.f.Seek(0, io.SeekCurrent); err != nil || o.NullElements {
		return nil
	}
	columns := map[string]bool{}
	for _, f := range s.Fields() {
		_, declared := o.Types[f.Name]
		if !declared && (o.Only == nil || o.Only[f.Name]) && mayHoldNulls(f.Type) && (t.nulls == nil || t.nulls(f.Name)) {
			columns[f.Name] = true
		}
	}
	return columns
}

// textLists adds to the types those of the doubtful columns that are texts. It reads
// these columns once, and leaves the file at its beginning.
func (r *Reader) textLists(o ReadOptions, format Format, doubtful map[string]bool) (map[string]feature.Type, error) {
	if err := r.src.rewind(); err != nil {
		return nil, err
	}
	_, _, t, err := openTyped(r.ctx, r.src, format, o.BatchRows, doubtful)
	if err != nil {
		return nil, err
	}
	types, err := nullElements(r.ctx, t, doubtful)
	t.stop()
	if err != nil {
		return nil, err
	}
	maps.Copy(types, o.Types)
	return types, r.src.rewind()
}

// nullElements gives those of the columns of which some list has an element that is
// null, as strings.
func nullElements(ctx context.Context, t *typedReader, columns map[string]bool) (map[string]feature.Type, error) {
	found := map[string]feature.Type{}
	for len(found) < len(columns) {
		if err := alive(ctx); err != nil {
			return nil, err
		}
		rec, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fileError(t.path, err)
		}
		for i, c := range rec.Columns() {
			name := rec.ColumnName(i)
			if _, known := found[name]; columns[name] && !known && hasNullElement(c) {
				found[name] = feature.String
			}
		}
	}
	return found, nil
}

// mayHoldNulls reports whether columns of a type are arrays whose elements may be null.
func mayHoldNulls(t arrow.DataType) bool {
	switch t := t.(type) {
	case arrow.ExtensionType:
		return mayHoldNulls(t.StorageType())
	case *arrow.DictionaryType:
		return mayHoldNulls(t.ValueType)
	case *arrow.MapType:
	case arrow.ListLikeType:
		_, ok := arrayType(t.Elem())
		return ok && t.ElemField().Nullable
	}
	return false
}

// hasNullElement reports whether a list of the column has an element that is null.
func hasNullElement(c arrow.Array) bool {
	switch c := c.(type) {
	case array.ExtensionArray:
		return hasNullElement(c.Storage())
	case *array.Dictionary:
		return hasNullElement(c.Dictionary())
	case array.ListLike:
		elems := c.ListValues()
		null := elems.IsNull
		if d, ok := elems.(*array.Dictionary); ok && d.Dictionary().NullN() > 0 {
			null = func(i int) bool { return d.IsNull(i) || d.Dictionary().IsNull(d.GetValueIndex(i)) }
		} else if elems.NullN() == 0 {
			return false
		}
		for i := range c.Len() {
			if c.IsNull(i) {
				continue
			}
			from, to := c.ValueOffsets(i)
			for k := max(0, from); k < min(to, int64(elems.Len())); k++ {
				if null(int(k)) {
					return true
				}
			}
		}
	}
	return false
}

// mayBeNull reports whether the values of a Parquet file's column, or of what is in
// it, may be null by what the file says.
func mayBeNull(pf *file.Reader, column string) bool {
	s := pf.MetaData().Schema
	for i := range s.NumColumns() {
		if s.Column(i).ColumnPath()[0] != column {
			continue
		}
		for g := range pf.NumRowGroups() {
			c, err := pf.MetaData().RowGroup(g).ColumnChunk(i)
			if err != nil {
				return true
			}
			stats, err := c.Statistics()
			if err != nil || stats == nil || !stats.HasNullCount() || stats.NullCount() > 0 {
				return true
			}
		}
	}
	return false
}

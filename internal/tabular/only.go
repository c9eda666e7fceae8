package tabular

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/weir-ml/weir/registry/feature"
)

// leaves are the columns of a Parquet file below those that are wanted, at least
// one, for it tells the rows; nil for all of them.
func leaves(pf *file.Reader, only map[string]bool) []int {
	if only == nil {
		return nil
	}
	var out, first []int
	s := pf.MetaData().Schema
	for i := range s.NumColumns() {
		name := s.Column(i).ColumnPath()[0]
		if only[name] {
			out = append(out, i)
		}
		if name == s.Column(0).ColumnPath()[0] {
			first = append(first, i)
		}
	}
	if len(out) == 0 {
		return first
	}
	return out
}

// padding puts columns that were not read into batches, as nulls.
type padding struct {
	schema *arrow.Schema
	from   []int // by column: its place in what was read, -1 for none
	nulls  []arrow.Array
}

// newPadding is nil where every column was read.
func newPadding(full, read *arrow.Schema) *padding {
	if full.NumFields() == read.NumFields() {
		return nil
	}
	p := &padding{schema: full, nulls: make([]arrow.Array, full.NumFields())}
	next := 0
	for _, f := range full.Fields() {
		at := -1
		if next < read.NumFields() && read.Field(next).Name == f.Name {
			at = next
			next++
		}
		p.from = append(p.from, at)
	}
	return p
}

func (p *padding) batch(rec arrow.RecordBatch) arrow.RecordBatch {
	defer rec.Release()
	n := int(rec.NumRows())
	cols := make([]arrow.Array, len(p.from))
	for i, at := range p.from {
		if at >= 0 {
			cols[i] = rec.Column(at)
			continue
		}
		if p.nulls[i] == nil || p.nulls[i].Len() < n {
			t, _ := TypeOf(p.schema.Field(i).Type)
			p.nulls[i] = nullColumn(t, n)
		}
		cols[i] = array.NewSlice(p.nulls[i], 0, int64(n))
		defer cols[i].Release()
	}
	return array.NewRecordBatch(p.schema, cols, rec.NumRows())
}

func nullColumn(t feature.Type, n int) arrow.Array {
	c := newColumn("", t)
	defer c.b.Release()
	c.b.AppendNulls(n)
	return c.b.NewArray()
}

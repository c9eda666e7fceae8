package tabular

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/weir-ml/weir/registry/feature"
)

// pagesReader reads a Parquet file of flat columns that have exactly a feature type,
// straight out of its pages and into memory that the next batch takes over
// (ReadOptions.Lend). Building columns anew for each batch, as the general way
// does, takes three times as long, and texts of a few kinds are put together only to be
// taken apart by who judges them.
type pagesReader struct {
	path    string
	file    *file.Reader
	schema  *arrow.Schema
	columns []*pageColumn // those that are read
	at      []int         // by column of the schema: its place in columns, -1 for none
	nulls   []arrow.Array // of those that are not
	rows    int           // of a batch
	group   int           // the next row group
	left    int64         // rows of the current one
	done    int64
	given   *arrow.Schema // of the last batch: texts may be places in a dictionary
}

// newPagesReader is nil where the file has something else in it.
func newPagesReader(path string, pf *file.Reader, s *arrow.Schema, o ReadOptions, rows int) *pagesReader {
	norm := newNormalizer(s, o.Types)
	r := &pagesReader{path: path, file: pf, schema: norm.schema, rows: rows, nulls: make([]arrow.Array, s.NumFields())}
	meta := pf.MetaData()
	if meta.Schema.NumColumns() != s.NumFields() { // lists and the like
		return nil
	}
	wanted := map[int]bool{}
	for _, i := range leaves(pf, o.Only) {
		wanted[i] = true
	}
	for i, f := range s.Fields() {
		c := meta.Schema.Column(i)
		if len(c.ColumnPath()) != 1 || c.MaxRepetitionLevel() != 0 {
			return nil
		}
		if o.Only != nil && !wanted[i] {
			r.at = append(r.at, -1)
			continue
		}
		t, ok := plainType(f.Type)
		if !ok || t != norm.types[i] || c.PhysicalType() != physical(t) || !plainPages(pf, i) {
			return nil
		}
		r.at = append(r.at, len(r.columns))
		r.columns = append(r.columns, &pageColumn{name: f.Name, typ: t, place: i, nullable: c.MaxDefinitionLevel() > 0})
	}
	return r
}

// plainType is the feature type whose values stand in the pages as they are.
func plainType(t arrow.DataType) (feature.Type, bool) {
	ft, exact := TypeOf(t)
	if ts, ok := t.(*arrow.TimestampType); ok {
		exact = ts.Unit == arrow.Microsecond
	}
	return ft, exact && !ft.IsArray() && !arrow.IsNested(t.ID())
}

func physical(t feature.Type) parquet.Type {
	switch t {
	case feature.Bool:
		return parquet.Types.Boolean
	case feature.Int32:
		return parquet.Types.Int32
	case feature.Int64, feature.Timestamp:
		return parquet.Types.Int64
	case feature.Float32:
		return parquet.Types.Float
	case feature.Float64:
		return parquet.Types.Double
	}
	return parquet.Types.ByteArray
}

// plainPages reports whether a column's pages are encoded in a way that pageColumn knows.
func plainPages(pf *file.Reader, column int) bool {
	for g := range pf.NumRowGroups() {
		c, err := pf.MetaData().RowGroup(g).ColumnChunk(column)
		if err != nil || c.CryptoMetadata() != nil {
			return false
		}
		for _, e := range c.Encodings() {
			switch e {
			case parquet.Encodings.Plain, parquet.Encodings.RLE, parquet.Encodings.RLEDict, parquet.Encodings.PlainDict:
			default:
				return false
			}
		}
	}
	return true
}

func (r *pagesReader) read(context.Context) (rec arrow.RecordBatch, err error) {
	defer func() {
		if p := recover(); p != nil { // of what reads pages, on a damaged file
			rec, err = nil, fileError(r.path, fmt.Errorf("is damaged: %v", p))
		}
	}()
	for r.left == 0 {
		if r.group == r.file.NumRowGroups() {
			return nil, io.EOF
		}
		g := r.file.RowGroup(r.group)
		r.group++
		if r.left = g.NumRows(); r.left < 0 {
			return nil, fileError(r.path, errors.New("a row group has less than no rows"))
		}
		for _, c := range r.columns {
			if err := c.open(g); err != nil {
				return nil, r.failed(c, err)
			}
		}
	}
	n := int(min(int64(r.rows), r.left))
	for _, c := range r.columns {
		if err := c.ready(); err != nil {
			return nil, r.failed(c, err)
		}
		n = c.most(n)
	}
	cols := make([]arrow.Array, len(r.at))
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, at := range r.at {
		if at < 0 {
			cols[i] = r.null(i, n)
		} else if cols[i], err = r.columns[at].take(n); err != nil {
			return nil, r.failed(r.columns[at], err)
		}
	}
	r.left -= int64(n)
	r.done += int64(n)
	return array.NewRecordBatch(r.schemaOf(cols), cols, int64(n)), nil
}

func (r *pagesReader) failed(c *pageColumn, err error) error {
	return feature.Errorf(feature.Invalid, "tabular.read", fmt.Sprintf("%s: row %d, column %q", r.path, r.done+1, c.name), "%w", err).
		WithHint("is it a Parquet file, and whole?")
}

// null is a column that was not read.
func (r *pagesReader) null(i, n int) arrow.Array {
	if r.nulls[i] == nil {
		t, _ := TypeOf(r.schema.Field(i).Type)
		r.nulls[i] = nullColumn(t, r.rows)
	}
	return array.NewSlice(r.nulls[i], 0, int64(n))
}

// schemaOf is the schema of a batch, mostly that of the one before.
func (r *pagesReader) schemaOf(cols []arrow.Array) *arrow.Schema {
	if r.given != nil {
		same := true
		for i, c := range cols {
			same = same && r.given.Field(i).Type.ID() == c.DataType().ID()
		}
		if same {
			return r.given
		}
	}
	fields := slices.Clone(r.schema.Fields())
	for i, c := range cols {
		if fields[i].Type.ID() != c.DataType().ID() {
			fields[i].Type = c.DataType()
		}
	}
	r.given = arrow.NewSchema(fields, nil)
	return r.given
}

func (r *pagesReader) close() error {
	var err error
	for _, c := range r.columns {
		if e := c.close(); err == nil {
			err = e
		}
	}
	return err
}

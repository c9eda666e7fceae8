package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/registry/feature"
)

// dataFile is a data file open for reading columns. Columns are found by field
// id; by name where the file has no ids (other engines, under a name mapping) or
// the table's present view has lost the column.
type dataFile struct {
	path   string
	reader FileReader
	pf     *parquet.File
	byID   map[int]*parquet.Column
	byName map[string]*parquet.Column
	texts  *textLengths // counts those that are fetched; may be nil
}

// openData opens a file that a State of the table names.
func openData(ctx context.Context, t Table, path string) (d *dataFile, err error) {
	defer guard(path, "", &err)
	r, err := t.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	pf, err := parquet.OpenFile(r, r.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
	if err != nil {
		r.Close()
		return nil, dataError(path, "", fmt.Errorf("reading its footer: %w", err))
	}
	rows := int64(0)
	for _, g := range pf.RowGroups() {
		if n := g.NumRows(); n < 0 || n > pf.NumRows()-rows {
			r.Close()
			return nil, dataError(path, "", fmt.Errorf("its footer has a row group of %d rows, and %d rows in all", n, pf.NumRows()))
		}
		rows += g.NumRows()
	}
	if rows != pf.NumRows() {
		r.Close()
		return nil, dataError(path, "", fmt.Errorf("its footer has row groups of %d rows, and %d rows in all", rows, pf.NumRows()))
	}
	d = &dataFile{path: path, reader: r, pf: pf, byID: map[int]*parquet.Column{}, byName: map[string]*parquet.Column{}}
	for _, c := range pf.Root().Columns() {
		d.byName[c.Name()] = c
		if c.ID() != 0 {
			d.byID[c.ID()] = c
		}
	}
	return d, nil
}

func (d *dataFile) close() { d.reader.Close() }

// dataError names the file, and the column if one is concerned.
func dataError(path, column string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var fe *feature.Error
	if errors.As(err, &fe) && (column == "" || fe.Kind == feature.Unavailable) {
		return err
	}
	what := "data file " + path
	if column != "" {
		what += ", column " + column
	}
	var null *feature.NullElementError
	if errors.As(err, &null) {
		return &feature.Error{Kind: feature.Unsupported, Op: "offline.read", What: what, Err: err,
			Hint: "another engine has written the list: write the row again without that element"}
	}
	return &feature.Error{Kind: feature.Internal, Op: "offline.read", What: what, Err: err,
		Hint: "the file is damaged or not one of this table: run weir audit"}
}

// guard, deferred, makes an error of a panic: parquet-go has some for damaged files.
func guard(path, column string, err *error) {
	if p := recover(); p != nil {
		*err = dataError(path, column, fmt.Errorf("cannot be decoded: %v", p))
	}
}

// column finds a column of the table in the file; nil where the file is older
// than the column. A name alone decides only where one side has no id: a name may
// have been given to another column since.
func (d *dataFile) column(c Column) *parquet.Column {
	if p, ok := d.byID[c.ID]; ok && c.ID != 0 {
		return p
	}
	if p := d.byName[c.Name]; p != nil && (c.ID == 0 || p.ID() == 0) {
		return p
	}
	return nil
}

// columnChunk is a column's part of a row group.
type columnChunk struct {
	*parquet.FileColumnChunk
	rows  int64
	start int64 // the row group's first row in the file
	list  *list // of arrays
}

// chunk is a column's part of a row group; nil for a column newer than the file,
// an error where the column may not be missing or has a type that does not fit.
func (d *dataFile) chunk(group int, c Column) (_ *columnChunk, err error) {
	defer guard(d.path, c.Name, &err)
	p := d.column(c)
	if p == nil {
		if c.Required {
			return nil, dataError(d.path, c.Name, errors.New("the column is missing"))
		}
		return nil, nil
	}
	var l *list
	if c.Type.IsArray() {
		l = listOf(p, c.Type.Elem())
	}
	switch {
	case l != nil:
		p = l.leaf
	case c.Type.IsArray(), !p.Leaf(), !readable(p.Type().Kind(), c.Type), p.MaxRepetitionLevel() > 0, p.MaxDefinitionLevel() > 1:
		return nil, dataError(d.path, c.Name, fmt.Errorf("the file has %s, the view wants %s", describe(p), c.Type))
	}
	groups := d.pf.RowGroups()
	chunk, ok := groups[group].ColumnChunks()[p.Index()].(*parquet.FileColumnChunk)
	if !ok {
		return nil, dataError(d.path, c.Name, errors.New("the column cannot be read from a file"))
	}
	out := &columnChunk{FileColumnChunk: chunk, rows: groups[group].NumRows(), list: l}
	for _, g := range groups[:group] {
		out.start += g.NumRows()
	}
	return out, nil
}

// describe says what a file's column is.
func describe(c *parquet.Column) string {
	for !c.Leaf() && len(c.Columns()) == 1 {
		c = c.Columns()[0]
	}
	if !c.Leaf() {
		return "a structure"
	}
	if c.MaxRepetitionLevel() > 0 {
		return "a list of " + c.Type().String()
	}
	return c.Type().String()
}

// readable tells whether values of a physical type can be read as a feature
// type: a column that was widened after the file was written can, and one that a
// newer view than the reader's has widened, as far as its values fit (see narrow).
func readable(k parquet.Kind, t feature.Type) bool {
	switch t {
	case feature.Bool:
		return k == parquet.Boolean
	case feature.Int32, feature.Int64:
		return k == parquet.Int64 || k == parquet.Int32
	case feature.Timestamp:
		return k == parquet.Int64
	case feature.Float32, feature.Float64:
		return k == parquet.Double || k == parquet.Float
	case feature.String, feature.Bytes:
		return k == parquet.ByteArray || k == parquet.FixedLenByteArray
	}
	return false
}

// page is one decoded data page: the values that are not null, densely, and
// which rows they belong to.
type page struct {
	first   int64 // row of the row group
	rows    int
	present []byte // a byte a row, 1 where there is a value; nil when every row has one
	values  values
	copied  int64 // bytes of texts that pick made
}

// pageReader reads the pages of a column chunk in order.
type pageReader struct {
	pages parquet.Pages
	lists *listPages   // of arrays
	raw   parquet.Page // the page at hand, where there is no list
}

// open begins to read. Of arrays, rows before skip are not wanted; seeks says that
// the file tells the rows with which pages begin.
func (c *columnChunk) open(seeks bool, skip int64) *pageReader {
	r := &pageReader{pages: c.Pages()}
	if c.list != nil {
		r.lists = &listPages{list: *c.list, start: c.start, skip: skip, whole: seeks}
	}
	return r
}

// next reads which rows the next page has, and which of them have a value; io.EOF
// behind the last. What the page before held is void then.
func (r *pageReader) next(p *page) error {
	if r.lists != nil {
		return r.lists.next(r.pages, p)
	}
	r.release()
	raw, err := r.pages.ReadPage()
	if err != nil {
		return err
	}
	r.raw = raw
	p.rows = int(raw.NumRows())
	p.present = raw.DefinitionLevels()
	if len(p.present) == 0 || bytes.IndexByte(p.present, 0) < 0 {
		p.present = nil
	}
	return nil
}

// values reads the values of the page at hand.
func (r *pageReader) values(p *page) error {
	if r.lists != nil {
		return nil // they are there
	}
	return p.values.set(r.raw)
}

func (r *pageReader) release() {
	if r.raw != nil {
		parquet.Release(r.raw)
		r.raw = nil
	}
}

func (r *pageReader) close() {
	r.release()
	_ = r.pages.Close() // only read
}

// pages calls f for the pages of a column chunk in order. With want, only pages
// that hold one of these rows (ascending) are read. What f gets is void when it returns.
func (d *dataFile) pages(ctx context.Context, chunk *columnChunk, name string, want []int32, f func(*page) error) (err error) {
	defer guard(d.path, name, &err)
	firsts, err := skippable(chunk, want)
	if err != nil {
		return dataError(d.path, name, err)
	}
	r := chunk.open(firsts != nil, 0)
	defer r.close()
	p := page{}
	next := 0 // index into want
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if firsts != nil {
			for next < len(want) && int64(want[next]) < p.first {
				next++
			}
			if next == len(want) {
				return nil
			}
			if at := pageOf(firsts, int64(want[next])); at > p.first {
				if err := r.pages.SeekToRow(at); err != nil {
					return dataError(d.path, name, err)
				}
				p.first = at
			}
		}
		err := r.next(&p)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = r.values(&p)
		}
		if err == nil {
			err = f(&p)
		}
		if err != nil {
			return dataError(d.path, name, err)
		}
		p.first += int64(p.rows)
	}
}

// skippable returns the first rows of the chunk's pages when skipping pages may
// pay: few rows are wanted, or rows of one stretch, as for a range of keys.
func skippable(chunk *columnChunk, want []int32) ([]int64, error) {
	if len(want) == 0 {
		return nil, nil
	}
	index, err := chunk.OffsetIndex()
	if errors.Is(err, parquet.ErrMissingOffsetIndex) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n := index.NumPages()
	stretch := int64(want[len(want)-1]) - int64(want[0]) + 1
	if n < 2 || len(want) > 2*n && stretch > chunk.rows/4*3 {
		return nil, nil
	}
	firsts := make([]int64, n)
	for i := range n {
		firsts[i] = index.FirstRowIndex(i)
	}
	return firsts, nil
}

// pageOf is the first row of the page that holds a row.
func pageOf(firsts []int64, row int64) int64 {
	lo, hi := 0, len(firsts)
	for hi-lo > 1 {
		if m := (lo + hi) / 2; firsts[m] <= row {
			lo = m
		} else {
			hi = m
		}
	}
	return firsts[lo]
}

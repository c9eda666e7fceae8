package tabular

import (
	"context"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// csvReader turns the records of a CSV file into batches.
type csvReader struct {
	path   string
	sc     *csvScanner
	schema *arrow.Schema
	cols   []*column
	nulls  nullTexts
	rows   int
}

func (r *Reader) openCSV(o ReadOptions) error {
	c := &csvReader{path: r.path, nulls: newNullTexts(o.Nulls), rows: o.BatchRows}
	sep := separator(r.path, o.Separator)
	c.sc = newCSVScanner(r.src.r, sep)
	names, err := csvHeader(r.path, c.sc)
	if err != nil {
		return err
	}
	guesses := make([]*guess, len(names))
	search := false
	for i, n := range names {
		t, declared := o.Types[n]
		if !declared && o.Text {
			t, declared = feature.String, true
		}
		if !declared {
			guesses[i], search = &guess{}, true
		}
		c.cols = append(c.cols, &column{name: n, typ: t})
	}
	if search {
		if err := c.infer(r.ctx, guesses, o.Sample); err != nil {
			return err
		}
		if err := r.src.rewind(); err != nil {
			return err
		}
		c.sc = newCSVScanner(r.src.r, sep)
		if _, err := csvHeader(r.path, c.sc); err != nil {
			return err
		}
	}
	for i, g := range guesses {
		t := c.cols[i].typ
		if g != nil {
			t = g.typ()
		}
		c.cols[i] = newColumn(names[i], t)
	}
	c.schema = columnSchema(c.cols)
	r.schema, r.impl = c.schema, c
	return nil
}

// csvHeader reads the names in the first line; a column without one is column_<n>.
func csvHeader(path string, sc *csvScanner) ([]string, error) {
	if !sc.scan() {
		if sc.err != nil {
			return nil, fileError(path, sc.err)
		}
		return nil, feature.Errorf(feature.Invalid, "tabular.read", path, "the file is empty").
			WithHint("the first line must name the columns")
	}
	if sc.bad != nil {
		return nil, rowError(path, sc.line, sc.bad)
	}
	names, seen := make([]string, len(sc.fields)), map[string]bool{}
	for i, f := range sc.fields {
		names[i] = string(f)
		if len(f) == 0 {
			names[i] = fmt.Sprintf("column_%d", i+1)
		}
		if seen[names[i]] {
			return nil, feature.Errorf(feature.Invalid, "tabular.read", fmt.Sprintf("%s: line %d", path, sc.line),
				"column %q is there twice", names[i]).WithHint("rename one of them")
		}
		seen[names[i]] = true
	}
	return names, nil
}

func rowError(path string, line int64, err error) *feature.Error {
	return feature.Errorf(feature.Invalid, "tabular.read", fmt.Sprintf("%s: line %d", path, line), "%w", err)
}

// fault is what is wrong with the record as a whole: its quotes or its length.
func (c *csvReader) fault(columns int) error {
	if c.sc.bad != nil {
		return rowError(c.path, c.sc.line, c.sc.bad).WithHint("quotes inside a quoted value are doubled")
	}
	if len(c.sc.fields) != columns {
		return rowError(c.path, c.sc.line, widthError(len(c.sc.fields), columns)).
			WithHint("a value that holds the separator must be in quotes")
	}
	return nil
}

func widthError(got, want int) error {
	return fmt.Errorf("the row has %d values, the header names %d columns", got, want)
}

func (c *csvReader) infer(ctx context.Context, guesses []*guess, most int) error {
	for n := 0; (most <= 0 || n < most) && c.sc.scan(); n++ {
		if n%4096 == 0 {
			if err := alive(ctx); err != nil {
				return err
			}
		}
		if err := c.fault(len(guesses)); err != nil {
			return err
		}
		for i, g := range guesses {
			if f := c.sc.fields[i]; g != nil && !c.nulls.has(f) {
				g.text(f)
			}
		}
	}
	if c.sc.err != nil {
		return fileError(c.path, c.sc.err)
	}
	return nil
}

func (c *csvReader) read(context.Context) (arrow.RecordBatch, error) {
	n := 0
	for n < c.rows && c.sc.scan() {
		if err := c.fault(len(c.cols)); err != nil {
			return nil, err
		}
		for i, col := range c.cols {
			f := c.sc.fields[i]
			switch {
			case len(f) == 0 && c.sc.quoted[i] && col.typ == feature.String:
				col.text(f)
			case c.nulls.has(f):
				col.b.AppendNull()
			case !col.text(f):
				return nil, valueError(c.path, c.sc.line, col, f)
			}
		}
		n++
	}
	if c.sc.err != nil {
		return nil, fileError(c.path, c.sc.err)
	}
	if n == 0 {
		return nil, io.EOF
	}
	return batch(c.schema, c.cols, n), nil
}

func (c *csvReader) close() error {
	for _, col := range c.cols {
		col.b.Release()
	}
	return nil
}

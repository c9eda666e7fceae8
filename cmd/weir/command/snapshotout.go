package command

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// splitMark stands for the part's name in --out.
const splitMark = "{split}"

// trainingFiles are where a training set goes: one file, or one for each part. They
// gather under hidden names; commit gives all of them their own.
type trainingFiles struct {
	out   string
	parts []string // "" for the one file
	files map[string]*tabular.Writer
	order []*tabular.Writer
	paths []string // of order

	schema *arrow.Schema
	column int // with the part's name
}

// newTrainingFiles checks what --out asks for, before anybody works for it. parts are the split's, none without one.
func newTrainingFiles(out string, parts []string) (*trainingFiles, error) {
	if _, err := tabular.FormatOf(out); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	t := &trainingFiles{out: out, parts: []string{""}, files: map[string]*tabular.Writer{}}
	if strings.Contains(out, splitMark) {
		if len(parts) == 0 {
			return nil, fmt.Errorf("--out %s: there are no parts to name files by; give --split or --split-at", out)
		}
		t.parts = parts
	}
	for _, p := range t.parts {
		if err := tabular.Creatable(t.path(p)); err != nil {
			return nil, fmt.Errorf("--out: %w", err)
		}
	}
	return t, nil
}

func (t *trainingFiles) path(part string) string { return strings.ReplaceAll(t.out, splitMark, part) }

func (t *trainingFiles) open(part string) (*tabular.Writer, error) {
	w, err := tabular.Create(t.path(part), t.schema, tabular.WriteOptions{})
	if err != nil {
		return nil, err
	}
	t.files[part] = w
	t.order, t.paths = append(t.order, w), append(t.paths, t.path(part))
	return w, nil
}

// take reads an Arrow IPC stream to its end; the files are whole then, and have no names yet.
func (t *trainingFiles) take(r io.Reader) error {
	in, err := ipc.NewReader(r)
	if err != nil {
		return notRows(err)
	}
	defer in.Release()
	t.schema = in.Schema()
	t.column = t.schema.NumFields() - 1
	for _, p := range t.parts { // a part without rows has a file, too
		if _, err := t.open(p); err != nil {
			return err
		}
	}
	for in.Next() {
		if err := t.write(in.RecordBatch()); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return notRows(err)
	}
	for _, w := range t.order {
		if err := w.Finish(); err != nil {
			return err
		}
	}
	return nil
}

func (t *trainingFiles) write(rec arrow.RecordBatch) error {
	if t.parts[0] == "" {
		return t.files[""].Write(rec)
	}
	names, ok := rec.Column(t.column).(*array.String)
	if !ok {
		return fmt.Errorf("the server sent no column of parts")
	}
	rows := map[string][]int{}
	for i := range names.Len() {
		part := feature.NoPart
		if names.IsValid(i) {
			part = names.Value(i)
		}
		rows[part] = append(rows[part], i)
	}
	for part, which := range rows {
		w := t.files[part]
		if w == nil {
			var err error
			if w, err = t.open(part); err != nil { // of rows without a part, where there are any
				return err
			}
		}
		cols := make([]arrow.Array, rec.NumCols())
		for i, c := range rec.Columns() {
			var err error
			if cols[i], err = pick(c, which); err != nil {
				return err
			}
		}
		b := array.NewRecordBatch(t.schema, cols, int64(len(which)))
		err := w.Write(b)
		b.Release()
		for _, c := range cols {
			c.Release()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// commit gives the files their names, all or, as far as the file system lets it, none.
func (t *trainingFiles) commit() error {
	if len(t.order) == 1 {
		return t.order[0].Close()
	}
	var undo []func()
	defer func() {
		for _, f := range undo {
			f()
		}
	}()
	var back []func()
	for i, w := range t.order {
		path := t.paths[i]
		dir, base := filepath.Split(path)
		old := filepath.Join(dir, fmt.Sprintf(".%s.%08x.part", base, rand.Uint32()))
		err := os.Link(path, old) // the file that is there now; swept like any other that is left behind
		kept := err == nil
		if kept {
			undo = append(undo, func() { _ = os.Remove(old) })
		}
		fresh := errors.Is(err, os.ErrNotExist)
		if err := w.Close(); err != nil {
			for _, f := range back {
				f()
			}
			return err
		}
		back = append(back, func() {
			switch {
			case kept:
				_ = os.Rename(old, path)
			case fresh:
				_ = os.Remove(path)
			}
		})
	}
	return nil
}

// abort drops what has no name yet.
func (t *trainingFiles) abort() {
	for _, w := range t.order {
		w.Abort()
	}
}

// writeArrow turns an Arrow IPC stream into a file.
func writeArrow(r io.Reader, out string) error {
	t, err := newTrainingFiles(out, nil)
	if err != nil {
		return err
	}
	defer t.abort()
	if err := t.take(r); err != nil {
		return err
	}
	return t.commit()
}

// pick is some rows of a column.
func pick(c arrow.Array, rows []int) (arrow.Array, error) {
	b := array.NewBuilder(memory.DefaultAllocator, c.DataType())
	defer b.Release()
	b.Reserve(len(rows))
	switch c := c.(type) {
	case *array.Boolean:
		pickInto(b.(*array.BooleanBuilder), c, rows)
	case *array.Int32:
		pickInto(b.(*array.Int32Builder), c, rows)
	case *array.Int64:
		pickInto(b.(*array.Int64Builder), c, rows)
	case *array.Float32:
		pickInto(b.(*array.Float32Builder), c, rows)
	case *array.Float64:
		pickInto(b.(*array.Float64Builder), c, rows)
	case *array.Timestamp:
		pickInto(b.(*array.TimestampBuilder), c, rows)
	case *array.String:
		pickInto(b.(*array.StringBuilder), c, rows)
	case *array.Binary:
		pickInto(b.(*array.BinaryBuilder), c, rows)
	default:
		return nil, fmt.Errorf("the server sent a column of %s", c.DataType())
	}
	return b.NewArray(), nil
}

func pickInto[T any](b interface {
	Append(T)
	AppendNull()
}, c interface {
	IsNull(int) bool
	Value(int) T
}, rows []int) {
	for _, i := range rows {
		if c.IsNull(i) {
			b.AppendNull()
		} else {
			b.Append(c.Value(i))
		}
	}
}

package jointest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/offline"
	memstore "github.com/weir-ml/weir/offline/memory"
)

// Options say how a world is tried; the zero Options are the memory store and offline.Join.
type Options struct {
	Store    func() (s offline.Store, done func(), err error)
	Sabotage func(*Fact)                // see Build
	Request  func(*offline.JoinRequest) // what else the join is asked for
	// Got is told every row of the output, spine's columns first.
	Got func(row []any)
}

// Check builds the world, joins it and says the first thing that is not as
// Answer has it; a world's spine columns, order and counts included.
func (w *World) Check(ctx context.Context, o Options) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	var store offline.Store = memstore.Open()
	if o.Store != nil {
		s, done, err := o.Store()
		if err != nil {
			return err
		}
		defer done()
		store = s
	}
	b, err := w.Build(ctx, store, o.Sabotage)
	if err != nil {
		return err
	}
	defer b.Close()
	return b.Check(ctx, o)
}

// Check joins the spine to the tables and compares with Answer.
func (b *Built) Check(ctx context.Context, o Options) error {
	w := b.World
	spine := &Batches{Of: w.SpineSchema(), Recs: w.SpineBatches()}
	req := offline.JoinRequest{Service: b.Service, Tables: b.Tables, Clock: w.Clock, Memory: w.Way.Memory, Workers: w.Way.Workers,
		Spine: offline.Spine{Rows: spine, Time: TimeColumn, Count: int64(len(w.Spine))}}
	if o.Request != nil {
		o.Request(&req)
	}
	c := comparison{b: b, schema: w.SpineSchema(), nulls: make([]int64, len(b.Service.Columns)), got: o.Got}
	res, err := offline.Join(ctx, req, c.take)
	if err != nil {
		return err
	}
	if c.row != len(w.Spine) || res.Rows != int64(c.row) {
		return fmt.Errorf("%d rows came out, %d by the result, of %d", c.row, res.Rows, len(w.Spine))
	}
	if res.NullTimes != c.nullTimes {
		return fmt.Errorf("%d spine rows without a time, by the result %d", c.nullTimes, res.NullTimes)
	}
	for i, n := range c.nulls {
		if res.Nulls[i] != n {
			return fmt.Errorf("column %s has %d nulls, by the result %d", b.Service.Columns[i].Name, n, res.Nulls[i])
		}
	}
	return nil
}

type comparison struct {
	b         *Built
	schema    *arrow.Schema // of the spine
	row       int
	nulls     []int64
	nullTimes int64
	got       func([]any)
}

func (c *comparison) take(rec arrow.RecordBatch) error {
	w := c.b.World
	n := c.schema.NumFields()
	if int(rec.NumCols()) != n+len(c.b.Service.Columns) {
		return fmt.Errorf("%d columns came out: %v", rec.NumCols(), rec.Schema())
	}
	for col := range int(rec.NumCols()) {
		name, typ := "", arrow.DataType(nil)
		if col < n {
			name, typ = c.schema.Field(col).Name, c.schema.Field(col).Type
		} else {
			sc := c.b.Service.Columns[col-n]
			name, typ = sc.Name, c.b.Service.Views[sc.View].Features[sc.Feature].Type.Exchange()
		}
		if rec.ColumnName(col) != name || !arrow.TypeEqual(rec.Column(col).DataType(), typ) {
			return fmt.Errorf("column %d is %s (%s), want %s (%s)", col, rec.ColumnName(col), rec.Column(col).DataType(), name, typ)
		}
	}
	for i := range int(rec.NumRows()) {
		if c.row >= len(w.Spine) {
			return fmt.Errorf("more rows came out than the %d of the spine", len(w.Spine))
		}
		got := make([]any, rec.NumCols())
		for col := range got {
			got[col] = cell(rec.Column(col), i)
		}
		want := append(w.cells(c.row), w.Answer(w.Spine[c.row])...)
		if w.Spine[c.row].Time == nil {
			c.nullTimes++
		}
		for col := range got {
			if !Same(got[col], want[col]) {
				return fmt.Errorf("spine row %d, column %s: got %s, want %s\n(keys %v, time %v)", c.row, rec.ColumnName(col),
					literal(got[col]), literal(want[col]), w.Spine[c.row].Keys, w.Spine[c.row].Time)
			}
			if col >= n && want[col] == nil {
				c.nulls[col-n]++
			}
		}
		if c.got != nil {
			c.got(got)
		}
		c.row++
	}
	return nil
}

// Same tells whether two values are the same, bit for bit but for NaN, of which there is one.
func Same(a, b any) bool {
	switch x := a.(type) {
	case []byte:
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y)
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, Same)
	case float64:
		y, ok := b.(float64)
		return ok && (math.Float64bits(x) == math.Float64bits(y) || x != x && y != y)
	case float32:
		y, ok := b.(float32)
		return ok && (math.Float32bits(x) == math.Float32bits(y) || x != x && y != y)
	}
	switch b.(type) {
	case []byte, []any:
		return false
	}
	return a == b
}

// cell is a value of an Arrow column.
func cell(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Boolean:
		return a.Value(i)
	case *array.Int32:
		return a.Value(i)
	case *array.Int64:
		return a.Value(i)
	case *array.Timestamp:
		return int64(a.Value(i))
	case *array.Float32:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.String:
		return a.Value(i)
	case *array.Binary:
		return bytes.Clone(a.Value(i))
	case *array.List:
		out := []any{}
		from, to := a.ValueOffsets(i)
		for k := from; k < to; k++ {
			out = append(out, cell(a.ListValues(), int(k)))
		}
		return out
	}
	panic(fmt.Sprintf("jointest: no cell of %s", a.DataType()))
}

package tabular

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// typedRows makes an event of each row of a file that knows its types.
type typedRows struct {
	path   string
	t      *typedReader
	steps  []step
	norm   *normalizer
	stamps []func(dst []byte, micros int64) []byte
	scales []func(micros int64) (int64, bool) // by column: the number that stamps writes; nil for a text
	rec    []arrow.Array
	cells  []cell
	at     int
	out    []byte
}

func newTypedRows(ctx context.Context, src *source, format Format, o RowOptions) (*typedRows, error) {
	schema, _, t, err := openTyped(ctx, src, format, typedBatch, nil)
	if err != nil {
		return nil, err
	}
	r := &typedRows{path: src.path, t: t, norm: newNormalizer(schema, nil)}
	names := make([]string, schema.NumFields())
	for i, f := range schema.Fields() {
		names[i] = f.Name
		stamp, scale, err := timeWriter(o.Times[f.Name])
		if err != nil {
			t.stop()
			return nil, err
		}
		r.stamps, r.scales = append(r.stamps, stamp), append(r.scales, scale)
		switch f.Type.(type) {
		case *arrow.StructType, arrow.ListLikeType:
			if !r.norm.types[i].IsArray() { // goes out as nested JSON, not as text
				r.norm.types[i] = feature.InvalidType
			}
		}
	}
	if r.steps, err = plan(src.path, names); err != nil {
		t.stop()
		return nil, err
	}
	return r, nil
}

func (r *typedRows) next(_ context.Context, row *Row) error {
	for r.rec == nil || r.at == r.rec[0].Len() {
		rec, err := r.batch()
		if err != nil {
			return err
		}
		r.rec, r.at, r.cells = rec, 0, r.cells[:0]
		for i, c := range rec {
			r.cells = append(r.cells, jsonCell(c, r.stamps[i]))
		}
	}
	r.out = appendRow(r.out[:0], r.steps, r.cells, r.at)
	r.at++
	row.Payload = r.out
	return nil
}

// batch gives the next rows as columns of feature types, arrays as lists, other nested ones as they are;
// io.EOF after the last. They stay valid.
func (r *typedRows) batch() ([]arrow.Array, error) {
	for {
		rec, err := r.t.next()
		if ends(err) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, fileError(r.path, err)
		}
		if rec.NumRows() == 0 || rec.NumCols() == 0 {
			continue
		}
		cols := make([]arrow.Array, len(r.norm.types))
		for i, t := range r.norm.types {
			c := rec.Column(i)
			switch {
			case t == feature.InvalidType:
				c.Retain()
			case t.IsArray():
				var l *array.List // a null element is the row's fault, not the file's
				if l, err = lists(c, t, true); err == nil {
					c = l
				}
			default:
				c, err = Convert(c, t)
			}
			if err != nil {
				return nil, feature.Errorf(feature.Invalid, "tabular.read", fmt.Sprintf("%s: column %q", r.path, rec.ColumnName(i)), "%w", err)
			}
			cols[i] = c
		}
		return cols, nil
	}
}

// typedBatch is how many rows of a typed file are taken at a time, at most.
const typedBatch = 8192

// appendRow writes row i as a JSON object.
func appendRow(dst []byte, steps []step, cells []cell, i int) []byte {
	for _, s := range steps {
		dst = append(dst, s.text...)
		if s.column >= 0 {
			dst = cells[s.column](dst, i)
		}
	}
	return dst
}

func (r *typedRows) close() { r.t.stop() }

// timeWriter writes times as a source expects them. scale is the number that
// stamp writes, and false where it is none of 64 bits; nil where it writes a text.
func timeWriter(format string) (stamp func(dst []byte, micros int64) []byte, scale func(micros int64) (int64, bool), err error) {
	number := func(div int64) (func([]byte, int64) []byte, func(int64) (int64, bool), error) {
		return func(dst []byte, v int64) []byte { return strconv.AppendInt(dst, floorDiv(v, div), 10) },
			func(v int64) (int64, bool) { return floorDiv(v, div), true }, nil
	}
	switch format {
	case "", "rfc3339":
		return quotedTime, nil, nil
	case "naive":
		return func(dst []byte, v int64) []byte {
			return append(feature.Time(v).AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.999999"), '"')
		}, nil, nil
	case "unix_s":
		return number(1_000_000)
	case "unix_ms":
		return number(1000)
	case "unix_us":
		return number(1)
	case "unix_ns":
		return func(dst []byte, v int64) []byte {
			if v == 0 {
				return append(dst, '0')
			}
			return append(strconv.AppendInt(dst, v, 10), "000"...)
		}, func(v int64) (int64, bool) { return v * 1000, v <= math.MaxInt64/1000 && v >= math.MinInt64/1000 }, nil
	}
	return nil, nil, feature.Errorf(feature.Invalid, "tabular.read", format, "unknown time format %q", format).
		WithHint("use one of %v", feature.TimeFormats)
}

func floorDiv(v, div int64) int64 {
	q := v / div
	if v%div < 0 {
		q--
	}
	return q
}

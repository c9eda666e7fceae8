package tabular

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// typedRows makes an event of each row of a file that knows its types.
type typedRows struct {
	path   string
	t      *typedReader
	steps  []step
	norm   *normalizer
	stamps []func(dst []byte, micros int64) []byte
	rec    arrow.RecordBatch
	cells  []cell
	at     int
	out    []byte
}

func newTypedRows(ctx context.Context, src *source, format Format, o RowOptions) (*typedRows, error) {
	schema, _, t, err := openTyped(ctx, src, format, 4096)
	if err != nil {
		return nil, err
	}
	r := &typedRows{path: src.path, t: t, norm: newNormalizer(schema, nil)}
	names := make([]string, schema.NumFields())
	for i, f := range schema.Fields() {
		names[i] = f.Name
		stamp, err := timeWriter(o.Times[f.Name])
		if err != nil {
			t.stop()
			return nil, err
		}
		r.stamps = append(r.stamps, stamp)
		switch f.Type.(type) {
		case *arrow.StructType, arrow.ListLikeType: // go out as nested JSON, not as text
			r.norm.types[i] = feature.InvalidType
		}
	}
	if r.steps, err = plan(src.path, names); err != nil {
		t.stop()
		return nil, err
	}
	return r, nil
}

func (r *typedRows) next(ctx context.Context, row *Row) error {
	for r.rec == nil || r.at == int(r.rec.NumRows()) {
		rec, err := r.t.next()
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		if err != nil {
			return fileError(r.path, err)
		}
		r.rec, r.at, r.cells = rec, 0, r.cells[:0]
		for i, t := range r.norm.types {
			c := rec.Column(i)
			if t != feature.InvalidType {
				if c, err = Convert(c, t); err != nil {
					return feature.Errorf(feature.Invalid, "tabular.read", fmt.Sprintf("%s: column %q", r.path, rec.ColumnName(i)), "%w", err)
				}
			}
			r.cells = append(r.cells, jsonCell(c, r.stamps[i]))
		}
	}
	r.out = r.out[:0]
	for _, s := range r.steps {
		r.out = append(r.out, s.text...)
		if s.column >= 0 {
			r.out = r.cells[s.column](r.out, r.at)
		}
	}
	r.at++
	row.Payload = r.out
	return nil
}

func (r *typedRows) close() { r.t.stop() }

// timeWriter writes times as a source expects them.
func timeWriter(format string) (func(dst []byte, micros int64) []byte, error) {
	number := func(div int64) func([]byte, int64) []byte {
		return func(dst []byte, v int64) []byte { return fmt.Appendf(dst, "%d", floorDiv(v, div)) }
	}
	switch format {
	case "", "rfc3339":
		return quotedTime, nil
	case "naive":
		return func(dst []byte, v int64) []byte {
			return append(feature.Time(v).AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.999999"), '"')
		}, nil
	case "unix_s":
		return number(1_000_000), nil
	case "unix_ms":
		return number(1000), nil
	case "unix_us":
		return number(1), nil
	case "unix_ns":
		return func(dst []byte, v int64) []byte { return fmt.Appendf(dst, "%d000", v) }, nil
	}
	return nil, feature.Errorf(feature.Invalid, "tabular.read", format, "unknown time format %q", format).
		WithHint("use one of %v", feature.TimeFormats)
}

func floorDiv(v, div int64) int64 {
	q := v / div
	if v%div < 0 {
		q--
	}
	return q
}

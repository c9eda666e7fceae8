package tabular

import (
	"encoding/base64"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// column builds one column of a batch from texts.
type column struct {
	name string
	typ  feature.Type
	b    array.Builder

	// Of an array, of which b builds lists.
	elem  *column // builds their elements
	loose bool    // these may be null
	why   string  // what is wrong with the value that did not fit
}

func newColumn(name string, t feature.Type) *column {
	if t.IsArray() {
		b := array.NewBuilder(memory.DefaultAllocator, t.Exchange()).(*array.ListBuilder)
		return &column{name: name, typ: t, b: b, elem: &column{typ: t.Elem(), b: b.ValueBuilder()}}
	}
	return &column{name: name, typ: t, b: array.NewBuilder(memory.DefaultAllocator, t.Arrow())}
}

// text appends a value as a CSV file writes it; false when it does not fit the type.
func (c *column) text(v []byte) bool {
	switch b := c.b.(type) {
	case *array.BooleanBuilder:
		x, ok := parseBool(v)
		if ok {
			b.Append(x)
		}
		return ok
	case *array.Int32Builder:
		x, ok := wholeNumber(v)
		if ok = ok && x >= math.MinInt32 && x <= math.MaxInt32; ok {
			b.Append(int32(x))
		}
		return ok
	case *array.Int64Builder:
		x, ok := wholeNumber(v)
		if ok {
			b.Append(x)
		}
		return ok
	case *array.Float32Builder:
		x, ok := parseFloat(v, 32)
		if ok {
			b.Append(float32(x))
		}
		return ok
	case *array.Float64Builder:
		x, ok := parseFloat(v, 64)
		if ok {
			b.Append(x)
		}
		return ok
	case *array.StringBuilder:
		if !utf8.Valid(v) {
			return false
		}
		b.BinaryBuilder.Append(v)
		return true
	case *array.BinaryBuilder:
		d := make([]byte, base64.StdEncoding.DecodedLen(len(v)))
		n, err := base64.StdEncoding.Decode(d, v)
		if err == nil {
			b.Append(d[:n])
		}
		return err == nil
	case *array.TimestampBuilder:
		x, ok := ParseTime(v)
		if ok {
			b.Append(arrow.Timestamp(x))
		}
		return ok
	case *array.ListBuilder:
		return c.jsonText(v)
	}
	return false
}

// wholeNumber reads an integer, also one that was written as a float: 3.0, as
// dataframes do when a column of integers has nulls.
func wholeNumber(v []byte) (int64, bool) {
	if x, ok, big := parseInt(v); ok || big {
		return x, ok
	}
	f, ok := parseFloat(v, 64)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// valueError says which value of which file does not fit, and what to do.
func valueError(path string, line int64, c *column, v []byte) error {
	what := fmt.Sprintf("%s: line %d, column %q", path, line, c.name)
	if c.why != "" {
		return feature.Errorf(feature.Invalid, "tabular.read", what, "%s", c.why).WithHint("correct the value")
	}
	e := feature.Errorf(feature.Invalid, "tabular.read", what, "%q is not %s", feature.Shorten(v), a(c.typ))
	return e.WithHint("correct the value, or name it as a null text if it stands for a missing one")
}

// a is the type's name with its article and how it is written.
func a(t feature.Type) string {
	if t.IsArray() {
		return "an " + t.String() + " (a list, in text a JSON array)"
	}
	switch t {
	case feature.Int32, feature.Int64:
		return "an " + t.String()
	case feature.Timestamp:
		return "a timestamp (RFC 3339, like 2026-01-31T12:00:00Z; without offset it is UTC)"
	case feature.Bytes:
		return "bytes (base64)"
	case feature.String:
		return "a string (UTF-8)"
	}
	return "a " + t.String()
}

// batch ends the columns' current rows.
func batch(schema *arrow.Schema, cols []*column, rows int) arrow.RecordBatch {
	arrs := make([]arrow.Array, len(cols))
	for i, c := range cols {
		arrs[i] = c.b.NewArray()
	}
	rec := array.NewRecordBatch(schema, arrs, int64(rows))
	for _, x := range arrs {
		x.Release()
	}
	return rec
}

func columnSchema(cols []*column) *arrow.Schema {
	fs := make([]arrow.Field, len(cols))
	for i, c := range cols {
		fs[i] = arrow.Field{Name: c.name, Type: c.typ.Exchange(), Nullable: true}
	}
	return arrow.NewSchema(fs, nil)
}

// nullTexts answers whether a text means null.
type nullTexts map[string]bool

func newNullTexts(list []string) nullTexts {
	m := nullTexts{}
	for _, s := range list {
		m[s] = true
	}
	return m
}

func (n nullTexts) has(v []byte) bool { return len(v) == 0 || len(n) > 0 && n[string(v)] }
